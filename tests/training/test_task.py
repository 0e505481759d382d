"""What a task makes of its features and splits."""

from pathlib import Path

import numpy as np
import pytest

from factories import CLASSES, blobs, samples_of, train_settings
from tandem.errors import LeakageError
from tandem.tables.samples import SPLITS
from tandem.training.task import head_task

SETTINGS = train_settings()


def test_without_views_the_rows_are_those_of_the_split() -> None:
    features, samples = blobs(60)
    task = head_task(features, samples, SETTINGS, "blobs")
    rows, targets = task.rows_of(task.val)
    assert task.num_views == 1
    assert rows.tolist() == samples.val.rows.tolist()
    assert targets.tolist() == samples.val.targets.tolist()
    assert task.table.tobytes() == features.tobytes()


def test_each_view_is_a_row_with_the_target_of_its_image() -> None:
    features, samples = blobs(60)
    views = np.stack([features, features + 1, features + 2], axis=1)
    task = head_task(views, samples, SETTINGS, "blobs")
    rows, targets = task.rows_of(task.train)
    assert task.num_views == 3
    assert len(rows) == 3 * len(samples.train)
    assert (task.table[rows].reshape(-1, 3, 6) == views[samples.train.rows]).all()
    assert (targets.reshape(-1, 3) == samples.train.targets[:, None]).all()


def test_features_that_are_mapped_from_a_file_are_read_into_memory(tmp_path: Path) -> None:
    features, samples = blobs(60)
    np.save(tmp_path / "features.npy", features.astype(np.float64))
    task = head_task(np.load(tmp_path / "features.npy", mmap_mode="r"), samples, SETTINGS, "blobs")
    assert type(task.features) is np.ndarray
    assert task.features.dtype == np.float32
    assert task.features.base is None
    assert (task.features == features).all()


@pytest.mark.parametrize("split", SPLITS)
def test_a_class_that_is_missing_from_a_split_is_an_error(split: str) -> None:
    pairs = [(target, name) for target in range(3) for name in SPLITS if (target, name) != (2, split)]
    targets, splits = zip(*pairs, strict=True)
    with pytest.raises(LeakageError, match=f"no image of {CLASSES[2]} in {split} "):
        head_task(np.zeros((8, 2), np.float32), samples_of(targets, splits), SETTINGS, "planted")
