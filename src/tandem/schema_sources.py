"""What `sources` of `params.yaml` may say, and what all its sections have in common."""

import difflib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_TWO_NAMES = r"\w[\w-]*/\w[\w.-]*"
Name = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9_-]*$")]


class Section(BaseModel):
    """A section knows its keys, and takes no others."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _keys_are_known(cls, section: Any) -> Any:
        for key in section if isinstance(section, Mapping) else ():
            if key not in cls.model_fields:
                close = difflib.get_close_matches(str(key), cls.model_fields, n=1)
                hint = f"did you mean {close[0]!r}? " if close else ""
                raise ValueError(
                    f"{key!r} is not a parameter here; {hint}allowed: {', '.join(sorted(cls.model_fields))}"
                )
        return section


class Sample(Section):
    """The embedded pictures, drawn from a seed."""

    manner: Literal["kaggle", "roboflow"]
    seed: Seed


class Archive(Section):
    """A local zip, tar or folder."""

    path: str
    sha256: Sha256 | None = None


class Kaggle(Section):
    """A dataset of kaggle.com."""

    dataset: str
    version: Count
    sha256: Sha256 | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_pinned(cls, section: Any) -> Any:
        page = "https://www.kaggle.com/datasets/{}"
        return _pinned(section, "dataset", "owner/slug", f"{page}: the Data Explorer there names it")


class Roboflow(Section):
    """A version of a project of roboflow.com."""

    project: str
    version: Count
    format: Annotated[str, Field(pattern="^[A-Za-z0-9_-]+$")]
    tree_sha256: Sha256 | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_pinned(cls, section: Any) -> Any:
        page = "https://universe.roboflow.com/{}"
        return _pinned(section, "project", "workspace/project", f"{page}: it ends the address of each version's page")


def _pinned(section: Any, key: str, form: str, where: str) -> Any:
    """The section as it is, if its name is of the form and its version a whole number. where: to find the latter."""
    if not isinstance(section, Mapping) or key not in section:
        return section
    name, version = section[key], section.get("version")
    if not re.fullmatch(_TWO_NAMES, str(name)):
        raise ValueError(f"{key} is {name!r}; write it as {form}, the end of its page's address")
    if type(version) is not int or version < 1:
        found = "missing" if version is None else repr(version)
        raise ValueError(
            f"version is {found}; a whole number from 1 on is needed, so that the same data comes again. "
            f"Look it up at {where.format(name)}"
        )
    return section


class Boxes(Section):
    """How to read a detection export."""

    use: Literal["whole", "crop"]
    margin: Share
    min_side_px: Count


class Source(Section):
    """Where pictures come from; the key named like the kind says which."""

    kind: Literal["sample", "archive", "kaggle", "roboflow"]
    sample: Sample | None = None
    archive: Archive | None = None
    kaggle: Kaggle | None = None
    roboflow: Roboflow | None = None
    format: Literal["auto", "class_folders", "roboflow_folder", "yolo", "coco"]
    boxes: Boxes | None = None

    @model_validator(mode="after")
    def _kind_is_described(self) -> Self:
        given = {kind for kind in ("sample", "archive", "kaggle", "roboflow") if getattr(self, kind) is not None}
        if given != {self.kind}:
            raise ValueError(f"kind {self.kind} needs the key {self.kind}, and no other kind's; it has {sorted(given)}")
        return self
