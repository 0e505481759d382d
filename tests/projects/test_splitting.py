"""Seeds with which small classes are in every split, held against the splits of curation itself."""

from collections import Counter

import pytest

from factories import curate_settings
from planted_data import plant_classes
from tandem.datasets.examples import Example
from tandem.datasets.settings import IngestSettings
from tandem.images.encoding import encode_images
from tandem.projects.splitting import Splitting, splitting_for
from tandem.tables.samples import SPLITS
from tandem.tables.splits import assign_split

FRACTIONS = curate_settings().fractions
SETTINGS = IngestSettings(min_side_px=8, max_pixels=10**6, max_side_px=640)


def split(root, counts, **changes) -> tuple[Splitting, list[Example]]:
    plant_classes(root, counts)
    examples = [Example("a", f"{name}/{n}.png", name, name) for name, count in counts.items() for n in range(count)]
    given = {"fractions": FRACTIONS, "seed": 0, "settings": SETTINGS, **changes}
    return splitting_for(examples, roots={"a": root}, **given), examples


def counts_by_split(root, examples, splitting):
    limits = {"min_side_px": 8, "max_pixels": 10**6, "max_side_px": 640}
    ids = [encode_images((root / each.path).read_bytes(), [None], **limits)[None].id for each in examples]
    fractions = splitting.fractions.by_split()
    return Counter(
        (each.class_name, assign_split(id_, fractions=fractions, seed=splitting.seed))
        for each, id_ in zip(examples, ids, strict=True)
    )


def test_with_the_seed_each_small_class_is_twice_in_each_split(tmp_path):
    splitting, examples = split(tmp_path, {"cat": 8, "dog": 10, "emu": 13})
    counts = counts_by_split(tmp_path, examples, splitting)
    assert min(counts[name, part] for name in ("cat", "dog", "emu") for part in SPLITS) >= 2
    assert (splitting.fractions.val, splitting.fractions.test) == (0.25, 0.25)


def test_of_so_few_images_each_split_has_at_least_one(tmp_path):
    splitting, examples = split(tmp_path, {"cat": 3, "dog": 4})
    counts = counts_by_split(tmp_path, examples, splitting)
    assert min(counts[name, part] for name in ("cat", "dog") for part in SPLITS) == 1


def test_large_classes_keep_fractions_and_seed_and_no_image_is_opened(tmp_path):
    examples = [Example("a", f"{n}.png", name, name) for name in ("cat", "dog") for n in range(100)]
    given = {"roots": {"a": tmp_path / "nowhere"}, "fractions": FRACTIONS, "seed": 5, "settings": SETTINGS}
    assert splitting_for(examples, **given) == Splitting(FRACTIONS, 5)


def test_a_class_of_one_image_many_times_is_named_as_absent(tmp_path):
    plant_classes(tmp_path, {"cat": 8, "dog": 1})
    for number in range(1, 9):
        (tmp_path / f"dog/{number}.png").write_bytes((tmp_path / "dog/0.png").read_bytes())
    (tmp_path / "dog/9.png").write_bytes(b"no image")
    examples = [
        Example("a", f"{name}/{n}.png", name, name) for name, count in (("cat", 8), ("dog", 10)) for n in range(count)
    ]
    given = {"fractions": FRACTIONS, "seed": 0, "settings": SETTINGS}
    splitting = splitting_for(examples, roots={"a": tmp_path}, **given)
    assert splitting.absent == ("dog",)


@pytest.mark.parametrize("name", ["clip_mp4-{}.png", "one_png.rf.{:032x}.png"])
def test_frames_of_a_clip_and_versions_of_an_upload_count_once(tmp_path, name):
    plant_classes(tmp_path, {"cat": 8, "dog": 8})
    for number in range(8):
        (tmp_path / f"dog/{number}.png").rename(tmp_path / "dog" / name.format(number))
    examples = [Example("a", f"cat/{n}.png", "cat", "cat") for n in range(8)]
    examples += [Example("a", f"dog/{name.format(n)}", "dog", "dog") for n in range(8)]
    splitting = splitting_for(examples, roots={"a": tmp_path}, fractions=FRACTIONS, seed=0, settings=SETTINGS)
    assert splitting.absent == ("dog",)


def test_of_more_small_classes_than_any_seed_serves_as_many_as_can_be_are_kept(tmp_path):
    splitting, examples = split(tmp_path, {f"c{number:02}": 3 for number in range(30)})
    counts = counts_by_split(tmp_path, examples, splitting)
    served = {name for name in {each.class_name for each in examples} if all(counts[name, part] for part in SPLITS)}
    assert served.isdisjoint(splitting.absent)
    assert len(served) + len(splitting.absent) == 30
    assert len(served) > 5
