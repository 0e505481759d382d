"""Write the tables of the last run into README.md and docs/results.md.

    python docs/tables.py

Between `<!-- begin NAME -->` and `<!-- end NAME -->` stands what the function of that name makes of the files in
metrics/ and benchmarks/results/. A table whose files are missing, or cannot be read, stays as it is.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import fmean, stdev

from tandem.errors import DamagedFileError
from tandem.evaluation import summary
from tandem.files import read_csv, read_json

ROOT = Path(__file__).resolve().parents[1]
PAGES = tuple(
    ROOT / page
    for page in ("README.md", "docs/results.md", "docs/reliability.md", "docs/benchmarks.md", "docs/scale.md")
)
METRICS_DIR = ROOT / "metrics"
RESULTS_DIR = ROOT / "benchmarks/results"


def main() -> None:
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")


def filled(text: str) -> str:
    """The page with each of its tables made anew."""
    for name, make in TABLES.items():
        begin, end = f"<!-- begin {name} -->\n", f"\n<!-- end {name} -->"
        try:
            table = make()
        except DamagedFileError:
            continue
        replaced = f"{begin}\n{table}\n{end}".replace("\\", r"\\")
        text = re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", replaced, text, flags=re.DOTALL)
    return text


def sample_output() -> str:
    """The table with which a run ends, as the terminal shows it."""
    table = summary.format_results(read_json(METRICS_DIR / "evaluate.json")).strip()
    scores, *_ = table.split("\n\n")
    return f"```\n{scores}\n```"


def sample_scores() -> str:
    """One row a model: its scores on test."""
    evaluation = read_json(METRICS_DIR / "evaluate.json")
    lines = [
        "| model | top-1 accuracy (95 % interval) | macro F1 | log loss | ECE |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, scores in evaluation["models"].items():
        mark = " (selected)" if name == evaluation["selected"]["model"] else ""
        bounds = scores["interval"]["top1_accuracy"]
        accuracy = f"{scores['top1_accuracy']:.3f} ({bounds['low']:.2f}-{bounds['high']:.2f})"
        rest = (f"{scores[key]:.3f}" for key in ("macro_f1", "log_loss", "ece"))
        lines.append(f"| {' | '.join([f'{name}{mark}', accuracy, *rest])} |")
    return "\n".join(lines)


def sample_study() -> str:
    """One row a pair of learning rate and batch size: log loss and top-1 accuracy of each model, means over seeds."""
    runs = read_csv(METRICS_DIR / "study.csv")
    models = list(dict.fromkeys(run["model"] for run in runs))
    lines = [f"| lr | batch size | {' | '.join(models)} |", f"| {' | '.join(['---'] * (2 + len(models)))} |"]
    for pair in dict.fromkeys((run["lr"], run["batch_size"]) for run in runs):
        own = [run for run in runs if (run["lr"], run["batch_size"]) == pair]
        cells = (study_cell([run for run in own if run["model"] == model]) for model in models)
        lines.append(f"| {' | '.join([*pair, *cells])} |")
    return "\n".join(lines)


def study_cell(runs: list[dict[str, str]]) -> str:
    """Mean log loss and top-1 accuracy."""
    return " / ".join(f"{fmean(float(run[key]) for run in runs):.2f}" for key in ("log_loss", "top1_accuracy"))


def known_sets() -> str:
    """One row an archive: its leaks, and what a random split claims beside the truth."""
    lines = [
        "| set | files | classes | exact copies | near-duplicate pairs | across its own split | label conflicts "
        "| random split claims | without leakage |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for known in read_json(RESULTS_DIR / "known_sets.json")["sets"]:
        across = known.get("pairs_across_own_split")
        counts = (known[key] for key in ("files", "classes", "exact_copies", "near_duplicate_pairs"))
        cells = [known["name"], *counts, "no split" if across is None else across, known["label_conflicts"]]
        cells = ["too few" if cell is None else cell for cell in cells]
        cells += [split_cell(known, split) for split in ("random_split", "group_aware_split")]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def split_cell(known: Mapping[str, float | None], split: str) -> str:
    """Mean accuracy over repeated splits and its standard deviation."""
    accuracy, deviation = known.get(f"{split}_accuracy"), known.get(f"{split}_stdev")
    return "too few" if accuracy is None else f"{accuracy:.3f} ± {deviation:.3f}"


# Column -> method in the record of benchmarks/near_duplicates.py.
METHODS = {
    "Tandem": "ours",
    "plain features": "plain features, tuned",
    "FiftyOne Brain": "FiftyOne Brain, tuned",
    "Brain's default": "FiftyOne Brain, default",
    "imagededup pHash": "imagededup PHash, tuned",
    "fastdup": "fastdup, tuned",
    "fastdup's default": "fastdup, default",
    "difPy": "difPy, tuned",
    "CleanVision's default": "CleanVision, default",
}


def near_duplicates() -> str:
    """One row a transformation: the recall of each method; then recall and precision over all of them."""
    recorded = {method["name"]: method for method in read_json(RESULTS_DIR / "near_duplicates.json")["methods"]}
    methods = [recorded[name] for name in METHODS.values()]
    rows = {
        name: [f"{method['recall_by_transformation'][name]:.3f}" for method in methods]
        for name in methods[0]["recall_by_transformation"]
    }
    rows["**all**"] = [f"{method['recall']:.3f}" for method in methods]
    rows["**precision**"] = [f"{method['precision']:.4f}" for method in methods]
    lines = [f"| recall | {' | '.join(METHODS)} |", f"| {' | '.join(['---'] * (1 + len(METHODS)))} |"]
    return "\n".join(lines + [f"| {' | '.join([name, *cells])} |" for name, cells in rows.items()])


# Row of the table of real photographs -> what is required, and the model in the record of benchmarks/real_photos.py.
PHOTO_MODELS = {
    "MobileNetV2, frozen: top-1 accuracy on test": ("0.905", "mobilenet_v2"),
    "MobileNetV2, last layer fine-tuned, beside it": ("0.92", "mobilenet_v2_tuned"),
    "ResNet-50, random weights, frozen": ("", "resnet50"),
    **{f"ensemble: {kind}": ("", kind) for kind in ("mean", "weighted", "greedy", "stack", "logit", "feature")},
    "selected": ("", "selected"),
}
# Row -> what is required, and the figures that fill its cells.
PHOTO_FIGURES = {
    "fine-tuned minus frozen": ("> 0", "{fine-tuned minus frozen}"),
    "selected minus best single (95 % interval over groups)": (
        "> 0",
        "{selected minus best single} ({selected minus best single, 95 % interval over groups, low} to "
        "{selected minus best single, 95 % interval over groups, high})",
    ),
    "ECE of the selected model, all splits together": ("0.03", "{ECE of what is selected, all splits pooled}"),
    "the same of a calibrated model: mean, 95 % below": (
        "",
        "{ECE expected if calibrated, mean}, {ECE expected if calibrated, 95 % of resamples below}",
    ),
    "near-duplicate pairs across splits": ("0", "{near-duplicate pairs across splits}"),
    "known near duplicates found": ("11", "{known near duplicates found}"),
    "whole run, all frozen, s": ("360", "{whole run, all frozen, s}"),
    "study: 2 backbones, 4 ensembles, 4 pairs, 3 seeds, s": (
        "60",
        "{study, 2 backbones + 4 ensembles x 4 pairs x 3 seeds, s}",
    ),
    "ResNet-50 trained from random weights, s": ("900", "{ResNet-50 trained from random weights, s}"),
    "**what a random split claims for the same MobileNetV2 head**": (
        "",
        "**{mobilenet_v2 on a random split (leaky), top-1 accuracy}**",
    ),
}


def real_photographs() -> str:
    """One row a model: its accuracy on both sets; then what holds for all vehicles."""
    figures = {figure["what"]: figure for figure in read_json(RESULTS_DIR / "real_photos.json")["figures"]}
    lines = ["| | required | vehicles | scenes |", "| --- | --- | --- | --- |"]
    for name, (required, model) in PHOTO_MODELS.items():
        vehicles, scenes = (photo_cell(figures, preset, model) for preset in ("vehicles", "scenes"))
        lines.append(f"| {name} | {required} | {vehicles} | {scenes} |")
    for name, (required, cell) in PHOTO_FIGURES.items():
        filled_in = re.sub(r"\{([^}]+)\}", lambda found: figures[f"vehicles: {found[1]}"]["reached"], cell)
        lines.append(f"| {name} | {required} | {filled_in} | |")
    return "\n".join(lines)


def photo_cell(figures: Mapping[str, Mapping[str, str]], preset: str, model: str) -> str:
    """Mean accuracy over split seeds, lowest and highest."""
    key = f"{preset}: {model}, top-1 accuracy"
    if key not in figures:
        return ""
    low, high = (float(figures[f"{key}, {end} of a split"]["value"]) for end in ("lowest", "highest"))
    return f"{figures[key]['reached']} ({low:.2f}-{high:.2f})"


# Column -> the figure of a model in the record of benchmarks/predict.py.
EXPORTED_FIGURES = {
    "probs to torch in fp32": "largest difference of a prob to fp32",
    "to what was scored": "largest difference of a prob to what was scored",
    "test images with another class": "test images with another class than was scored",
    "images/s": "predict from files, images/s",
    "images/s by `--fast`": "predict --fast from files, images/s",
    "`extract`": "extract for its backbones, images/s",
    "`--fast` to fp32": "largest difference of a prob by --fast to fp32",
    "MB": "size of the file, MB",
}


def exported_models() -> str:
    """One row a model of the sample's results: how near its file is, how fast and how large."""
    figures = {figure["what"]: figure["reached"] for figure in read_json(RESULTS_DIR / "predict.json")["figures"]}
    names = [what.partition(": ")[0] for what in figures if what.endswith(EXPORTED_FIGURES["MB"])]
    lines = [f"| model | {' | '.join(EXPORTED_FIGURES)} |", f"| {' | '.join(['---'] * (1 + len(EXPORTED_FIGURES)))} |"]
    for name in names:
        cells = (figures[f"{name}: {what}"] for what in EXPORTED_FIGURES.values())
        lines.append(f"| {' | '.join([name, *cells])} |")
    return "\n".join(lines)


