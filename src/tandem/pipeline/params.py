"""Reads `params.yaml`. What it may say is checked once, by the `check` stage (`tandem.pipeline.schema`)."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tandem.errors import ParamsError

PARAMS_PATH = Path("params.yaml")


def read_params(path: Path = PARAMS_PATH) -> dict[str, Any]:
    """The parameters as plain dicts, lists and scalars, by YAML 1.2 rules (1e-3 is a number), as DVC reads them."""
    try:
        params = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError(f"{path} is missing here; run from the project's folder, or copy a preset over it") from None
    except (YAMLError, ValueError) as error:  # ValueError: not UTF-8, or a date like 2024-13-01
        raise ParamsError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(params, dict):
        raise ParamsError(f"{path} must hold sections with keys; it holds {params!r}; copy a preset over it")
    return params
