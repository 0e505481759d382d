"""README: one screen, in a fixed order, and no number in it without the file that it was taken from."""

import json
import re
from functools import partial

import pytest

from pages import README, ROOT, fences, text_of
from tandem.evaluation import summary
from tandem.files import read_csv, read_json

RESULTS_DIR, METRICS_DIR = ROOT / "benchmarks" / "results", ROOT / "metrics"
PAGE = text_of(README)
# in this order, each once; the issue of a newcomer: what is it, does it work, is it for me, how do I begin
ORDER = (
    "# Tandem",
    "**A random split",
    "![Near duplicates",
    "git clone",
    "make run",
    "top-1 accuracy  macro F1",
    "## What it does well",
    "## Beside other tools",
    "## Use it when",
    "**Not when**",
    "## Your own data",
    "## The pipeline",
    "## Read on",
    "**Limits.**",
    "[MIT license]",
    "CITATION.cff",
)


def figure(benchmark, *words):
    """The value of the one line of a benchmark's recorded output whose text has all these words."""
    path = RESULTS_DIR / f"{benchmark}.json"
    if not path.is_file():
        pytest.skip(f"{path.name} was not recorded")
    lines = list(lines_of(json.loads(path.read_text(encoding="utf-8"))))
    found = [line["value"] for line in lines if all(word in line["what"] for word in words)]
    assert len(found) == 1, f"{path.name}: {len(found)} lines have {words}: {[line['what'] for line in lines]}"
    return found[0]


def lines_of(recorded):
    """All objects with "what" and "value" in it, however deep."""
    if isinstance(recorded, dict) and {"what", "value"} <= recorded.keys():
        yield recorded
    elif isinstance(recorded, dict | list):
        for part in recorded.values() if isinstance(recorded, dict) else recorded:
            yield from lines_of(part)


def metric(name, *keys):
    value = read_json(METRICS_DIR / name)
    for key in keys:
        value = value[key]
    return value


def faults():
    """How many rows the table of faults has, each a test of tests/sources/test_download_faults.py."""
    cells = re.findall(r"^\| (?!---|what)[^|]+ \| ([^|]+) \| ([^|]+) \|$", text_of(ROOT / "docs/downloads.md"), re.M)
    return sum(cell.strip() != "-" for row in cells for cell in row)


def kinds_of_ensembles():
    from tandem.training.ensembles import KINDS

    return len(KINDS)


# What README says, with a group around the number, and where that was taken from.
CLAIMS = (
    (r"claims a top-1 accuracy of ([\d.]+)\.", partial(figure, "real_photos", "vehicles", "random split")),
    (r"The truth is ([\d.]+)\.", partial(figure, "real_photos", "vehicles", "mobilenet_v2 frozen")),
    (r"recall ([\d.]+) at precision", partial(figure, "near_duplicates", "Tandem", "recall", "all")),
    (r"at precision ([\d.]+)\*\*", partial(figure, "near_duplicates", "Tandem", "precision")),
    (r"leakage: (\d+) near-duplicate pairs", partial(figure, "real_photos", "vehicles", "across splits")),
    (r"would put (\d+) pairs apart", partial(metric, "curate.json", "pairs_leaked_by_random_split")),
    (r"errors: (\d) of 9", partial(figure, "wrong_labels", "photographs", "first 5 %")),
    (r"errors: \d of (\d)\*\*", lambda: len(wrong_labels())),
    (r"\*\*Another learning rate in (\d+) to", partial(figure, "rerun", "linear head: s")),
    (r"learning rate in \d+ to (\d+) s", partial(figure, "rerun", "logistic head: s")),
    (r"is (\d+) times as fast", partial(figure, "seed_study", "1 training a pair: times faster")),
    (r": (\d+) faults", faults),
    (r"yes, (\d) ensembles", kinds_of_ensembles),
    (r"duplicates: recall \| \*\*([\d.]+)", partial(figure, "near_duplicates", "Tandem", "recall", "all")),
    (r"duplicates: recall \| \S+ \| ([\d.]+)", partial(figure, "near_duplicates", "Brain: recall", "all")),
    (r"recall \| \S+ \| \S+ \| ([\d.]+)", partial(figure, "near_duplicates", "pHash", "recall", "all")),
    (r"duplicates: precision \| \*\*([\d.]+)", partial(figure, "near_duplicates", "Tandem", "precision")),
    (r"duplicates: precision \| \S+ \| ([\d.]+)", partial(figure, "near_duplicates", "Brain: precision")),
    (r"precision \| \S+ \| \S+ \| ([\d.]+)", partial(figure, "near_duplicates", "pHash", "precision")),
)
# Numbers that measure nothing, and those of a machine: time and disk of an installation are seen in CI.
NO_RESULTS = (
    r"top-1",
    r"x86-64",
    r"Python 3\.11",
    r"7\.2 GB",
    r"about 2 minutes on 2 cores",
    r"the first 5 %",
    r"all 7 planted",
    r"precision of 0\.99",
    r"macro F1",
)


