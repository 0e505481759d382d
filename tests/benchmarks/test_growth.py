"""Growth by planted costs: what is compared with what, and what is required."""

import pytest

import growth
from growth import Cost, Measured
from tandem.files import write_json


def measured(num_images, *, core_ms, megabytes, table_megabytes=0.0, stages=("merge", "curate")):
    costs = {stage: Cost(1.0, core_ms * num_images / 1000, megabytes) for stage in stages}
    return Measured(num_images, costs, table_megabytes)


def test_time_an_image_is_held_against_10_000_images():
    sizes = [
        measured(1_000, core_ms=9.0, megabytes=100),
        measured(10_000, core_ms=2.0, megabytes=100),
        measured(20_000, core_ms=2.2, megabytes=100),
        measured(100_000, core_ms=3.0, megabytes=100),
    ]
    merge, curate = growth.time_growth(sizes)
    assert merge.what == "merge: time an image, 100000 against 10000"
    assert merge.value == pytest.approx(1.5)
    assert not merge.is_reached
    assert (curate.required, curate.is_reached) == ("<= 1.3", False)


@pytest.mark.parametrize(("core_ms", "is_reached"), [(5.6, True), (5.7, False)])
def test_curate_may_take_four_tenths_of_what_it_took(core_ms, is_reached):
    early, now = growth.early_figures(14.17, measured(20_000, core_ms=core_ms, megabytes=100))
    assert early.value == 14.17
    assert now.what == "curate: time of 20000 images, of that at ba2ba50"
    assert now.is_reached == is_reached


def test_memory_may_grow_by_a_fifth_and_four_times_the_tables():
    first = measured(1_000, core_ms=1.0, megabytes=100, table_megabytes=1.0, stages=("merge",))
    for megabytes, is_reached in ((160, True), (161, False)):
        last = measured(20_000, core_ms=1.0, megabytes=megabytes, table_megabytes=11.0, stages=("merge",))
        (figure,) = growth.memory_growth([first, last])
        assert figure.is_reached == is_reached


def test_generated_images_are_all_different():
    assert len(set(growth.generate(20))) == 20


def test_generated_images_are_known_by_their_number():
    assert list(growth.generate(2, first=5)) == list(growth.generate(7))[5:]


@pytest.mark.parametrize(("seconds", "is_reached"), [(4.0, True), (4.1, False)])
def test_a_run_with_nothing_to_do_may_take_twice_as_long_in_the_largest_set(seconds, is_reached):
    costs = {1_000: Cost(2.0, 1.0, 1.0), 10_000: Cost(9.0, 1.0, 1.0), 100_000: Cost(seconds, 5.0, 1.0)}
    figure = growth.nothing_growth(costs)[-1]
    assert figure.what == "nothing to do: s, 100000 against 1000"
    assert figure.is_reached == is_reached


def test_a_run_with_nothing_to_do_in_one_set_is_held_against_nothing():
    assert all(figure.required is None for figure in growth.nothing_growth({10: Cost(1.0, 1.0, 1.0)}))


@pytest.mark.parametrize(("megabytes", "is_reached"), [(4000, True), (4001, False)])
def test_no_stage_of_any_size_may_hold_more_than_4_gb(megabytes, is_reached):
    sizes = [measured(1_000, core_ms=1.0, megabytes=size) for size in (megabytes, 100)]
    figure = growth.most_memory(sizes)
    assert (figure.value, figure.is_reached) == (megabytes, is_reached)


def test_what_was_measured_in_a_folder_is_taken_from_it(tmp_path):
    cost = Cost(seconds=3.0, core_seconds=2.5, megabytes=120.0)
    write_json(tmp_path / "merge.json", cost._asdict())
    assert growth.kept_cost(tmp_path / "clone", "merge") == cost  # there is no clone that a stage could run in


def test_the_record_of_the_early_code_is_a_list_of_figures(tmp_path):
    figures = [
        {"what": "merge: 20000 pictures, s, and core-ms a picture", "reached": "30.0, 1.31"},
        {"what": "curate: 20000 pictures, s, and core-ms a picture", "reached": "217.0, 14.17"},
    ]
    write_json(tmp_path / "figures.json", figures)
    assert growth.early_core_ms(tmp_path, 20_000) == 14.17
