"""Examples of planted annotations. Nothing is opened, so no image needs to exist."""

from pathlib import Path

import pytest

from factories import label_settings
from tandem.datasets.examples import (
    Example,
    SourceAnnotations,
    collect_examples,
    count_labels,
    require_few_bad,
    resolve_boxes,
)
from tandem.datasets.formats.annotations import Annotation, Box
from tandem.datasets.labels import LabelMap, label_map
from tandem.errors import DataError, UnknownLabelError
from tandem.sources.settings import BoxPolicy
from tandem.tables.index import Excluded

HEX = "c4bc955d4a913762ea57883592c4550c"
LEFT, RIGHT = Box(0.1, 0.2, 0.2, 0.4), Box(0.6, 0.2, 0.3, 0.4)
WHOLE = BoxPolicy(use="whole", margin=0.0, min_side_px=32)
CROP = BoxPolicy(use="crop", margin=0.0, min_side_px=32)


def labels() -> LabelMap:
    by_source = {"yard": {"classes": {"truck": ["machine"]}}}
    return label_map(label_settings({"car": ["carro"], "truck": ["caminhão"]}, ignore=["bus"], by_source=by_source))


def collect(
    *annotations: Annotation, boxes: BoxPolicy | None = None, source: str = "street"
) -> tuple[list[Example], list[Excluded]]:
    resolved = resolve_boxes(source, SourceAnnotations(Path("/nowhere"), annotations, boxes))
    return collect_examples({source: resolved}, labels())


def test_a_labelled_image_is_an_example_of_its_class_and_keeps_the_sources_label() -> None:
    assert collect(Annotation("Carro/1.jpg", "Carro")) == ([Example("street", "Carro/1.jpg", "Carro", "car")], [])


def test_what_is_excluded_by_its_label_says_why() -> None:
    examples, excluded = collect(
        Annotation("bus/1.jpg", "Bus"), Annotation("2.jpg", ""), Annotation("car/3.jpg", "car")
    )
    assert [example.path for example in examples] == ["car/3.jpg"]
    assert excluded == [
        Excluded("street", "bus/1.jpg", "Bus", "ignored_label", ""),
        Excluded("street", "2.jpg", "", "unlabelled", ""),
    ]


def test_examples_are_in_the_order_of_sources_and_annotations() -> None:
    sources = {
        "yard": [Annotation("b.jpg", "machine"), Annotation("a.jpg", "car")],
        "street": [Annotation("c.jpg", "car")],
    }
    examples, _ = collect_examples(sources, labels())
    assert [(example.source, example.path, example.class_name) for example in examples] == [
        ("yard", "b.jpg", "truck"),
        ("yard", "a.jpg", "car"),
        ("street", "c.jpg", "car"),
    ]


def test_unknown_labels_of_all_sources_are_listed_at_once() -> None:
    sources = {
        "yard": [Annotation("1.jpg", "lorry"), Annotation("2.jpg", "lorry"), Annotation("3.jpg", "machine")],
        "street": [Annotation("1.jpg", "machine"), Annotation("2.jpg", "")],
    }
    with pytest.raises(UnknownLabelError) as caught:
        collect_examples(sources, labels())
    assert "2 unknown label(s)" in str(caught.value)
    assert "yard has label 'lorry' (2 images)" in str(caught.value)
    assert "street has label 'machine' (1 image)" in str(caught.value)


def test_boxes_need_a_policy_on_how_to_read_them() -> None:
    with pytest.raises(
        DataError, match=r"street is a detection export; .*sources\.street\.boxes: \{use: whole \| crop"
    ):
        collect(Annotation("1.jpg", "car", LEFT))


def test_an_image_whose_boxes_are_of_one_class_is_one_whole_example() -> None:
    examples, excluded = collect(Annotation("1.jpg", "car", LEFT), Annotation("1.jpg", "Carro", RIGHT), boxes=WHOLE)
    assert examples == [Example("street", "1.jpg", "car", "car")]
    assert excluded == []


def test_an_image_whose_boxes_are_of_two_classes_is_excluded() -> None:
    examples, excluded = collect(
        Annotation("1.jpg", "car", LEFT),
        Annotation("1.jpg", "caminhão", RIGHT),
        Annotation("2.jpg", "car", LEFT),
        boxes=WHOLE,
    )
    assert [example.path for example in examples] == ["2.jpg"]
    assert [(each.path, each.label, each.reason) for each in excluded] == [("1.jpg", "car, caminhão", "mixed_labels")]


