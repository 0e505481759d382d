"""Constrained types of parameters: annotations on the fields of the rooms' settings.

At run time they are plain numbers and strings. `pipeline.schema` checks them with pydantic, which no other module
imports.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Le, Lt


class Section:
    """Base of all settings, which are frozen dataclasses: pydantic allows no other keys and converts no types."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True, "allow_inf_nan": False}


@dataclass(frozen=True)
class Matching:
    """A string that the regular expression `pattern` matches."""

    pattern: str

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """For pydantic alone."""
        from pydantic_core import core_schema

        return core_schema.str_schema(pattern=self.pattern)


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


Fraction = Annotated[float, Ge(0), Le(1)]
PositiveFraction = Annotated[float, Gt(0), Le(1)]
ProperFraction = Annotated[float, Gt(0), Lt(1)]
Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Rate = Annotated[float, Ge(0), Lt(1)]  # of dropout, label smoothing, a moving average
Count = Annotated[int, Ge(1)]
Seed = Annotated[int, Ge(0)]
SidePx = Annotated[int, Ge(32), Le(1024)]
Name = Annotated[str, Matching("^[A-Za-z0-9][A-Za-z0-9_-]*$")]
NotEmpty = Annotated[str, Matching("^.+$")]
Sha256 = Annotated[str, Matching("^[0-9a-f]{64}$")]
LoggerName = Literal["none", "tensorboard", "dvclive"]
