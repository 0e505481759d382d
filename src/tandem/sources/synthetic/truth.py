"""The ground truth of the synthetic sources, from their plan: what the pipeline's findings are compared with."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations, product

from tandem.sources.settings import SampleStyle
from tandem.sources.synthetic.encode import FileSpec
from tandem.sources.synthetic.plan import CORRUPT_FORMS, PlannedFile, readable_files

PathGroups = list[list[str]]
_MODES = {"RGBA": "RGBA", "P": "P", "P transparent": "P", "CMYK": "CMYK", "I;16": "I;16", "exif": "exif"}


def ground_truth(
    files: Mapping[SampleStyle, Sequence[PlannedFile]], *, style: SampleStyle, seed: int
) -> dict[str, object]:
    """The content of a source's truth.json; every path is "<style>/<path within the source>".

    classes, scenes, mislabelled, broken (corrupt files) and modes are about the files of this source; the other lists
    hold each pair or group of duplicates with a file of this source. A file in a conflict is not listed as mislabelled.
    """
    source_files, all_readable = files[style], readable_files(files)
    readable = [file for file in source_files if file.spec.form not in CORRUPT_FORMS]
    conflicts = _same_bytes(all_readable, lambda a, b: a.label != b.label)
    disputed = {path for pair in conflicts for path in pair}
    duplicates = {
        "exact": _same_bytes(all_readable, lambda a, b: a.label == b.label),
        "reencoded": _of_scene(all_readable, lambda a, b: a.scale == b.scale and a.quality != b.quality),
        "resized": _of_scene(all_readable, lambda a, b: a.scale != b.scale),
        "augmented": _versions(all_readable),
        "shared_stems": _shared_stems(all_readable),
        "conflicts": conflicts,
    }
    return {
        "seed": seed,
        "classes": {file.path: file.scene.class_name for file in readable},
        "scenes": {file.path: file.scene.id for file in readable},
        **{kind: _with_files_of(pairs, style) for kind, pairs in duplicates.items()},
        "mislabelled": {
            file.path: file.scene.class_name
            for file in readable
            if file.label != file.scene.class_name and file.path not in disputed
        },
        "broken": {file.path: file.spec.form for file in source_files if file.spec.form in CORRUPT_FORMS},
        "modes": {file.path: _MODES[file.spec.form] for file in source_files if file.spec.form in _MODES},
    }


def _with_files_of(pairs: PathGroups, style: SampleStyle) -> PathGroups:
    return [pair for pair in pairs if any(path.startswith(f"{style}/") for path in pair)]


def _grouped(files: Iterable[PlannedFile], key: Callable[[PlannedFile], object]) -> list[list[PlannedFile]]:
    groups: dict[object, list[PlannedFile]] = defaultdict(list)
    for file in files:
        groups[key(file)].append(file)
    return [group for group in groups.values() if len(group) > 1]


def _same_bytes(files: Sequence[PlannedFile], wanted: Callable[[PlannedFile, PlannedFile], bool]) -> PathGroups:
    groups = _grouped(files, lambda file: (file.scene, file.spec))
    return [[a.path, b.path] for group in groups for a, b in combinations(group, 2) if wanted(a, b)]


def _of_scene(files: Sequence[PlannedFile], wanted: Callable[[FileSpec, FileSpec], bool]) -> PathGroups:
    plain = [file for file in files if not file.spec.augmented]
    groups = _grouped(plain, lambda file: file.scene)
    return [[a.path, b.path] for group in groups for a, b in combinations(group, 2) if wanted(a.spec, b.spec)]


def _versions(files: Sequence[PlannedFile]) -> PathGroups:
    exported = [file for file in files if file.path.startswith("roboflow/")]
    groups = _grouped(exported, lambda file: (file.stem, file.scene))
    return [[file.path for file in group] for group in groups]


def _shared_stems(files: Sequence[PlannedFile]) -> PathGroups:
    """One pair of files for each pair of scenes that one stem of the Roboflow style stands for."""
    exported = [file for file in files if file.path.startswith("roboflow/")]
    found: PathGroups = []
    for group in _grouped(exported, lambda file: file.stem):
        first = {file.scene: file.path for file in reversed(group)}
        found += [[first[a], first[b]] for a, b in product(first, first) if a < b]
    return found
