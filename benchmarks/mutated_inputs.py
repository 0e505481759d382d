"""What comes of damaged inputs: each reader reads files with bits flipped, parts lost and values replaced.

    python benchmarks/mutated_inputs.py [--inputs N] [--seed N] [--reader TEXT] [--json FILE]

An input survives when it is read, or refused by an error meant for people. Everything else is a fault: a traceback, no
answer for 20 s, a growth of 500 MB, a process that dies, a sealed file that is read though it was changed. Faults are
printed, the first of each reader and kind, with the damaged bytes kept in the folder that is named. --reader: those
alone whose name holds the text. Required beside reached are printed, and 1 is the exit code when there is a fault.
100,000 inputs, the default, take about three minutes.
"""

import random
import tempfile
from collections import Counter
from pathlib import Path

from tqdm import tqdm

from faults.mutations import mutated
from faults.readers import readers
from faults.trial import SURVIVED, Reader, Trials
from figures import at_least, conclude, exactly, make_parser


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", default="")
    arguments = parser.parse_args()
    chosen = {name: reader for name, reader in readers().items() if arguments.reader in name}
    counts = try_all(chosen, arguments.inputs, seed=arguments.seed, kept=Path(tempfile.mkdtemp(prefix="faults-")))
    figures = []
    for name in chosen:
        tried = sum(counts[name].values())
        survived = sum(counts[name][kind] for kind in SURVIVED)
        faults = ", ".join(f"{number} {kind}" for kind, number in counts[name].items() if kind not in SURVIVED)
        figures.append(exactly(f"{name}, survived{f' ({faults})' if faults else ''}", tried, survived))
    total = sum(sum(each.values()) for each in counts.values())
    conclude([*figures, at_least("inputs", arguments.inputs, total, ".0f")], arguments)


def try_all(chosen: dict[str, Reader], number: int, *, seed: int, kept: Path) -> dict[str, Counter[str]]:
    """Reader -> outcome -> how often. kept: a folder for the input of the first fault of each kind."""
    counts = {name: Counter[str]() for name in chosen}
    names = list(chosen)
    trials = Trials(chosen, Path(tempfile.mkdtemp(prefix="faults-")) / "input")
    try:
        for turn in tqdm(range(number), "mutated inputs", disable=None):
            name = names[turn % len(names)]
            files = damaged(chosen[name], random.Random(f"{seed} {turn}"))
            outcome = trials.run(name, files)
            counts[name][outcome.kind] += 1
            if outcome.kind not in SURVIVED and counts[name][outcome.kind] == 1:
                keep(kept / f"{name} {outcome.kind}", files)
                tqdm.write(f"{name}: {outcome.kind}, input {turn}, kept in {kept}\n{outcome.detail}")
    finally:
        trials.end()
    return counts


def damaged(reader: Reader, rng: random.Random) -> dict[str, bytes]:
    """The files of a reader, of which one is damaged or, now and then, missing."""
    path = rng.choice(reader.damaged)
    others = [reader.files[each] for each in reader.damaged]
    files = dict(reader.files)
    if reader.may_miss and rng.random() < 0.01:
        del files[path]
    else:
        files[path] = mutated(files[path], others, rng)
    return files


def keep(folder: Path, files: dict[str, bytes]) -> None:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


if __name__ == "__main__":
    main()
