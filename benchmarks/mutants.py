"""What no test notices: the code is changed in one small place after the other, and each time a test must fail.

    python benchmarks/mutants.py [--mutants N] [--seed N] [--group TEXT] [--json FILE]

In a copy of this working tree mutmut changes the modules that the promises rest on (mutation/groups.py), of which N are
tried, chosen by the seed (0: all); what it leaves out, such as constants and the scripts of the stages, is planted by
hand (mutation/planted.py) and tried whole. A change after which every test still passes is a survivor. Survivors that
are known stand in mutation/survivors.csv with their reason; one that changes nothing that anybody could notice is
equivalent, and does not count. Prints required beside reached, and exits 1 when a group's rate falls short or a
survivor is not listed. --group: those groups alone whose name holds the text. 1,000 mutants, the default, take about
twenty minutes on two cores.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from figures import Figure, at_least, conclude, exactly, make_parser
from mutation.groups import GROUPS, Mutant
from mutation.mutmut_runs import mutmut_outcomes
from mutation.planted import planted_outcomes
from scratch import make_clone
from tandem.files import read_csv

SURVIVORS = Path(__file__).parent / "mutation/survivors.csv"
COLUMNS = ("function", "was", "becomes", "kind", "reason")
EQUIVALENT = "equivalent"
RATE = 0.95


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--mutants", type=int, default=1000, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--group", default="", metavar="TEXT")
    arguments = parser.parse_args()
    names = [name for name in (*GROUPS, "stages") if arguments.group in name]
    outcomes = tried(names, arguments)
    known = read_csv(SURVIVORS, columns=COLUMNS)
    figures, details = summed_up(names, outcomes, known)
    conclude(figures, arguments, details=details)


def tried(names: Sequence[str], arguments: argparse.Namespace) -> list[Mutant]:
    """The outcome of every mutant."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        clone = Path(folder) / "clone"
        clone.mkdir()
        make_clone(clone, "", clone, {})
        planted = planted_outcomes(clone, names)
        return planted + mutmut_outcomes(clone, arguments.mutants, arguments.seed, names)


def summed_up(
    names: Sequence[str], outcomes: Sequence[Mutant], known: Sequence[dict[str, str]]
) -> tuple[list[Figure], dict[str, object]]:
    """The figures, and for the record the counts of each group and the survivors."""
    listed = {(row["function"], row["was"], row["becomes"]): row for row in known}
    figures, groups, survivors, num_unlisted = list[Figure](), dict[str, object](), list[dict[str, str]](), 0
    for name in names:
        own = [mutant for mutant in outcomes if mutant.group == name]
        alive = [mutant for mutant in own if not mutant.is_killed]
        rows = [listed.get(mutant[1:4]) for mutant in alive]
        num_equivalent = sum(row is not None and row["kind"] == EQUIVALENT for row in rows)
        num_unlisted += rows.count(None)
        num_killed, num_counted = len(own) - len(alive), len(own) - num_equivalent
        groups[name] = {"tried": len(own), "equivalent": num_equivalent, "killed": num_killed}
        figures.append(at_least(f"{name}: killed of {num_counted}", RATE, num_killed / max(1, num_counted)))
        for mutant, row in zip(alive, rows, strict=True):
            survivors.append(row or {**dict(zip(COLUMNS, mutant[1:4], strict=False)), "kind": "", "reason": ""})
            if row is None:
                print(f"not listed: {mutant.function}\n  - {mutant.was}\n  + {mutant.becomes}")
    figures.append(exactly("survivors that are not listed", 0, num_unlisted))
    return figures, {"groups": groups, "survivors": survivors}


if __name__ == "__main__":
    main()