def test_an_ignored_box_makes_an_image_mixed_too() -> None:
    examples, excluded = collect(Annotation("1.jpg", "car", LEFT), Annotation("1.jpg", "bus", RIGHT), boxes=WHOLE)
    assert examples == []
    assert [(each.label, each.reason) for each in excluded] == [("car, bus", "mixed_labels")]


def test_an_image_with_only_ignored_boxes_or_none_is_excluded_once() -> None:
    annotations = (
        Annotation("1.jpg", "bus", LEFT),
        Annotation("1.jpg", "bus", RIGHT),
        Annotation("2.jpg", ""),
        Annotation("3.jpg", "car", LEFT),
    )
    _, excluded = collect(*annotations, boxes=WHOLE)
    assert [(each.path, each.reason) for each in excluded] == [("1.jpg", "ignored_label"), ("2.jpg", "unlabelled")]


def test_every_box_is_a_crop_with_its_own_class() -> None:
    annotations = (
        Annotation("1.jpg", "car", LEFT),
        Annotation("1.jpg", "bus", RIGHT),
        Annotation("1.jpg", "caminhão", RIGHT),
        Annotation("2.jpg", ""),
    )
    examples, excluded = collect(*annotations, boxes=CROP)
    assert [example.class_name for example in examples] == ["car", "truck"]
    assert [example.box for example in examples] == [pytest.approx(LEFT), pytest.approx(RIGHT)]
    assert [(each.path, each.reason) for each in excluded] == [("1.jpg", "ignored_label"), ("2.jpg", "unlabelled")]


def test_a_margin_is_a_fraction_of_the_box_on_each_side() -> None:
    examples, _ = collect(Annotation("1.jpg", "car", Box(0.4, 0.4, 0.2, 0.1)), boxes=BoxPolicy("crop", 0.5, 1))
    assert examples[0].box == pytest.approx((0.3, 0.35, 0.4, 0.2))


def test_a_margin_ends_at_the_border() -> None:
    corner, opposite = Box(0.0, 0.05, 0.2, 0.2), Box(0.8, 0.8, 0.2, 0.15)
    examples, _ = collect(
        Annotation("1.jpg", "car", corner), Annotation("1.jpg", "car", opposite), boxes=BoxPolicy("crop", 0.5, 1)
    )
    assert examples[0].box == pytest.approx((0.0, 0.0, 0.3, 0.35))
    assert examples[1].box == pytest.approx((0.7, 0.725, 0.3, 0.275))


def test_a_policy_on_boxes_changes_nothing_for_images_without_boxes() -> None:
    examples, _ = collect(Annotation("car/1.jpg", "car"), boxes=CROP)
    assert examples == [Example("street", "car/1.jpg", "car", "car")]


def test_a_stem_is_shared_inside_one_source_and_class_only() -> None:
    annotations = [
        Annotation(f"train/{label}/Image_9_jpg.rf.{HEX}.jpg", label) for label in ("car", "carro", "caminhão")
    ]
    examples, _ = collect(*annotations)
    assert [example.provenance_keys for example in examples] == [
        ("stem:street/car/image_9",),
        ("stem:street/car/image_9",),
        ("stem:street/truck/image_9",),
    ]
    in_yard, _ = collect(annotations[0], source="yard")
    assert in_yard[0].provenance_keys == ("stem:yard/car/image_9",)


def test_frames_of_one_clip_share_it_whatever_their_class() -> None:
    annotations = (
        Annotation(f"car/Ride_mp4-1_jpg.rf.{HEX}.jpg", "car"),
        Annotation("truck/ride_mp4-22.jpg", "caminhão"),
    )
    examples, _ = collect(*annotations)
    assert [example.provenance_keys for example in examples] == [
        ("stem:street/car/ride_mp4-1", "video:street/ride"),
        ("video:street/ride",),
    ]


