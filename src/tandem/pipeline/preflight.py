"""All that can be known before any work: what params.yaml says, and whether what it names is there.

Without torch, and in a second or two; but of a backbone with a file of weights, a layer, pooling or size of its own,
which neither the last run nor a preset has, the network is built, since nothing else says whether they fit.
"""

import os
from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from tandem.datasets.labels import label_map
from tandem.errors import ParamsError, WeightsError
from tandem.features.backbones.catalog import require_known
from tandem.features.backbones.weights_file import require_weights_file
from tandem.features.settings import BackboneSettings
from tandem.pipeline.code.pinned import require_pinned
from tandem.pipeline.effects import without_effect
from tandem.pipeline.lock import read_lock
from tandem.pipeline.params import PARAMS_PATH, key_lines, read_params
from tandem.pipeline.problems import Mistake
from tandem.pipeline.schema import Params, check_params, problems_error, with_line
from tandem.sources.check import archive_problem, folder_names


def check_project(root: Path = Path()) -> tuple[dict[str, Any], list[str]]:
    """The parameters of the project in a folder, and warnings; raises ParamsError that lists all that is wrong.

    And VersionError where another tandem is installed than the project pins.

    A file that the last run read already may be gone: who gets a project's outputs from a remote does not need it.
    """
    require_pinned(root)
    path = root / PARAMS_PATH
    params = read_params(path)
    try:
        valid = check_params(params)
    except ParamsError:
        check_params(params, key_lines(path))  # the same, with the lines, which take a second reading
        raise
    last_run = _LastRun(root)
    problems = list(_backbone_problems(valid.backbones, params, last_run))
    for name, source in valid.sources.items():
        had_it = partial(last_run.had, f"download@{name}", f"sources.{name}.archive", source_of(params, name))
        if text := archive_problem(name, source, may_be_gone=had_it):
            problems.append(Mistake(("sources", name, "archive", "path"), text))
    problems += _unnamed_classes(valid)
    if problems:
        raise problems_error(problems, key_lines(path))
    return params, list(_warnings(params, root))


def source_of(params: Mapping[str, Any], name: str) -> Any:
    """What the archive of a source is, as the file has it."""
    return params["sources"][name].get("archive")


def _backbone_problems(
    backbones: Mapping[str, BackboneSettings], params: Mapping[str, Any], last_run: "_LastRun"
) -> Iterator[Mistake]:
    root, extract = last_run.root, params["extract"]
    for name, backbone in backbones.items():
        path = backbone.path
        had_it = partial(last_run.had, f"extract@{name}", f"backbones.{name}", params["backbones"][name])
        try:
            require_known(name, backbone)
            if backbone.sha256 is not None and (path.exists() or not had_it()):
                require_weights_file(path, digest=backbone.sha256)
            had_size = partial(last_run.had, f"extract@{name}", "extract", extract)
            if _may_not_fit(backbone) and not (had_it() and had_size()) and not _is_in_a_preset(name, params, root):
                _require_fitting(name, backbone, size_px=extract["size_px"])
        except WeightsError as error:
            where = "" if str(error).startswith("backbones.") else f"backbones.{name}: "
            yield Mistake(("backbones", name), f"{where}{error}")


def _may_not_fit(backbone: BackboneSettings) -> bool:
    """Whether weights, layer, pooling or size of a backbone are of the user's own."""
    is_readable = backbone.sha256 is None or backbone.path.is_file()
    return is_readable and ((backbone.sha256, backbone.size_px) != (None, None) or not backbone.is_whole)


def _is_in_a_preset(name: str, params: Mapping[str, Any], root: Path) -> bool:
    """Whether a preset has the same backbone, which fits, for images of the same size."""
    presets = map(read_params, (root / "presets").glob("*.yaml"))
    sizes = (each["extract"]["size_px"] for each in presets if each["backbones"].get(name) == params["backbones"][name])
    return params["extract"]["size_px"] in sizes


def _require_fitting(name: str, backbone: BackboneSettings, *, size_px: int) -> None:
    from tandem.features.backbones.backbone import require_fitting  # torch, and timm where it is the provider: seconds

    require_fitting(name, backbone, size_px=size_px)


def _unnamed_classes(params: Params) -> Iterator[Mistake]:
    """Classes that no label means, where all labels of all sources can be known."""
    labels, found = label_map(params.labels), set[str | None]()
    for name, source in params.sources.items():
        names = folder_names(source)
        if names is None:
            return
        found |= {labels.resolve(each, source=name) for each in names}
    for name in labels.class_names:
        if name not in found:
            text = f"labels.classes.{name}: no folder of any source has this name, nor one of its aliases"
            yield Mistake(("labels", "classes", name), f"{text}; correct it, add an alias, or remove the class")


class _LastRun:
    """What dvc.lock says of a project's last run. It is read when it is asked for: that takes as long as the rest."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def stages(self) -> dict[str, Any]:
        return read_lock(self.root / "dvc.lock")

    def had(self, stage: str, key: str, value: Any) -> bool:
        """Whether a stage had this value of a parameter."""
        ran_with = self.stages.get(stage, {}).get("params", {}).get(str(PARAMS_PATH), {})
        return key in ran_with and ran_with[key] == value


def _warnings(params: Mapping[str, Any], root: Path) -> Iterator[str]:
    presets, paths = list[dict[str, Any]](), sorted((root / "presets").glob("*.yaml"), reverse=True)
    while (problems := list(without_effect(params, presets))) and paths:  # to read all of them takes a while
        presets.append(read_params(paths.pop()))
    lines = key_lines(root / PARAMS_PATH) if problems else {}
    yield from (with_line(problem, lines) for problem in problems)
    folder = os.fsdecode(os.fsencode(root.absolute()))
    if not folder.isascii():
        yield (
            f"the folder {folder} has letters beyond ASCII, with which `dvc exp run --queue`, `dvc queue` and `--temp` "
            "fail; `dvc repro` and `dvc exp run` work"
        )
