"""`tandem report` on a finished run: what the page says is what the files say."""

import sys

import pytest

from html_page import HtmlPage
from scratch_project import copied, read_csv, read_json
from tandem.reporting.page.tables import number

FILES = ("index.html", "model_card.md", "dataset_card.md", "croissant.json", "images.csv")


@pytest.fixture(scope="module")
def reported(first, work):
    """The clone after the command, what it printed, and the page."""
    with copied(first[0], work, "report") as clone:
        said = clone.run(sys.executable, "-c", "from tandem.cli.main import app; app()", "report").stdout
        yield clone, said, HtmlPage((clone.root / "report/index.html").read_text(encoding="utf-8"))


def table(page, start):
    (found,) = (rows for caption, rows in page.tables.items() if caption.startswith(start))
    return found


def test_a_run_has_a_page_and_cards_that_git_ignores(reported):
    clone, said, page = reported
    assert all(f"report/{name} (" in said for name in FILES)
    assert "are not known to be results" not in said
    assert "Up to date" in page.text
    assert clone.git("status", "--porcelain") == ""
    assert (clone.root / "report/index.html").stat().st_size < 3_000_000


def test_the_speed_is_measured_and_the_rest_is_the_same_bytes_each_time(reported):
    clone, _, page = reported
    times = table(page, "How long tandem predict takes")
    assert all(float(ms) > 0 for name, (ms,) in times.items() if name and ms != "–")
    command = (sys.executable, "-c", "from tandem.cli.main import app; app()", "report", "--no-speed", "--output")
    for folder in ("one", "two"):
        clone.run(*command, folder)
    for name in FILES:
        assert (clone.root / "one" / name).read_bytes() == (clone.root / "two" / name).read_bytes()
    assert "Times were not measured." in HtmlPage((clone.root / "one/index.html").read_text(encoding="utf-8")).text


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")
def test_the_metadata_load_every_image_of_the_run(reported):
    import mlcroissant  # a second

    clone, _, _ = reported
    dataset = mlcroissant.Dataset(clone.root / "report/croissant.json")
    found = [
        (record["images/id"].decode(), (record["images/split"] or b"").decode()) for record in dataset.records("images")
    ]
    assert found == [(row["id"], row["split"]) for row in read_csv(clone.root / "data/curate/samples.csv")]


def test_the_scores_are_those_of_the_metrics(reported):
    clone, _, page = reported
    evaluation = read_json(clone.root / "metrics/evaluate.json")
    rows = table(page, "All models on the")
    assert rows.keys() == {"model", *evaluation["models"], "exported file"}
    for name, scores in evaluation["models"].items():
        ends = scores["interval"]["top1_accuracy"]
        shown = [number(scores["top1_accuracy"]), f"{number(ends['low'])} to {number(ends['high'])}"]
        shown += [number(scores[key]) for key in ("macro_f1", "log_loss", "ece", "brier_score")]
        assert rows[name] == shown
    for name, scores in evaluation["classes"].items():
        shown = [*(number(scores[key]) for key in ("precision", "recall", "f1")), str(scores["support"])]
        assert table(page, "The selected model on test, by class")[name] == shown
    assert f"top-1 accuracy {number(evaluation['selected']['top1_accuracy'])}" in " ".join(page.text.split())


def test_the_confusion_matrix_and_the_price_of_a_leak_are_those_of_their_files(reported):
    clone, _, page = reported
    predicted = [(row["actual"], row["predicted"]) for row in read_csv(clone.root / "metrics/confusion.csv")]
    (_, *class_names, _), *rows = ([name, *cells] for name, cells in table(page, "Confusion matrix").items())
    for name, *cells, total in rows:
        assert [int(cell) for cell in cells] == [predicted.count((name, other)) for other in class_names]
        assert int(total) == sum(map(int, cells))
    accuracy = read_json(clone.root / "metrics/curate.json")["accuracy"]
    ours, random = (
        table(page, "The same linear probe")[name] for name in ("groups kept together (this run)", "files at random")
    )
    for cells, key in ((ours, "group_aware_split"), (random, "random_split")):
        assert cells == [number(accuracy[key]["top1_accuracy"]), str(accuracy[key]["test_images"])]


def test_every_file_that_came_in_is_accounted_for(reported):
    clone, _, page = reported
    (head, *fates, total) = table(page, "Every file that came in").items()
    sources = head[1][:2]
    assert sorted(sources) == ["exports", "web"]
    for column, source in enumerate(sources):
        came_in = read_json(clone.root / f"data/download/receipts/{source}.json")["num_files"]
        assert int(total[1][column]) == came_in == sum(int(cells[column]) for _, cells in fates)
    excluded = read_json(clone.root / "metrics/merge.json")["excluded"]
    shown = {name.replace(" ", "_"): int(cells[2]) for name, cells in fates}
    assert {name: shown[name] for name in excluded} == excluded
    assert "none was left out without a reason" in page.text


def test_every_image_has_a_text_and_every_mistake_an_image(reported):
    clone, _, page = reported
    images = page.all("img")
    assert all(each["alt"].strip() and each["src"].startswith("data:image/webp") for each in images)
    wrong = sum(row["actual"] != row["predicted"] for row in read_csv(clone.root / "metrics/confusion.csv"))
    with_maps = [each for each in images if each["alt"].endswith("beside it the parts that this rests on")]
    assert len(with_maps) == min(wrong, 12) > 0
    assert page.problems == []
