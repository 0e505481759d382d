"""The project in a folder: its parameters, what DVC left behind, and what its sources still need."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tandem.doctor.findings import Diagnosis
from tandem.doctor.machine import Needs
from tandem.errors import PipelineError
from tandem.files import list_files
from tandem.pipeline.lock import require_whole_locks
from tandem.pipeline.params import PARAMS_PATH
from tandem.pipeline.preflight import check_project
from tandem.pipeline.problems import problems_in
from tandem.pipeline.schema import Params, check_params
from tandem.sources.settings import Source


@dataclass(frozen=True)
class Project:
    """params: of the folder, None where they are not valid. problems: why. warnings: of valid ones.

    fetched: sources that the last run has downloaded. damaged: of a lock file that DVC left cut.
    """

    root: Path
    params: Params | None
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    fetched: frozenset[str]
    damaged: str


def is_project(root: Path) -> bool:
    """Whether a folder has parameters or a pipeline."""
    return (root / PARAMS_PATH).exists() or (root / "dvc.yaml").exists()


def read_project(root: Path) -> Project:
    """What can be known of a project before it runs."""
    fetched, damaged = frozenset[str](), ""
    try:
        require_whole_locks(root)
        fetched = _fetched(root / "dvc.lock")
    except PipelineError as error:
        damaged = str(error)
    try:
        params, warnings = check_project(root)
    except PipelineError as error:
        return Project(root, None, tuple(problems_in(error)), (), fetched, damaged)
    return Project(root, check_params(params), (), tuple(warnings), fetched, damaged)


def _fetched(lock: Path) -> frozenset[str]:
    """Of a lock file that is whole. By its lines, since to parse it once more takes as long as all other checks."""
    text = lock.read_text(encoding="utf-8") if lock.is_file() else ""
    return frozenset(re.findall(r"^  download@([\w-]+):$", text, re.MULTILINE))


def judge_project(found: Project) -> list[Diagnosis]:
    """Its parameters with their warnings, its pipeline, and its lock files."""
    findings = [Diagnosis(str(PARAMS_PATH), "error", text) for text in found.problems] or [_VALID]
    findings += [Diagnosis(str(PARAMS_PATH), "note", text) for text in found.warnings]
    if not (found.root / "dvc.yaml").is_file():
        findings.append(Diagnosis("dvc.yaml", "error", "it is missing", "run from the project's folder"))
    if found.damaged:
        findings.append(Diagnosis("lock files", "error", found.damaged))
    else:
        findings.append(Diagnosis("lock files", "ok", "dvc.lock and .dvc/tmp/rwlock are whole or not there"))
    return findings


_VALID = Diagnosis(str(PARAMS_PATH), "ok", "it is valid, and the files that it names are there")


def unfetched(found: Project) -> dict[str, Source]:
    """The sources that are still to be downloaded; none where the parameters are not valid."""
    sources: Mapping[str, Source] = found.params.sources if found.params else {}
    return {name: source for name, source in sources.items() if name not in found.fetched}


def needs_of(sources: Mapping[str, Source]) -> Needs:
    """The room that sources need: the size of archives and folders; what services have is not known here."""
    on_disk = {name for name, each in sources.items() if each.archive and not each.archive.is_address}
    sizes = [_num_bytes(each.archive.location) for name, each in sources.items() if each.archive and name in on_disk]
    elsewhere = (name for name, each in sources.items() if each.kind != "sample" and name not in on_disk)
    return Needs(sum(sizes), tuple(elsewhere))


def needed_accounts(sources: Mapping[str, Source]) -> dict[str, list[str]]:
    """Kind of source -> the sources of it."""
    kinds = {each.kind for each in sources.values()}
    return {kind: [name for name, each in sources.items() if each.kind == kind] for kind in sorted(kinds)}


def _num_bytes(path: Path) -> int:
    if path.is_dir():
        return sum(each.stat().st_size for each in list_files(path))
    return path.stat().st_size if path.is_file() else 0
