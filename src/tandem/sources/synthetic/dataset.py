"""The embedded sample: two small drawn data sets with the faults of real ones, and the truth about both.

"kaggle" is written like a data set of Kaggle (class folders), "roboflow" like a classification export of
Roboflow (train/valid/test with augmented copies). Both of one seed show some of the same scenes. The
drawings are made to run the pipeline and to test it; a figure reached on them says nothing of photographs.
"""

from pathlib import Path
from typing import get_args

from tandem.errors import SourceError
from tandem.files import write_json
from tandem.sources.synthetic.encode import content
from tandem.sources.synthetic.plan import Style, plan
from tandem.sources.synthetic.truth import truth

TRUTH_FILE = "truth.json"

_README_DATASET = """# Drawn vehicles > 2024-01-01 drawn
https://universe.roboflow.com/tandem/drawn-vehicles

Provided by a Roboflow user
License: CC BY 4.0

Cars, lorries, motorcycles and bicycles, drawn by a program.
"""

_README_ROBOFLOW = """
Drawn vehicles - v1 drawn
==============================

This dataset was exported via roboflow.com on January 1, 2024 at 9:00 AM GMT

The dataset includes {num_images} images.
Vehicles are annotated in folder format.

The following pre-processing was applied to each image:
* Auto-orientation of pixel data (with EXIF-orientation stripping)

The following augmentation was applied to create 3 versions of each source image:
* 50% probability of horizontal flip
* Random crop of between 0 and 19 percent of the image
* Random rotation of between -10 and +10 degrees
* Random brightness adjustment of between -25 and +25 percent
* Grayscale applied to some images
"""


def generate_sample(target: Path, *, style: str, seed: int) -> None:
    """Write the files of one drawn source and its truth.json into the existing empty folder `target`.

    style: "kaggle" or "roboflow". The same seed gives the same bytes. Some 450 files, a few seconds.
    truth.json is described by tandem.sources.synthetic.truth.truth. Raises SourceError for another style.
    """
    known = _style(style)
    files = plan(seed)
    for file in files[known]:
        path = target / file.path.removeprefix(f"{known}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(file.scene, file.copy, seed=seed))
    if known == "roboflow":
        _write_readmes(target, num_images=len(files[known]))
    write_json(target / TRUTH_FILE, truth(files, style=known, seed=seed))


def _style(value: str) -> Style:
    for style in get_args(Style):
        if value == style:
            return style
    raise SourceError(f"the sample has no style {value!r}; choose one of: {', '.join(get_args(Style))}")


def _write_readmes(target: Path, *, num_images: int) -> None:
    (target / "README.dataset.txt").write_text(_README_DATASET, encoding="utf-8", newline="")
    text = _README_ROBOFLOW.format(num_images=num_images)
    (target / "README.roboflow.txt").write_text(text, encoding="utf-8", newline="")
