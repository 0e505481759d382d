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
    "SSCD": "SSCD, tuned",
    "SSCD's student": "SSCD-student, tuned",
}


def near_duplicates() -> str:
    """One row a transformation: the recall of each method; then recall and precision over all of them."""
    recorded = {method["name"]: method for method in read_json(RESULTS_DIR / "near_duplicates.json")["methods"]}
    names = {column: name for column, name in METHODS.items() if name in recorded}
    methods = [recorded[name] for name in names.values()]
    rows = {
        name: [f"{method['recall_by_transformation'][name]:.3f}" for method in methods]
        for name in methods[0]["recall_by_transformation"]
    }
    rows["**all**"] = [f"{method['recall']:.3f}" for method in methods]
    rows["**precision**"] = [f"{method['precision']:.4f}" for method in methods]
    lines = [f"| recall | {' | '.join(names)} |", f"| {' | '.join(['---'] * (1 + len(names)))} |"]
    return "\n".join(lines + [f"| {' | '.join([name, *cells])} |" for name, cells in rows.items()])


# Row of the table of real photographs -> what is required, and the model in the record of benchmarks/real_photos.py.
PHOTO_MODELS = {
    "MobileNetV2, frozen: top-1 accuracy on test": ("", "mobilenet_v2"),
    "EfficientNet-Lite0, frozen": ("", "lite0"),
    "the same up to `blocks.5`": ("", "lite0_early"),
    "EfficientNet-Lite2, frozen": ("0.93", "lite2"),
    "EfficientNet-Lite2 up to `blocks.5`": ("", "lite2_early"),
    **{f"ensemble: {kind}": ("", kind) for kind in ("mean", "weighted", "greedy", "stack", "logit", "feature")},
    "student": ("", "student"),
    "selected": ("0.94 (vehicles), 0.90 (scenes)", "selected"),
}
# Row -> what is required, and the figures that fill its cells.
PHOTO_FIGURES = {
    **{
        f"{difference} (95 % interval over groups)": (
            required,
            f"{{{difference}}} ({{{difference}, 95 % interval over groups, low}} to "
            f"{{{difference}, 95 % interval over groups, high}})",
        )
        for difference, required in (
            ("selected minus best single", "low > 0"),
            ("student minus selected", "low >= -0.005"),
        )
    },
    "ECE of the selected model, all splits together": ("0.025", "{ECE of what is selected, all splits pooled}"),
    "the same of a calibrated model: mean, 95 % below": (
        "",
        "{ECE expected if calibrated, mean}, {ECE expected if calibrated, 95 % of resamples below}",
    ),
    "study: log loss at the best pair, at the worst; spread over seeds": (
        "",
        "{study, log loss at the best pair}, {study, log loss at the worst pair}; {study, spread over seeds}",
    ),
    "near-duplicate pairs across splits": ("0", "{near-duplicate pairs across splits}"),
    "known near duplicates found": ("11", "{known near duplicates found}"),
    "**what a random split claims for the same MobileNetV2 head**": (
        "",
        "**{the same on a random split (leaky)}**",
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


def calibration() -> str:
    """One row a model: log loss on test by each way to a temperature."""
    losses = read_json(RESULTS_DIR / "calibration.json")["log_loss"]
    ways = list(next(iter(losses.values())))
    lines = [f"| | {' | '.join(ways)} |", f"| --- | {' | '.join(['---'] * len(ways))} |"]
    lines += [f"| {model} | {' | '.join(f'{by[how]:.3f}' for how in ways)} |" for model, by in losses.items()]
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


def selection() -> str:
    """One row a strategy and set: its accuracy by the number of labels, and its gain over a random choice."""
    record = read_json(RESULTS_DIR / "selection_curve.json")
    values = {each["what"]: each["value"] for each in record["figures"]}
    tables = []
    for preset, labels in record["labels"].items():
        lines = [f"| {preset}, labels | {' | '.join(map(str, labels))} | gain over random (95 % interval) |"]
        lines.append(f"| {' | '.join(['---'] * (2 + len(labels)))} |")
        for name, each in record["top1_accuracy"][preset].items():
            gain = "" if name == "random" else selection_gain(values, f"{preset}: {name}")
            lines.append(f"| {' | '.join([name, *(f'{value:.3f}' for value in each), gain])} |")
        tables.append("\n".join(lines))
    return "\n\n".join(tables)


def selection_gain(values: Mapping[str, float], name: str) -> str:
    """The mean over rounds, with its interval."""
    low, high = (values[f"{name}, {end} limit of the interval"] for end in ("lower", "upper"))
    return f"{values[f'{name} less random, mean top-1 accuracy over rounds']:+.4f} ({low:+.4f} to {high:+.4f})"


def drift() -> str:
    """One row a kind of new images: in what fraction of the draws drift was found."""
    figures = read_json(RESULTS_DIR / "drift.json")["figures"]
    lines = ["| new images | required | drift found in |", "| --- | --- | --- |"]
    for each in figures:
        name, end, _ = each["what"].partition(": drift found in")
        if end:
            lines.append(f"| {name} | {each['required'] or ''} | {each['reached']} |")
    return "\n".join(lines)


def heads() -> str:
    """One row a set and backbone: the logistic head, then the linear one of the preset and of each pair, less it."""
    sets = read_json(RESULTS_DIR / "heads.json")["sets"]
    linear = [head for head in next(iter(sets.values())) if head != "logistic"]
    lines = [
        f"| | logistic | {' | '.join('preset' if head == 'linear' else head for head in linear)} |",
        f"| {' | '.join(['---'] * (2 + len(linear)))} |",
    ]
    for name, found in sets.items():
        means = {head: [fmean(scores[key]) for key in ("top1_accuracy", "log_loss")] for head, scores in found.items()}
        accuracy, loss = means["logistic"]
        cells = (f"{means[head][0] - accuracy:+.3f} / {means[head][1] - loss:+.3f}" for head in linear)
        lines.append(f"| {' | '.join([name, f'{accuracy:.3f} / {loss:.3f}', *cells])} |")
    return "\n".join(lines)


def unknown_means() -> dict[str, float]:
    """Name of a number -> its mean over splits."""
    return {name: fmean(values) for name, values in read_json(RESULTS_DIR / "unknown.json")["on_splits"].items()}


def none_of_these() -> str:
    """One row a kind of images that are of no class: how well they are told from vehicles."""
    found = unknown_means()
    lines = ["| images of | AUROC | FPR at 95 % TPR | flagged |", "| --- | --- | --- | --- |"]
    for name in (name.removeprefix("FPR95: ") for name in found if name.startswith("FPR95: ")):
        cells = (f"{found[f'{key}: {name}']:.3f}" for key in ("AUROC", "FPR95", "flagged"))
        lines.append(f"| {' | '.join([name, *cells])} |")
    held_out = (f"{found[f'held-out class: {key}']:.3f}" for key in ("auroc", "fpr_at_95_tpr", "flagged"))
    lines.append(f"| {' | '.join(['each class in turn, not seen', *held_out])} |")
    return "\n".join(lines)


def ood_scores() -> str:
    """One row a score, the best first: its AUROC of scenes and of buses, on the splits on which all were tried."""
    values = read_json(RESULTS_DIR / "unknown.json")["on_splits"]
    num_splits = min(map(len, values.values()))
    found = {name: fmean(each[:num_splits]) for name, each in values.items()}
    ours = {"cosine to the nearest class mean (taken)": (found["AUROC: scenes"], found["AUROC: bus"])}
    names = [name[7:-8] for name in found if name.startswith("AUROC, ") and name.endswith(": scenes")]
    rows = ours | {name: (found[f"AUROC, {name}: scenes"], found[f"AUROC, {name}: bus"]) for name in names}
    lines = ["| score | scenes | buses |", "| --- | --- | --- |"]
    for name, (scenes, buses) in sorted(rows.items(), key=lambda row: -row[1][0]):
        lines.append(f"| {name} | {scenes:.3f} | {buses:.3f} |")
    return "\n".join(lines)


def prediction_sets() -> str:
    """One row a way to make prediction sets."""
    found = unknown_means()
    names = {"sets": "threshold (taken)"} | {
        name.removesuffix(": coverage"): name.removeprefix("sets, ").removesuffix(": coverage")
        for name in found
        if name.startswith("sets, ") and name.endswith(": coverage")
    }
    lines = ["| | coverage | classes in a set |", "| --- | --- | --- |"]
    for key, name in names.items():
        lines.append(f"| {name} | {found[f'{key}: coverage']:.3f} | {found[f'{key}: mean_size']:.3f} |")
    return "\n".join(lines)


# Row of the table of wrong labels -> the figure of benchmarks/wrong_labels.py.
WRONG_LABELS = {
    "photographs, MobileNetV2: of 9 wrong labels, among the first 5 % of their class": "photographs: wrong labels",
    "photographs, MobileNetV2 and EfficientNet-Lite2: the same": "photographs, and Lite2: wrong labels",
    "sample: recall of 7 planted ones among the first 14": "sample: recall",
}


def wrong_labels() -> str:
    """One row a required figure."""
    figures = read_json(RESULTS_DIR / "wrong_labels.json")["figures"]
    lines = ["| | required | reached |", "| --- | --- | --- |"]
    for row, start in WRONG_LABELS.items():
        found = {each["what"]: each for each in figures if each["what"].startswith(start)}
        (each,) = found.values()
        lines.append(f"| {row} | {each['required'].removeprefix('>= ')} | {growth_cell(found, each['what'])} |")
    return "\n".join(lines)


def planted_noise() -> str:
    """One row a set and rate: our average precision, cleanlab's by default, the difference, and its best method's."""
    figures = {each["what"]: each for each in read_json(RESULTS_DIR / "planted_noise.json")["figures"]}
    lines = [
        "| set, wrong labels | Tandem | cleanlab | Tandem less cleanlab (95 % interval) | cleanlab's best method |",
        "| --- | --- | --- | --- | --- |",
    ]
    for what in [name.removesuffix(": average precision") for name in figures if name.endswith(": average precision")]:
        start = f"{what}: ours less its, 95 % interval"
        low, high = figures[f"{start}, low"], figures[f"{start}, high"]
        mark = "" if low["is_reached"] else " **falls short**"
        (best,) = (each for name, each in figures.items() if name.startswith(f"{what}: its best method"))
        ours, its = (figures[f"{what}: {end}"] for end in ("average precision", "that of cleanlab, self_confidence"))
        interval = f"{(low['value'] + high['value']) / 2:+.4f} ({low['value']:+.4f} to {high['value']:+.4f}){mark}"
        name = best["what"].rpartition(", ")[2]
        lines.append(f"| {what} | {ours['reached']} | {its['reached']} | {interval} | {best['reached']}, {name} |")
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
    """One row a figure, one column a stage; a fine-tune costs the driver nothing, and no node is killed in it there."""
    found = {figure["what"]: figure["reached"] for figure in read_json(RESULTS_DIR / "cluster.json")["figures"]}
    stages = [stage for stage in ("ingest", "extract", "search", "finetune") if f"{stage}: different bytes" in found]
    lines = [f"| {' | '.join(['', *stages])} |".replace("|  |", "| |"), "| --- " * (len(stages) + 1) + "|"]
    for title, name in CLUSTER_ROWS.items():
        cells = [found.get(f"{stage}: {name}", "") for stage in stages]
        lines.append(f"| {' | '.join([title, *cells])} |")
    return "\n".join(lines)


TABLES: Mapping[str, Callable[[], str]] = {
    "sample output": sample_output,
    "sample scores": sample_scores,
    "sample study": sample_study,
    "known sets": known_sets,
    "near duplicates": near_duplicates,
    "wrong labels": wrong_labels,
    "planted noise": planted_noise,
    "real photographs": real_photographs,
    "exported models": exported_models,
    "backbones": backbones,
    "calibration": calibration,
    "drift": drift,
    "selection": selection,
    "heads": heads,
    "none of these": none_of_these,
    "OOD scores": ood_scores,
    "prediction sets": prediction_sets,
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
