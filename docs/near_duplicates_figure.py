"""Draw near duplicates of the last run that a random split would put into train and test.

    python docs/near_duplicates_figure.py [OUTPUT]

Reads params.yaml, data/{ingest,merge,curate} of the project's folder, so run the pipeline first; writes a PNG, by
default docs/images/near_duplicates.png. The random split is that of tandem.curation.naive_split: each file on its own,
by a hash. Pairs are taken evenly over the range of their correlation, the least similar first, and no image twice.
"""

import sys
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont, ImageOps

from tandem.files import read_csv
from tandem.pipeline.params import read_params
from tandem.tables.index import Index, load_index
from tandem.tables.splits import assign_split
from tandem.tables.stored import PackedImage, load_stored

OUTPUT = Path("docs/images/near_duplicates.png")
NUM_COLUMNS, NUM_ROWS = 4, 2
TILE_PX, GAP_PX, MARGIN_PX, TEXT_PX = 132, 4, 14, 22
COLORS = {"train": (38, 98, 166), "test": (184, 71, 42)}
NUM_COLORS = 160  # of the palette: keeps the file small


class Pair(NamedTuple):
    """Two near duplicates, the train image first. correlation: of their aligned pixels."""

    train: PackedImage
    test: PackedImage
    correlation: float


def main(output: Path = OUTPUT) -> None:
    pairs = sorted(leaked_pairs(), key=lambda pair: pair.correlation)
    figure = draw(spread(pairs, NUM_COLUMNS * NUM_ROWS))
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.quantize(NUM_COLORS, dither=Image.Dither.NONE).save(output, optimize=True)


def leaked_pairs() -> Iterator[Pair]:
    """All near duplicates of which a random split would put one into train and the other into test."""
    index = load_index(Path("data/merge/index.csv"))
    split_of = random_split(index)
    stored = load_stored(Path("data/merge/stored.csv"))
    images = dict(zip(stored.ids, stored.packed(Path("data/ingest")), strict=True))
    for row in read_csv(Path("data/curate/near_duplicates.csv")):
        ids = {split_of[row[column]]: row[column] for column in ("first", "second")}
        if ids.keys() == {"train", "test"}:
            yield Pair(images[ids["train"]], images[ids["test"]], float(row["correlation"]))


def random_split(index: Index) -> Mapping[str, str]:
    """Image id -> the split that a hash of its first file's name gives."""
    curate = read_params()["curate"]
    names = {id_: files[0] for id_, files in zip(index.ids, index.found_in, strict=True)}
    options = {"fractions": curate["fractions"], "seed": curate["seed"]}
    return {id_: assign_split(name, **options) for id_, name in names.items()}


def spread(pairs: list[Pair], count: int) -> list[Pair]:
    """`count` pairs evenly over the list, each image once."""
    chosen: list[Pair] = []
    for number in range(count):
        used = {image for pair in chosen for image in (pair.train, pair.test)}
        rest = pairs[number * len(pairs) // count :]
        chosen += [pair for pair in rest if not {pair.train, pair.test} & used][:1]
    return chosen


def draw(pairs: list[Pair]) -> Image.Image:
    """The pairs in a grid, under each image its split, under each pair its correlation."""
    width, height = 2 * TILE_PX + GAP_PX + MARGIN_PX, TILE_PX + TEXT_PX + MARGIN_PX
    size = (NUM_COLUMNS * width + MARGIN_PX, NUM_ROWS * height + MARGIN_PX)
    figure = Image.new("RGB", size, "white")
    for number, pair in enumerate(pairs):
        row, column = divmod(number, NUM_COLUMNS)
        draw_pair(figure, pair, left=MARGIN_PX + column * width, top=MARGIN_PX + row * height)
    return figure


def draw_pair(figure: Image.Image, pair: Pair, *, left: int, top: int) -> None:
    pen, font = ImageDraw.Draw(figure), ImageFont.load_default(14)
    for number, (split, packed) in enumerate((("train", pair.train), ("test", pair.test))):
        x = left + number * (TILE_PX + GAP_PX)
        with Image.open(BytesIO(packed.read_bytes())) as image:
            tile = ImageOps.pad(image.convert("RGB"), (TILE_PX - 4, TILE_PX - 4), color="white")
        pen.rectangle((x, top, x + TILE_PX - 1, top + TILE_PX - 1), fill=COLORS[split])
        figure.paste(tile, (x + 2, top + 2))
        pen.text((x + 2, top + TILE_PX + 3), split, fill=COLORS[split], font=font)
    text, right = f"r = {pair.correlation:.3f}", left + 2 * TILE_PX + GAP_PX
    pen.text((right, top + TILE_PX + 3), text, fill="black", font=font, anchor="ra")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