def survived(record: str) -> str:
    """One row a figure of a record of benchmarks/: how many faults were tried, and how many survived."""
    figures = read_json(RESULTS_DIR / f"{record}.json")["figures"]
    rows = [(figure["what"].partition(", survived"), figure) for figure in figures if ", survived" in figure["what"]]
    lines = ["| | tried | survived |", "| --- | --- | --- |"]
    lines += [f"| {name}{faults} | {figure['required']} | {figure['reached']} |" for (name, _, faults), figure in rows]
    return "\n".join(lines)


def mutants() -> str:
    """One row a group of modules: how many mutants were tried, and how many of those that count a test noticed."""
    groups = read_json(RESULTS_DIR / "mutants.json")["groups"]
    lines = ["| | tried | equivalent | killed | rate |", "| --- | --- | --- | --- | --- |"]
    for name, counts in groups.items():
        rate = counts["killed"] / max(1, counts["tried"] - counts["equivalent"])
        lines.append(f"| {name} | {' | '.join(map(str, counts.values()))} | {rate:.3f} |")
    return "\n".join(lines)


def survivors() -> str:
    """One row a survivor that is not equivalent, and why no test was written."""
    rows = read_json(RESULTS_DIR / "mutants.json")["survivors"]
    lines = ["| function | was | became | why it may |", "| --- | --- | --- | --- |"]
    for row in rows:
        if row["kind"] != "equivalent":
            cells = (row["function"].removeprefix("tandem."), row["was"], row["becomes"])
            lines.append(f"| {' | '.join(f'`{cell}`' for cell in cells)} | {row['reason']} |".replace("||", "| |"))
    return "\n".join(lines)


