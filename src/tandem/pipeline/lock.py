"""What `dvc.lock` says of the last run: the parameters that its stages ran with, and where they differ from others."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tandem.errors import DataError
from tandem.files import parse_yaml
from tandem.pipeline.params import PARAMS_PATH

ABSENT = "absent"
# stage -> the section whose keys it runs for; all others run for backbones
_ITEMS_OF = {"download": "sources", "ingest": "sources"}


@dataclass(frozen=True)
class ParamChange:
    """key: dotted, of params.yaml. ran_with: its value in the last run. is_now: its value in params.yaml; or ABSENT."""

    key: str
    ran_with: Any
    is_now: Any


def read_lock(path: Path) -> dict[str, Any]:
    """The stages in `dvc.lock` by their names; none where there is no such file. Raises DataError for a damaged one."""
    if not path.is_file():
        return {}
    try:
        stages = dict(parse_yaml(path.read_text(encoding="utf-8"))["stages"])
        _require_digests(stages)
        return stages
    except (ValueError, TypeError, KeyError, AttributeError):
        raise DataError(f"{path} cannot be read; take it from git again: `git checkout {path.name}`") from None


def require_whole_locks(root: Path = Path()) -> None:
    """Raise DataError that names a lock file which DVC left cut, since it was killed, or the disk was full.

    DVC does not write them whole or not at all, and ends with exit code 255 until the file is mended.
    """
    read_lock(root / "dvc.lock")
    path = root / ".dvc/tmp/rwlock"
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return
    except ValueError:
        raise DataError(f"{path} was cut short when dvc was killed; remove it: `rm {path}`") from None


def changed_params(stages: Mapping[str, Any], params: Mapping[str, Any]) -> list[ParamChange]:
    """Where `params` differ from what any stage last ran with, each key once, in the order of the stages."""
    found: dict[str, ParamChange] = {}
    for name, stage in stages.items():
        if _is_of(name, params):
            for key, value in stage.get("params", {}).get(str(PARAMS_PATH), {}).items():
                for each in _compared(key, value, _at(key, params)):
                    found.setdefault(each.key, each)
    return list(found.values())


def sources_of_run(stages: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """`sources` of params.yaml as the merge last ran with it."""
    ran_with = stages.get("merge", {}).get("params", {}).get(str(PARAMS_PATH), {})
    return dict(ran_with.get("sources", {}))


def _require_digests(stages: Mapping[str, Any]) -> None:
    """Raise TypeError or KeyError where a file has none: what is left of a text that was cut may still be YAML."""
    for entry in stages.values():
        for file in (*entry.get("deps", ()), *entry.get("outs", ())):
            if not isinstance(file["md5"], str):
                raise TypeError(f"{file['path']} has no digest")


def _is_of(name: str, params: Mapping[str, Any]) -> bool:
    """Whether a stage belongs to these parameters; the lock keeps those of sources and backbones that were removed."""
    stage, _, item = name.partition("@")
    return not item or item in params.get(_ITEMS_OF.get(stage, "backbones"), {})


def _at(key: str, params: Mapping[str, Any]) -> Any:
    value: Any = params
    for name in key.split("."):
        value = value.get(name, ABSENT) if isinstance(value, Mapping) else ABSENT
    return value


def _compared(key: str, ran_with: Any, is_now: Any) -> Iterator[ParamChange]:
    if isinstance(ran_with, Mapping) and isinstance(is_now, Mapping):
        for name in {**ran_with, **is_now}:
            yield from _compared(f"{key}.{name}", ran_with.get(name, ABSENT), is_now.get(name, ABSENT))
    elif ran_with != is_now:
        yield ParamChange(key, ran_with, is_now)
