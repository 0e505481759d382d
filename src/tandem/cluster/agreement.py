"""That all machines compute the same: what they say of themselves is the same."""

from tandem.cluster.work import Facts
from tandem.errors import ClusterError

HERE = "this machine"
_MAX_SHOWN = 80  # letters of a fact


class Agreement:
    """facts: what all say that have been asked; empty before the first. of: what they are part of, in words."""

    def __init__(self, of: str = "the Ray cluster") -> None:
        self.facts: Facts = {}
        self._of = of
        self._first = ""

    def require(self, where: str, facts: Facts) -> None:
        """Raises ClusterError where another machine said something else. where: the machine, in words."""
        if not self._first:
            self._first, self.facts = where, facts
        elif facts != self.facts:
            differing = [key for key in sorted({*facts, *self.facts}) if facts.get(key) != self.facts.get(key)]
            shown = "; ".join(f"{key} {_short(self.facts.get(key))} and {_short(facts.get(key))}" for key in differing)
            raise ClusterError(
                f"{self._first} and {where} of {self._of} differ in {shown}: what they compute would not be the "
                "same bytes; take machines of one kind, with the same packages"
            )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