# Set in the record of benchmarks/rerun.py -> what it is called.
RERUN_SETS = {"generated": "generated images of 48 px", "vehicles": "photographs, the vehicles preset"}
# Column -> its key in a row of the record.
RERUN_COLUMNS = {
    "decoded by `ingest`": "decoded_by_ingest",
    "passes through frozen backbones": "passes",
    "decoded by `curate`": "decoded_by_curate",
    "by other stages": "decoded_elsewhere",
    "s of all cores": "core_seconds",
    "s": "seconds",
}


def reruns() -> str:
    """One row a change, after everything, for each set that was run."""
    recorded = read_json(RESULTS_DIR / "rerun.json")
    lines = [f"| | {' | '.join(RERUN_COLUMNS)} |", f"| {' | '.join(['---'] * (1 + len(RERUN_COLUMNS)))} |"]
    for name, title in RERUN_SETS.items():
        rows = recorded.get(name, ())
        lines += [f"| **{title}** {'| ' * len(RERUN_COLUMNS)}|"] if rows else []
        for row in rows:
            lines.append(f"| {' | '.join([row['change'], *(f'{row[key]:,}' for key in RERUN_COLUMNS.values())])} |")
    return "\n".join(lines)


GROWTH_STAGES = ("download", "ingest", "merge", "extract", "curate")


