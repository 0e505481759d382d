"""What is really in the drawn sources, read off their plan: the answer to hold a pipeline's findings against."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations, product

from tandem.sources.synthetic.encode import FileCopy
from tandem.sources.synthetic.plan import CORRUPT_NAMES, Planned, Style, labelled

PairList = list[list[str]]
_MODES = {"RGBA": "RGBA", "P": "P", "P transparent": "P", "CMYK": "CMYK", "I;16": "I;16", "exif": "exif"}


def truth(files: Mapping[Style, Sequence[Planned]], *, style: Style, seed: int) -> dict[str, object]:
    """The content of a source's truth.json; every path is "<style>/<path within the source>".

    classes, scenes, mislabelled, broken and modes speak of this source's files; the lists of copies hold
    each pair or group that this source has a part in. A file in a conflict is not counted as mislabelled.
    """
    own, every = files[style], labelled(files)
    readable = [file for file in own if file.copy.form not in CORRUPT_NAMES]
    conflicts = _same_bytes(every, lambda a, b: a.label != b.label)
    disputed = {path for pair in conflicts for path in pair}
    copies = {
        "exact": _same_bytes(every, lambda a, b: a.label == b.label),
        "reencoded": _of_scene(every, lambda a, b: a.scale == b.scale and a.quality != b.quality),
        "resized": _of_scene(every, lambda a, b: a.scale != b.scale),
        "augmented": _versions(every),
        "shared_stems": _shared_stems(every),
        "conflicts": conflicts,
    }
    return {
        "seed": seed,
        "classes": {file.path: file.scene.class_name for file in readable},
        "scenes": {file.path: file.scene.id for file in readable},
        **{kind: _with_part_of(pairs, style) for kind, pairs in copies.items()},
        "mislabelled": {
            file.path: file.scene.class_name
            for file in readable
            if file.label != file.scene.class_name and file.path not in disputed
        },
        "broken": {file.path: file.copy.form for file in own if file.copy.form in CORRUPT_NAMES},
        "modes": {file.path: _MODES[file.copy.form] for file in own if file.copy.form in _MODES},
    }


def _with_part_of(pairs: PairList, style: Style) -> PairList:
    return [pair for pair in pairs if any(path.startswith(f"{style}/") for path in pair)]


def _grouped(files: Iterable[Planned], key: Callable[[Planned], object]) -> list[list[Planned]]:
    groups: dict[object, list[Planned]] = defaultdict(list)
    for file in files:
        groups[key(file)].append(file)
    return [group for group in groups.values() if len(group) > 1]


def _same_bytes(files: Sequence[Planned], wanted: Callable[[Planned, Planned], bool]) -> PairList:
    groups = _grouped(files, lambda file: (file.scene, file.copy))
    return [[a.path, b.path] for group in groups for a, b in combinations(group, 2) if wanted(a, b)]


def _of_scene(files: Sequence[Planned], wanted: Callable[[FileCopy, FileCopy], bool]) -> PairList:
    plain = [file for file in files if not file.copy.augmented]
    groups = _grouped(plain, lambda file: file.scene)
    return [[a.path, b.path] for group in groups for a, b in combinations(group, 2) if wanted(a.copy, b.copy)]


def _versions(files: Sequence[Planned]) -> PairList:
    exported = [file for file in files if file.path.startswith("roboflow/")]
    groups = _grouped(exported, lambda file: (file.stem, file.scene))
    return [[file.path for file in group] for group in groups]


def _shared_stems(files: Sequence[Planned]) -> PairList:
    """One pair of files for each pair of scenes that one stem of the Roboflow style stands for."""
    exported = [file for file in files if file.path.startswith("roboflow/")]
    found: PairList = []
    for group in _grouped(exported, lambda file: file.stem):
        first = {file.scene: file.path for file in reversed(group)}
        found += [[first[a], first[b]] for a, b in product(first, first) if a < b]
    return found
