"""What is written during a review, and what is shown beside the images."""

import numpy as np
import pytest

from tandem.errors import DataError, ReviewError
from tandem.review.session import DecisionWriter, corrupt_files, duplicates_of, predictions_of
from tandem.tables.decisions import Decision, Decisions, load_decisions
from tandem.tables.samples import Sample, Samples

SAMPLES = Samples.of(
    ("car", "truck"),
    tuple(
        Sample(id_, "car", "web", group, split)
        for id_, group, split in [("a", "a", "train"), ("b", "a", "train"), ("c", "c", "test"), ("d", "d", "val")]
    ),
)


def drops(number):
    return Decisions(tuple(Decision(f"{row:03}", "drop") for row in range(number)))


def recorder(tmp_path, answer=False, before=Decisions()):  # noqa: B008
    asked = []

    def ask(question):
        asked.append(question)
        return answer

    return DecisionWriter(tmp_path / "decisions.csv", before, num_images=300, ask=ask), asked


def test_decisions_are_written_when_they_change(tmp_path, capsys):
    held, asked = recorder(tmp_path)
    held.record(lambda: Decisions())
    assert not held.path.exists()
    for number in (1, 2, 2, 0):
        held.record(lambda number=number: drops(number))
        assert load_decisions(held.path) == drops(number)
    assert capsys.readouterr().err.count("decisions in") == 3
    assert (asked, held.end()) == ([], 0)


def test_very_many_are_asked_about_once_and_refused_ones_are_an_error_at_the_end(tmp_path, capsys):
    held, asked = recorder(tmp_path)
    held.record(lambda: drops(30))
    for _ in range(3):
        held.record(lambda: drops(31))
    assert load_decisions(held.path) == drops(30)
    assert len(asked) == 1
    assert "decisions about 31 of 300 images; a tag may have gone to a whole view" in capsys.readouterr().err
    with pytest.raises(ReviewError, match=r"31 of 300 images.* Take them back, or say yes \(--yes\)"):
        held.end()
    held.record(lambda: drops(4))
    assert held.end() == 4


def test_very_many_that_are_meant_are_written(tmp_path):
    held, asked = recorder(tmp_path, answer=True)
    for number in (200, 201):
        held.record(lambda number=number: drops(number))
    assert (load_decisions(held.path), len(asked)) == (drops(201), 1)


def test_many_decisions_of_an_earlier_review_are_none_of_this_one(tmp_path):
    held, asked = recorder(tmp_path, before=drops(100))
    held.record(lambda: drops(101))
    assert (load_decisions(held.path), asked) == (drops(101), [])


def test_contradictions_are_told_once_and_are_an_error_at_the_end(tmp_path, capsys):
    held, _ = recorder(tmp_path)

    def contradicting():
        return Decisions((Decision("a", "drop"), Decision("a", "keep")))

    for _ in range(2):
        held.record(contradicting)
    assert capsys.readouterr().err.count("not written: image a: drop contradicts keep") == 1
    with pytest.raises(DataError, match="image a: drop contradicts keep"):
        held.end()


def test_models_guess_with_their_probability():
    found = predictions_of({"net": np.log([[1, 1], [1, 1], [1, 3], [9, 1]])}, SAMPLES, splits=("val", "test"))
    assert {id_: (guess.label, round(guess.confidence, 6)) for id_, guess in found["net"].items()} == {
        "c": ("truck", 0.75),
        "d": ("car", 0.9),
    }


def test_files_that_could_not_be_read_are_shown_where_they_lie(tmp_path):
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "half.jpg").write_bytes(b"x")
    rows = [("half.jpg", "truncated"), ("gone.jpg", "empty"), ("bus.jpg", "ignored_label")]
    dropped = [{"source": "web", "path": path, "label": "car", "reason": reason} for path, reason in rows]
    assert corrupt_files(dropped, tmp_path) == [((tmp_path / "web/half.jpg").absolute(), "car", "truncated")]


def test_a_image_is_taken_for_a_copy_of_its_pairs_or_of_its_group():
    assert duplicates_of([{"first": "a", "second": "c"}], SAMPLES) == {"a": ["c"], "b": ["a"], "c": ["a"], "d": []}
