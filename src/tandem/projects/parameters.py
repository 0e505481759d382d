"""params.yaml of a new project: a preset's text, in which `sources`, `labels` and the splits are what the data ask for.

The text is edited, not written anew: comments and all other values stay as they stand in the preset.
"""

import json
import re
from collections.abc import Iterator, Sequence

from tandem.datasets.examples import collect_examples, require_few_bad
from tandem.datasets.labels import label_map
from tandem.errors import DataError
from tandem.files import parse_yaml
from tandem.pipeline.schema import Params, check_params
from tandem.projects.classes import ClassPlan, plan_classes
from tandem.projects.inspection import InspectedSource, described
from tandem.projects.splitting import SURE, Splitting, splitting_for

_PLAIN = re.compile(r"[^\W\d_](?:[\w ./()+-]*[\w./()+-])?")  # needs no quotes, if it is none of these words
_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n", "none"}
_KEY = re.compile(r"(?=^[a-z]\w*:)", re.MULTILINE)
_HEAD = """\
# Every choice of the pipeline, one section a stage. `sources`, `labels` and the splits (`curate`) are what
# `tandem init` made of the data; all else is the preset `{preset}`. `tandem check` says what is wrong with this file.
# yaml-language-server: $schema=params.schema.json

"""


def parameters_for(sources: Sequence[InspectedSource], preset: str, *, name: str) -> tuple[str, ClassPlan]:
    """The text of params.yaml, and which labels its classes are. preset: the text of one. name: its name.

    Raises DataError where the labels make no two classes.
    """
    base = check_params(parse_yaml(preset))
    plan, splitting = _planned(sources, base)
    head, *sections = _KEY.split(preset)
    assert head.startswith("#"), "a preset begins with what it is"
    texts = {section.partition(":")[0]: section for section in sections}
    texts["sources"] = "\n".join(_source_lines(sources)) + "\n\n"
    texts["labels"] = "\n".join(_label_lines(plan)) + "\n\n"
    texts["curate"] = _with_splits(texts["curate"], base, splitting, plan)
    text = _HEAD.format(preset=name) + "".join(texts.values())
    check_params(parse_yaml(text))
    return text, plan


def _planned(sources: Sequence[InspectedSource], base: Params) -> tuple[ClassPlan, Splitting]:
    """Classes each of which is in each split; those that cannot be are ignored."""
    annotations = {source.name: source.annotations for source in sources}
    try:
        plan = plan_classes({source.name: source.labels for source in sources})
    except DataError as error:
        require_few_bad(annotations, max_fraction=base.merge.max_corrupt_fraction)
        beside = "".join(f"\n  {source.name}: {line}" for source in sources for line in source.beside)
        raise DataError(f"{error}{beside}") from None
    examples, _ = collect_examples(annotations, label_map(plan.settings))
    for name in sorted(set(plan.names) - {each.class_name for each in examples}):
        plan = plan.without(name, "all its images show several classes")
    splitting = splitting_for(
        examples,
        roots={source.name: source.root for source in sources},
        fractions=base.curate.fractions,
        seed=base.curate.seed,
        settings=base.ingest,
    )
    for name in splitting.absent:
        plan = plan.without(name, f"{plan.images[name]} images, too few different ones to be in every split")
    return plan, splitting


def _source_lines(sources: Sequence[InspectedSource]) -> Iterator[str]:
    yield "sources:"
    for source in sources:
        yield f"  {source.name}:"
        yield from (f"    # {_one_line(line)}" for line in described(source))
        digest = f", sha256: {source.sha256}" if source.sha256 else ""
        yield "    kind: archive"
        yield f"    archive: {{path: {_scalar(str(source.path), is_flow=True)}{digest}}}"
        yield f"    format: {source.format}"
        if source.boxes:
            margin = f"{source.boxes.margin:g}"
            yield f"    boxes: {{use: {source.boxes.use}, margin: {margin}, min_side_px: {source.boxes.min_side_px}}}"


def _label_lines(plan: ClassPlan) -> Iterator[str]:
    compared = 'compared without case, accents, "_" and "-"' if plan.match == "folded" else "compared as written"
    yield "labels:"
    yield f"  classes: # class: its other names, {compared}"
    for name, aliases in plan.settings.classes.items():
        listed = ", ".join(_scalar(alias, is_flow=True) for alias in aliases)
        yield f"    {_scalar(name)}: [{listed}] # {plan.images[name]} images"
    if plan.ignored:
        yield "  ignore: # to make one of these a class, move it there"
        yield from (f"    - {_scalar(label)} # {reason}" for label, reason in plan.ignored.items())
    else:
        yield "  ignore: []"
    example = "bikes: {classes: {motorcycle: [bike]}, ignore: []}"
    yield f"  by_source: {{}} # names that mean something else in one source, e.g. {example}"
    if plan.match == "exact":
        yield "  match: exact # labels of one letter differ by case alone"


def _with_splits(section: str, base: Params, splitting: Splitting, plan: ClassPlan) -> str:
    smallest = min(plan.images, key=lambda name: (plan.images[name], name))
    why = f"the smallest class, {smallest}, has {plan.images[smallest]} images"
    if splitting.fractions != base.curate.fractions:
        shares = ", ".join(f"{split}: {fraction:g}" for split, fraction in splitting.fractions.by_split().items())
        section = _with_value(section, "fractions", f"{{{shares}}} # larger than usual for val and test: {why}")
    if splitting.seed != base.curate.seed:
        reason = f"the first with which each class of fewer than {SURE} images is in each split"
        section = _with_value(section, "seed", f"{splitting.seed} # {reason}")
    return section


def _with_value(section: str, key: str, value: str) -> str:
    """A section's text with another value, and comment, of one of its keys."""
    text, count = re.subn(rf"^  {key}: .*$", lambda _: f"  {key}: {_one_line(value)}", section, flags=re.MULTILINE)
    assert count == 1, key
    return text


def _scalar(text: str, *, is_flow: bool = False) -> str:
    """A text as YAML: plain where it is read as a text so, else in double quotes. is_flow: within brackets."""
    if not all(char.isprintable() for char in text):
        return json.dumps(text)
    is_path = is_flow and re.fullmatch(r"/[\w./@%+~-]+", text)
    is_plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return text if is_path or is_plain else json.dumps(text, ensure_ascii=False)


def _one_line(text: str) -> str:
    """As a comment can hold it."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