def growth() -> str:
    """One row a number of images; then how an image's time grows, and how much memory is held."""
    figures = {figure["what"]: figure for figure in read_json(RESULTS_DIR / "growth.json")["figures"]}
    sizes = [what.split()[1] for what in figures if re.fullmatch(r"merge: \d+ images, s", what)]
    rows = {
        f"{int(size):,}, core-ms an image": [f"{{}}: {size} images, ms of all cores an image", f"{size} images, s"]
        for size in sizes
    }
    rows |= {f"{int(size):,}, peak memory, MB": [f"{{}}: {size} images, peak memory, MB"] for size in sizes}
    ratios = ("time an image", "peak memory without tables")
    for ratio in ratios:
        found = next(what.partition(": ")[2] for what in figures if ratio in what)
        required = next(figures[what]["required"] for what in figures if ratio in what)
        ends = [f"{int(number):,}" for number in re.findall(r"\d+", found)]
        rows[f"{ratio}, {' against '.join(ends)} (required {required})"] = [f"{{}}: {found}"]
    nothing = [what for what in figures if what.startswith("nothing to do: s, ")]
    lines = [
        f"| images | {' | '.join(GROWTH_STAGES)} | `dvc repro` with nothing to do, s |",
        f"| {' | '.join(['---'] * (2 + len(GROWTH_STAGES)))} |",
    ]
    for title, (form, *size) in rows.items():
        cells = [growth_cell(figures, form.format(stage)) for stage in GROWTH_STAGES]
        last = [f"nothing to do: {each}" for each in size] or (nothing if title.startswith(ratios[0]) else [])
        lines.append(f"| {' | '.join([title, *cells, growth_cell(figures, *last)])} |")
    return "\n".join(lines)


def growth_cell(figures: Mapping[str, Mapping[str, str]], *names: str) -> str:
    """What was reached, marked where it falls short; nothing where it was not measured."""
    found = [figures[name] for name in names if name in figures]
    return "".join(each["reached"] if each["is_reached"] else f"**{each['reached']}, falls short**" for each in found)


def backbones() -> str:
    """One row a backbone or a mean of several: its accuracy over splits, the highest first."""
    accuracies = read_json(RESULTS_DIR / "backbones.json")["top1_accuracy"]
    lines = ["| | top-1 accuracy | standard deviation over splits |", "| --- | --- | --- |"]
    for name, each in sorted(accuracies.items(), key=lambda item: -fmean(item[1])):
        lines.append(f"| {name} | {fmean(each):.4f} | {stdev(each):.4f} |")
    return "\n".join(lines)


CLUSTER_ROWS = {
    "images/s, one machine of one core, without Ray": "images/s, one machine",
    "images/s, one node": "images/s, one node",
    "images/s, two nodes": "images/s, two nodes",
    "two nodes over one, median of the rounds": "two nodes over one",
    "one node over one machine, the same": "one node over one machine",
    "the driver's process, core-ms an image": "the driver, core-ms an image",
    "images/s that one driver can take at that": "images/s that a driver can take",
    "different bytes of one machine, one node, two, and two of which one was killed (required 1)": "different bytes",
}


def cluster() -> str:
    """One row a figure, for both stages."""
    found = {figure["what"]: figure["reached"] for figure in read_json(RESULTS_DIR / "cluster.json")["figures"]}
    lines = ["| | ingest | extract |", "| --- | --- | --- |"]
    for title, name in CLUSTER_ROWS.items():
        cells = [found[f"{stage}: {name}"] for stage in ("ingest", "extract")]
        lines.append(f"| {' | '.join([title, *cells])} |")
    return "\n".join(lines)


TABLES: Mapping[str, Callable[[], str]] = {
    "sample output": sample_output,
    "sample scores": sample_scores,
    "sample study": sample_study,
    "known sets": known_sets,
    "near duplicates": near_duplicates,
    "real photographs": real_photographs,
    "exported models": exported_models,
    "backbones": backbones,
    "mutated inputs": partial(survived, "mutated_inputs"),
    "kills": partial(survived, "kills"),
    "disks": partial(survived, "disks"),
    "mutants": mutants,
    "survivors": survivors,
    "reruns": reruns,
    "growth": growth,
    "cluster": cluster,
}

if __name__ == "__main__":
    main()
