from dataclasses import replace

import pytest

from planted_run import planted_facts
from tandem.reporting.page.accounting import account
from tandem.reporting.page.data_view import classes_table, data_view, fates_table, image_alt, sources_table
from tandem.reporting.page.torn_groups import image_groups


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    return planted_facts(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def view(facts):
    return data_view(facts)


def texts(row):
    return [cell.text for cell in row]


def test_counts_by_class_and_source_are_those_of_the_metrics_largest_first(facts):
    assert [texts(row) for row in classes_table(facts).lines] == [
        ["car", "12", "4", "4", "20"],
        ["truck", "12", "4", "4", "20"],
        ["motorcycle", "11", "4", "4", "19"],
    ]
    assert texts(classes_table(facts).foot_cells) == ["all", "35", "12", "12", "59"]
    assert [texts(row) for row in sources_table(facts).lines] == [
        ["exports", "17", "6", "6", "29"],
        ["web", "18", "6", "6", "30"],
    ]


def test_a_bar_is_as_long_as_its_count_beside_the_largest(facts):
    bar = classes_table(facts).lines[2][-1].parts
    assert bar == pytest.approx({"train": 11 / 20, "val": 4 / 20, "test": 4 / 20})


def test_the_files_by_what_became_of_them_stand_over_those_that_came_in(facts):
    table = fates_table(account(facts))
    assert texts(table.lines[0]) == ["train", "18", "17", "35", "used: in train"]
    assert texts(table.foot_cells)[1:4] == ["35", "30", "65"]
    sums = [sum(int(row[column].text) for row in table.lines) for column in (1, 2, 3)]
    assert sums == [35, 30, 65]


def test_a_contact_sheet_has_used_images_of_its_class_alone(facts, view):
    assert [(sheet.name, sheet.note) for sheet in view.sheets] == [
        ("car", "12 of 20"),
        ("motorcycle", "12 of 19"),
        ("truck", "12 of 20"),
    ]
    assert all(image.alt.startswith("motorcycle: ") for image in view.sheets[1].images)
    assert image_alt(facts, facts.samples.ids[1]) not in {image.alt for image in view.sheets[1].images}


def test_a_group_is_shown_with_its_random_splits(facts, view):
    (group,), (shown,) = image_groups(facts), view.groups
    assert (view.num_groups, view.num_torn, view.num_leaking) == (1, 1, 0)
    assert shown.title == f"2 images of web, exports, in {', '.join(group.torn_over)}"
    splits = [" + ".join(group.random_splits[id_]) for id_ in group.ids]
    assert [(each.caption, each.detail) for each in shown.images] == list(zip(splits, ("web", "exports"), strict=True))


def test_label_issues_say_what_the_label_is_and_what_it_might_be(view):
    (issue,), (outlier,) = view.issues, view.outliers
    assert (issue.caption, issue.detail) == ("truck → truck?", "P = 0.02")
    assert outlier.caption == "car"


def test_the_extremes_of_a_measure_are_those_of_used_images(facts, view):
    blur, brightness, _, _ = view.quality
    assert [sheet.name for sheet in blur.extremes] == ["most blurred"]
    assert [sheet.name for sheet in brightness.extremes] == ["darkest", "brightest"]
    assert all(image.alt.startswith("Brightness 1: ") for image in brightness.extremes[0].images)
    assert "From 1 to 1.94, median" in blur.chart


def test_a_measure_that_is_alike_for_all_has_a_chart_too(facts):
    alike = {name: dict.fromkeys(of_measure, 0.5) for name, of_measure in facts.quality.items()}
    panels = data_view(replace(facts, quality=alike)).quality
    assert "From 0.5 to 0.5, median 0.5." in panels[0].chart
    assert not [sheet for panel in panels for sheet in panel.extremes], "where all are alike none is extreme"
