"""Samples that are written at once are the documents that FiftyOne makes of the same ones.

FiftyOne is imported in a child process alone: this file is also its program.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np

from tandem.review.database import open_database
from tandem.review.insertion import insert_samples

OF_EACH = ("_id", "_rand", "created_at", "last_modified_at")  # fields that differ from one time to the next


def planted():
    """2,500 samples, more than are sent at once; features of the last four."""
    rng = np.random.default_rng(3)
    return [
        {
            "filepath": f"/nowhere/{number}.jpg",
            "tags": ["train", "blurred"][: number % 3],
            "content_id": f"{number:04d}",
            "label": "ab"[number % 2],
            "split": ("train", "")[number % 2],
            "origins": ["web/ü.png"] * (number % 3),
            "features": rng.normal(size=5).astype(np.float32),
        }
        for number in range(2500)
    ]


def run_child(database_dir):
    """Write the samples in both ways and compare all that MongoDB holds of them."""
    with open_database(database_dir) as fiftyone:
        written, own = (fiftyone.Dataset(name) for name in ("written", "own"))
        insert_samples(fiftyone, written, planted(), label_fields=["label"])
        own.add_samples(
            [fiftyone.Sample(**{**each, "label": fiftyone.Classification(label=each["label"])}) for each in planted()]
        )
        assert written.media_type == own.media_type == "image"
        assert written.get_field_schema().keys() == own.get_field_schema().keys()
        assert [_comparable(each) for each in written._sample_collection.find()] == [
            _comparable(each) | {"_dataset_id": written._doc.id} for each in own._sample_collection.find()
        ]
        documents = list(written._sample_collection.find())
        assert len({each["_id"] for each in documents} | {each["label"]["_id"] for each in documents}) == 5000
        assert all(0.999 <= each["_rand"] < 1 for each in documents)
        assert len({each["_rand"] for each in documents}) > 2400
        assert written.shuffle(seed=1).values("content_id") != written.values("content_id")
        np.testing.assert_array_equal(written.last()["features"], planted()[-1]["features"])
        sample = written.last()  # one that was written at once can be edited like any other
        sample.tags = ["seen"]
        sample.save()
        assert written.match_tags("seen").values("content_id") == ["2499"]

        insert_samples(fiftyone, empty := fiftyone.Dataset("empty"), [], label_fields=["label"])
        assert len(empty) == 0


def _comparable(document):
    assert set(OF_EACH) <= document.keys()
    kept = {key: value for key, value in document.items() if key not in OF_EACH}
    return kept | {"label": {key: value for key, value in kept["label"].items() if key != "_id"}}


def test_documents_are_those_of_fiftyone(tmp_path):
    done = subprocess.run([sys.executable, __file__, str(tmp_path)], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr


if __name__ == "__main__":
    run_child(Path(sys.argv[1]))
