"""README: one screen, in a fixed order, and no number in it without the file that it was taken from."""

import json
import re
from functools import partial

import pytest

from pages import README, ROOT, fences, script, text_of
from tandem.files import read_json

RESULTS_DIR, METRICS_DIR = ROOT / "benchmarks" / "results", ROOT / "metrics"
RESULTS, PAGE = ROOT / "docs/results.md", text_of(README)
TABLES = script("docs/tables.py")
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


def score_of_tool(name, score):
    methods = read_json(RESULTS_DIR / "near_duplicates.json")["methods"]
    return next(method[score] for method in methods if method["name"] == name)


def lines_of(recorded):
    """All objects with "what" and "value" in it, however deep."""
    if isinstance(recorded, dict) and {"what", "value"} <= recorded.keys():
        yield recorded
    elif isinstance(recorded, dict | list):
        for part in recorded.values() if isinstance(recorded, dict) else recorded:
            yield from lines_of(part)


def metric(name, *keys):
    if not (METRICS_DIR / name).is_file():
        pytest.skip("the pipeline has not run here")
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

    return len([kind for kind in KINDS if kind != "student"])  # which is one network


SELECTED, EXPECTED = ("selected", "top1_accuracy"), ("pooled", "ece_expected_if_calibrated")
# The tools of README's table, in the order of its columns, as the benchmark names them.
TOOLS = ("ours", "FiftyOne Brain, tuned", "imagededup PHash, tuned", "fastdup, tuned", "CleanVision, default")
# What README says, with a group around the number, and where that was taken from.
CLAIMS = (
    (r"claims a top-1 accuracy of ([\d.]+)\.", partial(figure, "real_photos", "vehicles", "random split")),
    (r"The truth is ([\d.]+)\.", partial(figure, "real_photos", "vehicles: frozen MobileNetV2 by group")),
    (r"recall ([\d.]+) at precision", partial(figure, "near_duplicates", "our recall over all transformations")),
    (r"at precision ([\d.]+)\*\*", partial(figure, "near_duplicates", "our precision")),
    (r"leakage: (\d+) near-duplicate pairs", partial(figure, "real_photos", "vehicles", "pairs across splits")),
    (r"would put (\d+) pairs apart", partial(metric, "curate.json", "pairs_leaked_by_random_split")),
    (r"errors: (\d) of 9", partial(figure, "wrong_labels", "photographs, and Lite2", "first 5 %")),
    (r"errors: \d of (\d)\*\*", lambda: len(wrong_labels())),
    (r"(\d+) times as fast", partial(figure, "seed_study", "1 training a pair: times faster")),
    (r": (\d+) faults", faults),
    (r"yes, (\d) ensembles", kinds_of_ensembles),
    *(
        (rf"duplicates: {score} \|(?: \S+ \|){{{column}}} \**([\d.]+)", partial(score_of_tool, tool, score))
        for score in ("recall", "precision")
        for column, tool in enumerate(TOOLS)
    ),
)
IN_RESULTS = (
    (r"scores on (\d+) test images", partial(metric, "evaluate.json", "images")),
    (r"selected\nmodel scores ([\d.]+) \(", partial(metric, "repeated_splits.json", *SELECTED, "mean")),
    (r"model scores [\d.]+ \(([\d.]+)-", partial(metric, "repeated_splits.json", *SELECTED, "low")),
    (r"model scores [\d.]+ \([\d.]+-([\d.]+)\)", partial(metric, "repeated_splits.json", *SELECTED, "high")),
    (r"on all three together, ([\d.]+),", partial(metric, "repeated_splits.json", "pooled", "ece", "value")),
    (r"\(([\d.]+) in the mean, 95 %", partial(metric, "repeated_splits.json", *EXPECTED, "mean")),
    (r"95 % below ([\d.]+);", partial(metric, "repeated_splits.json", *EXPECTED, "high")),
    (r"would have\sput (\d+)\spairs", partial(metric, "curate.json", "pairs_leaked_by_random_split")),
)
# Numbers that measure nothing, and those of a machine: time and disk of an installation are seen in CI.
NO_RESULTS = (
    r"top-1",
    r"x86-64",
    r"Python 3\.11",
    r"4 GB",
    r"7\.2 GB",
    r"about a minute on 2 cores",
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


@pytest.mark.parametrize(("pattern", "value"), IN_RESULTS, ids=[pattern for pattern, _ in IN_RESULTS])
def test_a_number_of_the_sample_in_the_results_is_that_of_the_metrics(pattern, value):
    (stated,) = re.findall(pattern, text_of(RESULTS))
    close = 0.03 if "." in stated else 0  # a run on another kind of processor differs in its last digits
    assert abs(float(stated) - value()) <= close


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


def test_the_readme_shows_ten_lines_of_output():
    (shown,) = [block for block in fences(README, "") if "top-1 accuracy" in block]
    assert 8 <= len(shown.splitlines()) <= 12


@pytest.mark.parametrize("page", TABLES.PAGES, ids=lambda page: page.name)
def test_the_tables_of_the_sample_are_those_of_the_committed_metrics(page):
    """`python docs/tables.py` writes them. A run on another kind of processor differs in its last digits."""
    number = re.compile(r"[-+]?\d+\.\d+")
    stated, made = text_of(page), TABLES.filled(text_of(page))
    assert number.sub("#", stated) == number.sub("#", made)
    for one, other in zip(number.findall(stated), number.findall(made), strict=True):
        assert abs(float(one) - float(other)) < 0.1
    for name in TABLES.TABLES:
        assert len(re.findall(f"<!-- (?:begin|end) {name} -->", "".join(map(text_of, TABLES.PAGES)))) == 2
