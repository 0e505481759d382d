"""What one `dvc repro` decoded, passed through backbones and took, and what is required of it after a change."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from figures import Figure, at_most, exactly, reported
from growth import Cost

EMBEDDING = ("extract", "convert", "export")  # stages that could pass images through frozen backbones
EVERYTHING, NEW_BACKBONE = "everything", "a new backbone"
NEW_PERCENT = 1
OWN_SOURCE, SAME_ARCHIVE = f"{NEW_PERCENT} % new images, a new source", f"{NEW_PERCENT} % more files in an archive"
MAX_PASSES_OF_NEW = 0.02  # of all


class Rerun(NamedTuple):
    """What one `dvc repro` cost. counts: (stage, "decode", "pass" or "comparison") -> images."""

    change: str
    cost: Cost
    counts: Mapping[tuple[str, str], int]

    def decoded(self, stage: str) -> int:
        """Images that a decoder read in the stage."""
        return self.counts.get((stage, "decode"), 0)

    @property
    def decoded_elsewhere(self) -> int:
        """In all stages but ingest and curate."""
        return sum(
            number
            for (stage, kind), number in self.counts.items()
            if kind == "decode" and stage not in ("ingest", "curate")
        )

    @property
    def passes(self) -> int:
        """Images through frozen backbones, but for the synthetic ones by which an engine is chosen."""
        return sum(self.counts.get((stage, "pass"), 0) for stage in EMBEDDING)


def read_counts(path: Path) -> Counter[tuple[str, str]]:
    """What benchmarks/counting wrote: (stage, what was done) -> images."""
    found = Counter[tuple[str, str]]()
    with path.open(encoding="utf-8") as file:
        for line in file:
            stage, kind = line.split()[0].rsplit(",", 1)
            found[stage, kind] += 1
    return found


def rerun_figures(what: str, reruns: Sequence[Rerun], *, num_new: int) -> list[Figure]:
    """What each change cost, and what is required of it. reruns: everything first."""
    everything = reruns[0]
    return [
        figure
        for each in reruns
        for figure in (
            *required_of(f"{what}, {each.change}", each, everything, num_new=num_new),
            reported(f"{what}, {each.change}: s", each.cost.seconds, ".1f"),
            reported(f"{what}, {each.change}: s of all cores", each.cost.core_seconds, ".1f"),
        )
    ]


def required_of(what: str, rerun: Rerun, everything: Rerun, *, num_new: int) -> list[Figure]:
    """Files that ingest decoded, passes, and stored images that curate and the other stages decoded."""
    files, passes = f"{what}: files decoded by ingest", f"{what}: passes through frozen backbones"
    stored, num_stored = f"{what}: images decoded by curate", rerun.decoded("curate")
    num_files, fraction = rerun.decoded("ingest"), rerun.passes / max(everything.passes, 1)
    others, num_others = f"{what}: images decoded by other stages", rerun.decoded_elsewhere
    if rerun.change not in (EVERYTHING, NEW_BACKBONE, OWN_SOURCE, SAME_ARCHIVE):
        none = {files: num_files, passes: rerun.passes, stored: num_stored, others: num_others}
        return [exactly(words, 0, number) for words, number in none.items()]
    reports = [
        reported(passes, rerun.passes, ".0f"),
        reported(stored, num_stored, ".0f"),
        reported(others, num_others, ".0f"),
    ]
    if rerun.change == EVERYTHING:
        return [reported(files, num_files, ".0f"), *reports]
    if rerun.change == NEW_BACKBONE:
        return [exactly(files, 0, num_files), *reports]
    of_all = at_most(f"{passes}, fraction of all", MAX_PASSES_OF_NEW, fraction, ".4f")
    return [exactly(files, num_new, num_files), of_all, *reports[1:]]


def as_record(rerun: Rerun) -> dict[str, Any]:
    """For the record: a row of the table in the docs."""
    return {
        "change": rerun.change,
        "decoded_by_ingest": rerun.decoded("ingest"),
        "decoded_by_curate": rerun.decoded("curate"),
        "decoded_elsewhere": rerun.decoded_elsewhere,
        "passes": rerun.passes,
        "seconds": round(rerun.cost.seconds, 1),
        "core_seconds": round(rerun.cost.core_seconds, 1),
        "by_stage": {f"{stage} {kind}": number for (stage, kind), number in sorted(rerun.counts.items())},
    }
