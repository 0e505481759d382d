"""What is written during a review, and what is known of duplicates before it.

run_session, with a browser, Ctrl-C and a kill, is tested in tests/project/test_reviews.py.
"""

import pytest

from tandem.errors import DataError, ReviewError
from tandem.review.session import DecisionWriter, duplicates_by_id, groups_of_several
from tandem.tables.decisions import Decision, Decisions, load_decisions
from tandem.tables.samples import Sample, Samples


def drops(number):
    return Decisions(tuple(Decision(f"{row:03}", "drop") for row in range(number)))


def writer_of(tmp_path, *, answer=False, before=Decisions()):  # noqa: B008
    """A writer of decisions about 300 images, and the list of what it asked."""
    questions = []

    def ask(question):
        questions.append(question)
        return answer

    return DecisionWriter(tmp_path / "decisions.csv", before, num_images=300, ask=ask), questions


def test_decisions_are_written_when_they_change(tmp_path, capsys):
    writer, questions = writer_of(tmp_path)
    writer.update(lambda: Decisions())
    assert not writer.path.exists()
    for number in (1, 2, 2, 0):
        writer.update(lambda number=number: drops(number))
        assert load_decisions(writer.path) == drops(number)
    assert capsys.readouterr().err.count("decisions in") == 3
    assert (questions, writer.end()) == ([], 0)


def test_very_many_are_asked_about_once_and_refused_ones_are_an_error_at_the_end(tmp_path, capsys):
    writer, questions = writer_of(tmp_path)
    writer.update(lambda: drops(30))
    for _ in range(3):
        writer.update(lambda: drops(31))
    assert load_decisions(writer.path) == drops(30)
    assert len(questions) == 1
    assert "decisions about 31 of 300 images; a tag may have gone to a whole view" in capsys.readouterr().err
    with pytest.raises(ReviewError, match=r"31 of 300 images.* Take them back in the App, or allow them \(--yes\)"):
        writer.end()
    writer.update(lambda: drops(4))
    assert writer.end() == 4


def test_very_many_that_are_meant_are_written(tmp_path):
    writer, questions = writer_of(tmp_path, answer=True)
    for number in (200, 201):
        writer.update(lambda number=number: drops(number))
    assert (load_decisions(writer.path), len(questions)) == (drops(201), 1)


def test_many_decisions_of_an_earlier_review_do_not_count_in_this_one(tmp_path):
    writer, questions = writer_of(tmp_path, before=drops(100))
    writer.update(lambda: drops(101))
    assert (load_decisions(writer.path), questions) == (drops(101), [])


def test_contradictions_are_said_once_and_are_an_error_at_the_end(tmp_path, capsys):
    writer, _ = writer_of(tmp_path)

    def contradict():
        return Decisions((Decision("a", "drop"), Decision("a", "keep")))

    for _ in range(2):
        writer.update(contradict)
    assert capsys.readouterr().err.count("not written: image a: drop contradicts keep") == 1
    with pytest.raises(DataError, match="image a: drop contradicts keep"):
        writer.end()


def test_groups_of_one_image_are_left_out():
    rows = [("a", "c"), ("b", "b"), ("c", "c"), ("d", "a"), ("e", "c"), ("f", "a")]
    samples = Samples.of(("car",), [Sample(id_, "car", "web", group, "train") for id_, group in rows])
    assert groups_of_several(samples) == [["d", "f"], ["a", "c", "e"]]


def test_duplicates_are_the_pairs_of_an_image_or_else_the_others_of_its_group():
    pairs = [{"first": "a", "second": "d"}]
    assert duplicates_by_id(pairs, [["a", "b", "c"]]) == {"a": ["d"], "b": ["a", "c"], "c": ["a", "b"], "d": ["a"]}
