"""Constrained types of parameters: annotations on the fields of the rooms' settings; what an encoded image is.

At run time they are plain numbers and strings. `pipeline.schema` checks them with pydantic, which no other module
imports.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Protocol

from annotated_types import Ge, Gt, Le, Lt

Interpolation = Literal["bilinear", "bicubic"]  # how images are scaled


class Section:
    """Base of all settings, which are frozen dataclasses: pydantic allows no other keys and converts no types."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True, "allow_inf_nan": False}


@dataclass(frozen=True)
class Matching:
    """A string that the regular expression `pattern` matches as a whole. words: what it is, for the message."""

    pattern: str
    words: str

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """For pydantic alone."""
        from pydantic_core import core_schema

        def validate(value: str) -> str:
            if not re.fullmatch(self.pattern, value):
                raise ValueError(f"{_shortened(value)} is given; {self.words} is needed")
            return value

        return core_schema.no_info_after_validator_function(validate, core_schema.str_schema())


@dataclass(frozen=True)
class CheckedBy:
    """A value that `function` accepts; for others it raises ValueError with what was found and what is allowed."""

    function: Callable[[Any], None]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """For pydantic alone."""
        from pydantic_core import core_schema

        def validate(value: Any) -> Any:
            self.function(value)
            return value

        return core_schema.no_info_plain_validator_function(validate)


@dataclass(frozen=True)
class Hint:
    """What to do about a wrong or missing value; {key} stands for the value of another key of the same section."""

    text: str


class Encoded(Protocol):
    """An encoded image: a file, or a part of one. Its text names it in messages."""

    def read_bytes(self) -> bytes:
        """All its bytes."""
        ...


def _shortened(value: str) -> str:
    return repr(value if len(value) <= 80 else f"{value[:80]}...")


Fraction = Annotated[float, Ge(0), Le(1)]
PositiveFraction = Annotated[float, Gt(0), Le(1)]
ProperFraction = Annotated[float, Gt(0), Lt(1)]
LearningRate = Annotated[float, Ge(1e-9), Le(100)]
WeightDecay = Annotated[float, Ge(0), Le(100)]
Rate = Annotated[float, Ge(0), Lt(1)]  # of dropout, label smoothing, a moving average
Count = Annotated[int, Ge(1), Le(10**12)]  # of pixels at most, which are the most numerous
BatchSize = Annotated[int, Ge(1), Le(65_536)]
NumEpochs = Annotated[int, Ge(1), Le(1_000_000)]
Seed = Annotated[int, Ge(0), Le(2**63 - 1)]  # torch takes 64 bits, and some seeds are counted up from here
SidePx = Annotated[int, Ge(32), Le(1024)]
Name = Annotated[
    str,
    Matching(
        "[A-Za-z0-9][A-Za-z0-9_-]{0,99}", "a name of at most 100 letters, digits, _ and -, none of them accented,"
    ),
]
NotEmpty = Annotated[str, Matching(r"(?s).*\S.*", "a text")]
Sha256 = Annotated[str, Matching("[0-9a-f]{64}", "what sha256sum prints, 64 digits from 0-9 and a-f,")]
ClusterAddress = Annotated[str, Matching(r"auto|[^\s/:]+:[0-9]+", "auto, or an address such as 10.0.0.2:6379,")]
Url = Annotated[str, Matching(r"[a-z][a-z0-9]*://\S+", "an address such as s3://bucket/ingest")]
LoggerName = Literal["none", "tensorboard", "dvclive"]