def test_crops_share_the_image_that_they_were_cut_from() -> None:
    annotations = (
        Annotation("a/1.jpg", "car", LEFT),
        Annotation("a/1.jpg", "caminhão", RIGHT),
        Annotation("b/1.jpg", "car", LEFT),
    )
    examples, _ = collect(*annotations, boxes=CROP)
    assert [example.provenance_keys for example in examples] == [
        ("image:street/a/1.jpg",),
        ("image:street/a/1.jpg",),
        ("image:street/b/1.jpg",),
    ]


def test_a_plain_image_has_no_provenance_key() -> None:
    assert collect(Annotation("car/1.jpg", "car"))[0][0].provenance_keys == ()


def test_an_image_with_two_labels_and_no_box_is_excluded_and_with_two_names_of_one_class_is_not() -> None:
    examples, excluded = collect(
        Annotation("1.jpg", "car"),
        Annotation("1.jpg", "caminhão"),
        Annotation("2.jpg", "car"),
        Annotation("2.jpg", "carro"),
    )
    assert [example.path for example in examples] == ["2.jpg"]
    assert [(each.path, each.label, each.reason, each.detail) for each in excluded] == [
        ("1.jpg", "car, caminhão", "mixed_labels", "labels of several classes in one image")
    ]


def test_what_is_excluded_by_its_annotation_needs_no_class_and_no_policy_on_boxes() -> None:
    outside = Annotation("1.jpg", "tank", None, "empty_box", "where")
    examples, excluded = collect(outside, Annotation("1.jpg", "car"), Annotation("2.jpg", "", detail="why"))
    assert [example.label for example in examples] == ["car"]
    assert [(each.label, each.reason, each.detail) for each in excluded] == [
        ("", "unlabelled", "why"),
        ("tank", "empty_box", "where"),
    ]


def test_an_annotation_that_cannot_be_used_still_says_what_else_its_image_holds() -> None:
    bad = [Annotation(f"{number}.jpg", "caminhão", None, "bad_annotation", f"line {number}") for number in (1, 2, 3)]
    examples, excluded = collect(Annotation("1.jpg", "car"), Annotation("2.jpg", "caminhão"), *bad)
    assert [(each.path, each.label) for each in examples] == [("2.jpg", "caminhão")]
    assert [(each.path, each.reason) for each in excluded] == [
        ("1.jpg", "mixed_labels"),
        ("1.jpg", "bad_annotation"),
        ("2.jpg", "bad_annotation"),
        ("3.jpg", "bad_annotation"),
    ]


def test_few_bad_annotations_of_many_are_no_error_and_more_are_one_with_the_first_of_them() -> None:
    good = [Annotation(f"{number}.jpg", "car") for number in range(8)]
    bad = [Annotation("x.jpg", "", None, "bad_annotation", f"a.txt, line {number} is wrong") for number in (1, 2)]
    require_few_bad({"street": [*good, *bad]}, max_fraction=0.2)
    with pytest.raises(DataError) as caught:
        require_few_bad({"yard": good, "street": [*good, *bad]}, max_fraction=0.19)
    assert str(caught.value) == (
        "2 of 10 annotations of street cannot be used, more than merge.max_corrupt_fraction = 0.19 allows. The first "
        "ones:\n  a.txt, line 1 is wrong\n  a.txt, line 2 is wrong\ncorrect or remove them, or raise "
        "merge.max_corrupt_fraction"
    )


@pytest.mark.parametrize("names", [True, False])
def test_a_word_for_no_label_is_one_where_the_label_map_names_it(names: bool) -> None:
    missing = Annotation("1.jpg", "None", None, "missing_label", "x.csv, line 2: it stands for none")
    map_of = label_map(label_settings({"car": [], "empty": ["none"] if names else []}))
    examples, excluded = collect_examples({"street": [missing, Annotation("2.jpg", "car")]}, map_of)
    assert [each.class_name for each in examples] == (["empty", "car"] if names else ["car"])
    assert [(each.path, each.label, each.reason, each.detail) for each in excluded] == (
        [] if names else [("1.jpg", "None", "unlabelled", "x.csv, line 2: it stands for none")]
    )
    assert count_labels({"street": [missing]}) == {}


def test_labels_are_counted_by_source() -> None:
    yard, street = (
        [Annotation("1.jpg", "car"), Annotation("2.jpg", "car")],
        [Annotation("1.jpg", "car", None, "no_box")],
    )
    assert count_labels({"yard": yard, "street": street}) == {("yard", "car"): 2}
