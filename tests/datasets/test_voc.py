"""Pascal VOC in the layouts of its exporters."""

import pytest
from PIL import Image

from planted_sources import assert_bad, plant, write
from tandem.datasets.formats import registry, voc
from tandem.datasets.formats.annotations import Annotation, Box
from tandem.errors import DataError

SIZE = "<size><width>200</width><height>100</height><depth>3</depth></size>"


def thing(name, *edges):
    bounds = "".join(
        f"<{key}>{edge}</{key}>" for key, edge in zip(("xmin", "ymin", "xmax", "ymax"), edges, strict=True)
    )
    return f"<object><name>{name}</name><bndbox>{bounds}</bndbox></object>"


def xml(*things, name="a.jpg", size=SIZE):
    return f"<annotation><folder>x</folder><filename>{name}</filename>{size}{''.join(things)}</annotation>"


CAR = thing("Car", 50, 25, 150, 75)


@pytest.mark.parametrize(
    ("image", "own"),
    [
        ("VOC2007/JPEGImages/a.jpg", "VOC2007/Annotations/a.xml"),
        ("JPEGImages/a.png", "Annotations/a.xml"),
        ("images/a.png", "annotations/a.xml"),
        ("data/a.jpg", "labels/a.xml"),
        ("train/a_jpg.rf.abc.jpg", "train/a_jpg.rf.abc.xml"),
        ("a.jpg", "a.XML"),
        ("images/train/a.jpg", "annotations/train/a.xml"),
    ],
)
@pytest.mark.parametrize("base", ["", "export/"])
def test_images_are_found_where_exporters_put_them(tmp_path, image, own, base):
    root = write(plant(tmp_path, f"{base}{image}", f"{base}other/b.jpg"), {f"{base}{own}": xml(CAR)})
    assert registry.detect_format(root) == "voc"
    assert Annotation(f"{base}{image}", "Car", Box(0.25, 0.25, 0.5, 0.5)) in registry.read_annotations(
        root, format="auto"
    )


def test_equal_names_in_two_splits_are_told_apart(tmp_path):
    root = plant(tmp_path, "images/train/a.jpg", "images/val/a.jpg")
    write(root, {"annotations/train/a.xml": xml(CAR), "annotations/val/a.xml": xml(thing("Bus", 0, 0, 9, 9))})
    assert [(each.path, each.label) for each in voc.read(root)] == [
        ("images/train/a.jpg", "Car"),
        ("images/val/a.jpg", "Bus"),
    ]


def test_the_stated_file_name_serves_where_the_name_of_the_xml_file_does_not(tmp_path):
    root = write(plant(tmp_path, "a.jpg"), {"1.xml": xml(CAR), "2.xml": xml(CAR, name="gone.jpg")})
    assert [(each.path, each.reason) for each in voc.read(root)] == [("2.xml", "no_image"), ("a.jpg", "")]


@pytest.mark.parametrize(
    ("declaration", "encoding"),
    [
        ('<?xml version="1.0" encoding="GBK"?>', "gbk"),
        ("<?xml version='1.0' encoding='ISO-8859-1'?>", "latin-1"),
        ('<?xml version="1.0" encoding="utf-16"?>', "utf-16"),
        ('<?xml version="1.0" encoding="UTF-8"?>', "utf-8-sig"),
        ('\n <?xml version="1.0"?>', "utf-8"),
    ],
)
def test_files_are_read_in_the_encoding_that_they_declare(tmp_path, declaration, encoding):
    label = "\u8f66" if encoding != "latin-1" else "Cami\u00f3n"
    text = declaration + xml(thing(label, 0, 0, 9, 9))
    root = write(plant(tmp_path, "a.jpg"), {"a.xml": text.encode(encoding)})
    assert [(each.path, each.label) for each in registry.read_annotations(root, format="auto")] == [("a.jpg", label)]


def test_a_namespace_hides_no_object(tmp_path):
    text = xml(CAR).replace("<annotation>", '<annotation xmlns="http://some.where/voc">', 1)
    assert "xmlns" in text
    assert [each.label for each in voc.read(write(plant(tmp_path, "a.jpg"), {"a.xml": text}))] == ["Car"]


@pytest.mark.parametrize("name", ["C:\\me\\a.jpg", "/home/me/a.jpg", "A.JPG"])
def test_the_stated_file_name_may_be_of_another_machine(tmp_path, name):
    root = write(plant(tmp_path, "a.jpg"), {"1.xml": xml(CAR, name=name)})
    assert [(each.path, each.label) for each in voc.read(root)] == [("a.jpg", "Car")]