def wrong_labels():
    import wrong_labels as benchmark

    return benchmark.WRONG


def test_the_readme_fits_on_one_screen():
    lines = PAGE.splitlines()
    assert len(lines) <= 120
    assert max(len(line) for line in lines if not line.startswith("|")) <= 130


def test_the_readme_says_things_in_the_order_in_which_a_newcomer_asks():
    places = [PAGE.find(words) for words in ORDER]
    assert -1 not in places
    assert places == sorted(places)


@pytest.mark.parametrize(("pattern", "value"), CLAIMS, ids=[pattern for pattern, _ in CLAIMS])
def test_a_number_is_that_of_the_file_that_it_was_taken_from(pattern, value):
    (stated,) = re.findall(pattern, PAGE)
    digits = len(stated.partition(".")[2])
    assert abs(float(stated) - value()) <= 0.5 * 10**-digits + 1e-9


def test_every_number_outside_of_blocks_and_links_is_held_against_something():
    page = re.sub(r"^```.*?^```|\]\([^)]*\)|`[^`]*`", lambda found: " " * len(found[0]), PAGE, flags=re.M | re.S)
    held = {found.start(1) for pattern, _ in CLAIMS for found in re.finditer(pattern, PAGE)}
    held |= {place for words in NO_RESULTS for found in re.finditer(words, PAGE) for place in range(*found.span())}
    loose = [
        page[found.start() - 30 : found.end() + 10]
        for found in re.finditer(r"\d+(\.\d+)?", page)
        if found.start() not in held
    ]
    assert loose == []


def test_the_output_that_the_readme_shows_is_that_of_the_committed_run():
    (shown,) = [block for block in fences(README, "") if "top-1 accuracy" in block]
    assert 8 <= len(shown.splitlines()) <= 12
    assert shown.strip() in summary.format_results(read_json(METRICS_DIR / "evaluate.json"))


def test_the_sample_s_table_in_the_results_is_that_of_the_metrics():
    """As committed; a run on another processor may differ in the last digit."""
    models = read_json(METRICS_DIR / "evaluate.json")["models"]
    table = text_of(ROOT / "docs/results.md").partition("## The generated sample")[2].partition("\n\nThe sample")[0]
    rows = re.findall(r"^\| (\w+)(?: \(selected\))? \| ([\d.]+) \(([\d.]+)-([\d.]+)\) \| (.+) \|$", table, re.M)
    assert [row[0] for row in rows] == list(models)
    for name, accuracy, low, high, rest in rows:
        interval = models[name]["interval"]["top1_accuracy"]
        stated = [float(cell) for cell in (accuracy, low, high, *rest.split(" | "))]
        keys = ("macro_f1", "log_loss", "ece")
        taken = [models[name]["top1_accuracy"], interval["low"], interval["high"], *(models[name][key] for key in keys)]
        assert stated == pytest.approx(taken, abs=0.0051)


@pytest.mark.skipif(not (METRICS_DIR / "study.csv").is_file(), reason="an output: the pipeline has not run here")
def test_the_study_in_the_results_is_that_of_the_metrics():
    runs = read_csv(METRICS_DIR / "study.csv")
    for lr, batch_size in dict.fromkeys((run["lr"], run["batch_size"]) for run in runs):
        own = [run for run in runs if (run["lr"], run["batch_size"]) == (lr, batch_size)]
        (row,) = re.findall(rf"^\| {lr} \| {batch_size} \| (.+) \|$", text_of(ROOT / "docs/results.md"), re.M)
        models = list(dict.fromkeys(run["model"] for run in own))
        for model, cell in zip(models, row.split(" | "), strict=True):
            scores = [run for run in own if run["model"] == model]
            means = [sum(float(run[key]) for run in scores) / len(scores) for key in ("log_loss", "top1_accuracy")]
            assert [float(part) for part in cell.split(" / ")] == pytest.approx(means, abs=0.0051)