@pytest.mark.parametrize("size", ["", "<size><width>0</width><height>0</height></size>"])
def test_an_image_whose_size_is_not_stated_says_it_itself(tmp_path, size):
    root = write(plant(tmp_path, "a.jpg", size=(8, 4)), {"a.xml": xml(thing("Car", 2, 1, 6, 3), size=size)})
    assert voc.read(root) == [Annotation("a.jpg", "Car", Box(0.25, 0.25, 0.5, 0.5))]


def test_the_size_of_an_image_is_that_of_the_upright_one(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (4, 8)).save(tmp_path / "a.jpg", exif=exif)
    write(tmp_path, {"a.xml": xml(thing("Car", 2, 1, 6, 3), size="")})
    assert voc.read(tmp_path) == [Annotation("a.jpg", "Car", Box(0.25, 0.25, 0.5, 0.5))]


def test_objects_without_a_box_images_without_objects_and_boxes_outside_are_accounted_for(tmp_path):
    root = plant(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    outside = thing("Bus", 300, 0, 400, 50)
    write(root, {"a.xml": xml(outside, "<object><name>Car</name></object>"), "b.xml": xml(name="b.jpg")})
    found = voc.read(root)
    assert [(each.path, each.label, each.reason) for each in found] == [
        ("a.jpg", "Car", ""),
        ("a.jpg", "Bus", "empty_box"),
        ("b.jpg", "", ""),
        ("c.jpg", "", ""),
    ]
    assert [each.detail for each in found[2:]] == ["b.xml has no object", "no XML file describes it"]


def test_class_folders_that_say_the_same_are_class_folders(tmp_path):
    root = plant(tmp_path, "n01/a.jpg", "n02/b.jpg")
    write(
        root, {"Annotations/a.xml": xml(thing("dog", 0, 0, 9, 9)), "Annotations/b.xml": xml(thing("cat", 0, 0, 9, 9))}
    )
    assert registry.detect_format(root) == "class_folders"
    assert {each.label for each in registry.read_annotations(root, format="voc")} == {"dog", "cat"}


BOMB = "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'>" + "".join(
    f"<!ENTITY {name} '{f'&{before};' * 10}'>" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            xml(thing("Car", 9, 0, 1, 9)),
            r"a\.xml: object 1 has box \['9', '0', '1', '9'\] in an image of '200' x '100'",
        ),
        (xml(thing("Car", "nan", 0, 1, 9)), "object 1 has box"),
        (xml(thing("Car", 0, 0, "inf", 9)), "object 1 has box"),
        (xml(thing("Car", "", 0, 1, 9)), "object 1 has box"),
        (
            f'<?xml version="1.0" encoding="klingon"?>{xml(CAR)}',
            r"not an XML file of Pascal VOC \(unknown encoding: klingo",
        ),
        (
            xml(thing("Cami\u00f3n", 0, 0, 1, 9)).encode("latin-1"),
            r"a\.xml, line \d+: the byte 0xf3 is not of utf-8 text",
        ),
        (xml(CAR, thing(" ", 0, 0, 1, 9)), "object 2 has no name"),
        ("<annotation><object>", r"a\.xml is not an XML file of Pascal VOC \(no element found"),
        (BOMB + f"]>{xml(thing('&i;', 0, 0, 1, 9))}", "it has a document type"),
        ("<annotation>" + "<a>" * 10_000, r"is not an XML file of Pascal VOC \(nested more than 20 deep\)"),
        ("<annotation>" + " " * 10_000_000, r"is not an XML file of Pascal VOC \(more than 10000000 bytes\)"),
    ],
)
def test_xml_that_leads_nowhere_is_a_bad_annotation_and_other_files_are_read(tmp_path, text, message):
    found = voc.read(write(plant(tmp_path, "a.jpg", "b.jpg"), {"a.xml": text, "b.xml": xml(CAR)}))
    assert_bad(found, message)
    assert [each.path for each in found if each.box and not each.reason] == ["a.jpg"] * ("object 2" in message) + [
        "b.jpg"
    ]


def test_an_image_with_two_files_that_differ_is_refused(tmp_path):
    root = write(plant(tmp_path, "images/a.jpg"), {"one/a.xml": xml(CAR), "two/a.xml": xml(thing("Bus", 0, 0, 9, 9))})
    with pytest.raises(DataError, match=r"one/a\.xml and .*two/a\.xml both describe 'images/a\.jpg', and differ"):
        voc.read(root)
