"""Tables of labels, as they lie beside images of Kaggle and Roboflow."""

import pytest

from planted_sources import assert_bad, plant, write
from tandem.datasets.formats import csv_labels, registry
from tandem.datasets.formats.annotations import Annotation, Box
from tandem.errors import DataError

ROWS = "id,label\na,Car\nb,Bus\n"


def labels(annotations):
    return {each.path: each.label for each in annotations}


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ("train.csv", ROWS),
        ("train.csv", "\ufeffimage,class\r\na.jpg,Car\r\nb.jpg,Bus\r\n"),
        ("train.csv", ROWS.encode("utf-16")),
        ("train.csv", "id;label\na;Car\nb;Bus\n"),
        ("train.tsv", "id\tlabel\na\tCar\nb\tBus\n"),
        ("train.csv", 'image_id,"breed"\n"a","Car"\n"b","Bus"\n'),
        ("labels.csv", "filename,width,label\ntrain/a.jpg,8,Car\ntrain/b.jpg,8,Bus\n"),
        ("labels.csv", "class index,filepaths,labels\n0,/kaggle/input/x/train/a.jpg,Car\n1,C:\\x\\train\\b.jpg,Bus\n"),
        ("labels.csv", "anything,what it shows\na.jpg, Car \nb.jpg, Bus\n\n"),
        ("metadata.csv", "file_name,label\na.jpg,Car\nb.jpg,Bus\n"),
        ("labels.csv", "\n\r\n,\nfile,label\n\na.jpg,Car\nb.jpg,Bus\n,,\n"),
        ("labels.csv", "sep=;\r\nfile;label\r\na.jpg;Car\r\nb.jpg;Bus\r\n"),
        ("labels.csv", "file|label\na.jpg|Car\nb.jpg|Bus\n"),
        ("labels.csv", 'file, label\n"a.jpg", "Car"\n"b.jpg", "Bus"\n'),
        ("labels.csv", "file,label\ra.jpg,Car\rb.jpg,Bus\r"),
        ("labels.csv", "file,label,\na.jpg,Car,,\nb.jpg,Bus\n"),
        ("labels.csv", "file,Car,Bus\na.jpg,True,False\nb.jpg,False,True\n"),
    ],
)
@pytest.mark.parametrize("base", ["", "competition/"])
def test_tables_are_read_as_people_write_them(tmp_path, table, text, base):
    root = plant(tmp_path, f"{base}train/a.jpg", f"{base}train/b.jpg")
    write(root, {f"{base}{table}": text, f"{base}sample_submission.csv": "id,label\na,Bus\nb,Bus\n"})
    assert registry.detect_format(root) == "csv"
    found = labels(registry.read_annotations(root, format="auto"))
    assert found == {f"{base}train/a.jpg": "Car", f"{base}train/b.jpg": "Bus"}


def test_the_table_of_a_split_means_the_images_of_its_folder(tmp_path):
    root = plant(tmp_path, "train/a.jpg", "train/b.jpg", "test/a.jpg")
    assert labels(csv_labels.read(write(root, {"train.csv": ROWS}))) == {
        "train/a.jpg": "Car",
        "train/b.jpg": "Bus",
        "test/a.jpg": "",
    }


def test_a_name_that_could_be_several_images_labels_none_of_them(tmp_path):
    root = write(plant(tmp_path, "x/a.jpg", "y/a.jpg", "x/b.jpg"), {"train.csv": ROWS})
    found = registry.read_annotations(root, format="csv")
    bad = assert_bad(found, r"train\.csv, line 2: the image 'a' could be 'x/a.jpg', 'y/a.jpg'; write its path into the")
    assert bad.path == "train.csv"
    assert labels(each for each in found if not each.reason) == {"x/a.jpg": "", "y/a.jpg": "", "x/b.jpg": "Bus"}


def test_rows_without_an_image_and_images_without_a_row_or_label_are_accounted_for(tmp_path):
    root = plant(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    found = csv_labels.read(write(root, {"train.csv": "id,label\na,Car\nb,\ngone,Bus\n../x,Bus\n"}))
    assert [(each.path, each.label, each.reason) for each in found] == [
        ("a.jpg", "Car", ""),
        ("b.jpg", "", ""),
        ("c.jpg", "", ""),
        ("train.csv:4", "Bus", "no_image"),
        ("train.csv:5", "Bus", "no_image"),
    ]
    assert found[2].detail == "no row of 'train.csv' names it"


def test_an_image_with_two_labels_has_both_and_the_other_rows_are_read(tmp_path):
    root = write(plant(tmp_path, "a.jpg", "b.jpg"), {"train.csv": ROWS + "b,Bus\na,Bus\n"})
    found = csv_labels.read(root)
    assert [(each.path, each.label) for each in found] == [("a.jpg", "Bus"), ("a.jpg", "Car"), ("b.jpg", "Bus")]
    assert [each.detail.rpartition(", ")[2] for each in found[:2]] == ["line 5", "line 2"]


@pytest.mark.parametrize("cell", ["\"['Car', 'Bus']\"", '"[""Car"", ""Bus""]"'])
def test_a_list_of_labels_in_a_cell_is_several_labels(tmp_path, cell):
    root = write(plant(tmp_path, "a.jpg", "b.jpg"), {"x.csv": f"id,labels\na,{cell}\nb,['Car']\n"})
    found = [(each.path, each.label) for each in csv_labels.read(root)]
    assert sorted(found) == [("a.jpg", "Bus"), ("a.jpg", "Car"), ("b.jpg", "Car")]


@pytest.mark.parametrize("label", ["[x]", "{y}", "[1, 2]", "[", "['Car', 1]"])
def test_brackets_alone_make_no_list(tmp_path, label):
    root = write(plant(tmp_path, "a.jpg"), {"x.csv": f'id,label\na,"{label}"\n'})
    assert labels(csv_labels.read(root)) == {"a.jpg": label}


def test_a_column_of_json_is_no_column_of_labels(tmp_path):
    """As Label Studio exports boxes."""
    cell = '"[{""x"": 1, ""rectanglelabels"": [""Car""]}]"'
    root = write(plant(tmp_path, "a.jpg"), {"x.csv": f"id,image,label\n7,/data/upload/1/a.jpg,{cell}\n"})
    with pytest.raises(DataError, match=r"x\.csv, line 2: the column 'label' holds JSON, as of Label Studio, and no"):
        csv_labels.read(root)


def test_the_names_of_classes_go_before_their_numbers(tmp_path):
    root = write(plant(tmp_path, "a.jpg"), {"x.csv": "image,label,label_name\na.jpg,0,Car\n"})
    assert labels(csv_labels.read(root)) == {"a.jpg": "Car"}


@pytest.mark.parametrize("num_rows", [1, 100])
def test_an_open_quote_makes_no_label_of_the_rest_of_the_table(tmp_path, num_rows):
    root = write(plant(tmp_path, "a.jpg"), {"train.csv": 'id,label\n\na,"Car\n' + "b,Bus\n" * num_rows})
    with pytest.raises(
        DataError, match=r"train\.csv is not a CSV file: the row that begins in line 3 .*; a quote may be"
    ):
        csv_labels.read(root)


def test_a_row_with_more_cells_than_columns_is_a_bad_annotation_and_not_cut(tmp_path):
    root = write(plant(tmp_path, "a.jpg", "b.jpg"), {"train.csv": "id,label\na,Car, red\nb,Bus\n"})
    found = csv_labels.read(root)
    assert assert_bad(found, r"train\.csv, line 2 has 3 cells, and 2 columns have names$").path == "train.csv"
    assert labels(each for each in found if not each.reason) == {"a.jpg": "", "b.jpg": "Bus"}


def test_two_columns_of_one_name_are_refused(tmp_path):
    root = write(plant(tmp_path, "a.jpg"), {"train.csv": "id,label,label\na,Car,Bus\n"})
    with pytest.raises(DataError, match=r"train\.csv has two columns 'label'; give each its own name"):
        csv_labels.read(root)


@pytest.mark.parametrize("name", ["_classes.csv", "train.csv"])
def test_a_column_a_class_is_read(tmp_path, name):
    root = plant(tmp_path, "train/a.jpg", "train/b.jpg", "train/c.jpg")
    write(root, {f"train/{name}": "filename, Bus, Car\na.jpg, 0, 1\nb.jpg, 1, 1\nc.jpg, 0, 0\n"})
    assert registry.read_annotations(root, format="auto") == [
        Annotation("train/a.jpg", "Car"),
        Annotation("train/b.jpg", "Bus"),
        Annotation("train/b.jpg", "Car"),
        Annotation("train/c.jpg", ""),
    ]


def test_boxes_are_read(tmp_path):
    rows = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
    root = plant(tmp_path, "train/a.jpg")
    write(root, {"train/_annotations.csv": rows + "a.jpg,200,100,Car,50,25,150,75\na.jpg,200,100,Bus,300,0,400,9\n"})
    used, excluded = registry.read_annotations(root, format="auto")
    assert used == Annotation("train/a.jpg", "Car", Box(0.25, 0.25, 0.5, 0.5))
    assert (excluded.label, excluded.reason) == ("Bus", "empty_box")
    write(root, {"train/_annotations.csv": rows + "a.jpg,200,100,Car,150,25,50,nan\n"})
    assert_bad(csv_labels.read(root), r"_annotations\.csv, line 2 has box .* in an image of 200 x 100 pixels$")


@pytest.mark.parametrize(
    ("columns", "values"),
    [
        ("image,xmin,ymin,xmax,ymax,label", "a.jpg,2,1,6,3,Car"),
        ("image_name,x1,y1,x2,y2,class,image_width,image_height", "a.jpg,50,25,150,75,Car,200,100"),
        ("file,x_min,y_min,x_max,y_max,width,height,label", "A.JPG,2,1,6,3,0,0,Car"),
        ("path;left;top;right;bottom;label;note", "C:\\set\\a.jpg;2;1;6;3;Car;x"),
    ],
)
def test_columns_of_boxes_have_several_names_and_an_image_says_its_size_itself(tmp_path, columns, values):
    root = write(plant(tmp_path, "a.jpg", size=(8, 4)), {"boxes.csv": f"{columns}\n{values}\n"})
    assert csv_labels.read(root) == [Annotation("a.jpg", "Car", Box(0.25, 0.25, 0.5, 0.5))]


def test_boxes_of_open_images_are_in_fractions(tmp_path):
    root = plant(tmp_path, "a.jpg", size=(8, 4))
    write(root, {"boxes.csv": "ImageID,LabelName,Confidence,XMin,XMax,YMin,YMax,IsGroupOf\na,Car,1,0.25,0.75,0,1,0\n"})
    assert csv_labels.read(root) == [Annotation("a.jpg", "Car", Box(0.25, 0, 0.5, 1))]


def test_a_row_without_a_box_labels_its_image_unless_another_row_has_one(tmp_path):
    """As in sets of X-ray images, where `No finding` has none."""
    root = plant(tmp_path, "a.jpg", "b.jpg", "c.jpg", size=(8, 4))
    rows = "a,Car,2,1,6,3\na,Bus,,,,\nb,None found,NaN,NaN,NaN,NaN\nc,,,,,\n"
    write(root, {"boxes.csv": f"image_id,class_name,x_min,y_min,x_max,y_max\n{rows}"})
    assert [(each.path, each.label, each.box is not None, each.reason) for each in csv_labels.read(root)] == [
        ("a.jpg", "Car", True, ""),
        ("a.jpg", "Bus", False, "no_box"),
        ("b.jpg", "None found", False, ""),
        ("c.jpg", "", False, ""),
    ]


def test_the_only_column_beside_those_of_boxes_holds_the_labels(tmp_path):
    root = write(plant(tmp_path, "a.jpg"), {"boxes.csv": "image,x,y,w,h,what\na.jpg,2,1,4,2,Car\n"})
    assert csv_labels.read(root) == [Annotation("a.jpg", "Car", Box(0.25, 0.25, 0.5, 0.5))]


@pytest.mark.parametrize(
    "table",
    [
        "filename,blurry,night\na.jpg,1,0\nb.jpg,1,1\nc.jpg,0,0\nd.jpg,0,1\n",
        "filename,blurry\na.jpg,1\nb.jpg,1\nc.jpg,0\nd.jpg,0\n",
        "filename,weather\na.jpg,sun\nb.jpg,rain\nc.jpg,sun\nd.jpg,rain\n",
    ],
)
def test_what_a_table_knows_of_images_in_class_folders_is_no_label(tmp_path, table):
    root = write(plant(tmp_path, "train/Car/a.jpg", "train/Car/b.jpg", "train/Bus/c.jpg", "train/Bus/d.jpg"), {})
    write(root, {"meta.csv": table})
    assert set(labels(registry.read_annotations(root, format="auto")).values()) == {"Car", "Bus"}
    columns = table.partition("\n")[0].split(",")[1:]
    assert {name: list(found) for name, found in registry.passed_over(root).items()} == {"meta.csv": columns}
    assert set(labels(registry.read_annotations(root, format="csv")).values()) <= {
        *columns,
        "0",
        "1",
        "sun",
        "rain",
        "",
    }


@pytest.mark.parametrize(
    ("folders", "table"),
    [
        (("Car", "Bus"), "file,label,blurry\na,Truck,1\nb,Van,0\nc,Truck,0\nd,Van,1\n"),
        (("Car", "Bus"), "file,Truck,Van\na,1,0\nb,0,1\nc,1,0\nd,0,1\n"),
        (("part_1", "part_2"), "file,what\na,Truck\nb,Van\nc,Truck\nd,Van\n"),
    ],
)
def test_a_table_that_says_that_it_holds_labels_goes_before_folders_and_any_does_before_parts(tmp_path, folders, table):
    one, other = folders
    root = write(plant(tmp_path, f"{one}/a.jpg", f"{one}/b.jpg", f"{other}/c.jpg", f"{other}/d.jpg"), {"x.csv": table})
    assert sorted(labels(registry.read_annotations(root, format="auto")).values()) == ["Truck", "Truck", "Van", "Van"]
    assert registry.passed_over(root) == {}


def test_a_column_of_splits_or_of_what_is_occluded_is_no_class_beside_columns_of_classes(tmp_path):
    rows = "a,1,0,0,1\nb,0,1,1,1\nc,1,0,1,0\n"
    root = write(plant(tmp_path, "a.jpg", "b.jpg", "c.jpg"), {"x.csv": f"id,Car,Bus,is_train,IsOccluded\n{rows}"})
    assert labels(csv_labels.read(root)) == {"a.jpg": "Car", "b.jpg": "Bus", "c.jpg": "Car"}


@pytest.mark.parametrize("word", ["nan", "NaN", "None", "null", "NULL", "N/A", "<NA>"])
def test_a_word_for_no_label_is_none_and_no_second_label_of_its_image(tmp_path, word):
    root = plant(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    write(root, {"x.csv": f"id,label\na,{word}\nb,{word}\nb,Car\nc,{word}y\n"})
    assert [(each.path, each.label, each.reason) for each in csv_labels.read(root)] == [
        ("a.jpg", word, "missing_label"),
        ("b.jpg", "Car", ""),
        ("b.jpg", word, "missing_label"),
        ("c.jpg", f"{word}y", ""),
    ]
    assert csv_labels.read(root)[0].detail.endswith(
        f"x.csv, line 2: the label '{word}' stands for none, unless `labels` names it"
    )


def test_json_lines_are_a_table(tmp_path):
    lines = '{"file_name": "a.jpg", "label": "Car", "text": "red"}\n\n{"file_name": "b.jpg", "label": 1}\n'
    root = write(plant(tmp_path, "train/a.jpg", "train/b.jpg"), {"train/metadata.jsonl": lines})
    assert labels(registry.read_annotations(root, format="auto")) == {"train/a.jpg": "Car", "train/b.jpg": "1"}


def test_captions_in_json_lines_are_no_labels_of_class_folders(tmp_path):
    lines = "".join(f'{{"file_name": "{name}", "text": "a car"}}\n' for name in ("Car/a.jpg", "Bus/b.jpg"))
    root = write(plant(tmp_path, "Car/a.jpg", "Bus/b.jpg"), {"metadata.jsonl": lines})
    assert registry.detect_format(root) == "class_folders"


@pytest.mark.parametrize(
    "rows", ["file,label\na.jpg,Car\nb.jpg,Bus\n", "file,label\na.jpg,0\nb.jpg,1\n", "x,y\n1,2\n", ""]
)
def test_class_folders_beside_a_table_that_says_no_more_are_class_folders(tmp_path, rows):
    root = write(plant(tmp_path, "Car/a.jpg", "Bus/b.jpg"), {"index.csv": rows})
    assert registry.detect_format(root) == "class_folders"
    if isinstance(rows, str) and rows.startswith("file"):
        assert registry.read_annotations(root, format="csv")[0].path == "Bus/b.jpg"


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("split", ["train", "test", "train", "train"]),
        ("what", ["Train", "test_set", "val2017", ""]),
        ("Width", ["8", "9", "8", "8"]),
        ("etag", ["x1", "x2", "x3", "x4"]),
    ],
)
def test_what_a_table_says_about_images_is_no_label(tmp_path, column, values):
    names = ["Car/a.jpg", "Car/b.jpg", "Bus/c.jpg", "Bus/d.jpg"]
    table = f"file,{column}\n" + "".join(f"{name},{value}\n" for name, value in zip(names, values, strict=True))
    root = write(plant(tmp_path, *names), {"meta.csv": table})
    assert labels(registry.read_annotations(root, format="auto")) == {name: name[:3] for name in names}
    with pytest.raises(DataError, match=rf"the column 'file' names images, but which of '{column}' holds their labels"):
        csv_labels.read(root)


def test_a_column_of_labels_stays_one_whatever_it_holds(tmp_path):
    rows = "".join(f"{name},{label}\n" for name, label in zip("abcd", ["train", "test", "bus", "car"], strict=True))
    root = write(plant(tmp_path, *(f"{name}.jpg" for name in "abcd")), {"x.csv": f"id,label\n{rows}"})
    assert set(labels(csv_labels.read(root)).values()) == {"train", "test", "bus", "car"}


def test_a_table_says_more_than_folders_that_are_parts(tmp_path):
    root = plant(tmp_path, "part_1/a.jpg", "part_1/b.jpg", "part_2/c.jpg", "part_2/d.jpg")
    write(root, {"train.csv": "id,label\na,Car\nb,Bus\nc,Car\nd,Bus\n"})
    assert registry.detect_format(root) == "csv"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a,b\n1,2\n", "no CSV file has a column with the names of the images and one with their labels"),
        (
            "id,age,place\na,3,here\n",
            r"the column 'id' names images, but which of 'age', 'place' holds their labels\? Call",
        ),
        (
            "a.jpg,Car\na.jpg,Bus\n",
            r"train\.csv begins with a row, not with the names of its columns; add a line such as",
        ),
        ("id\na\n", "no CSV file has a column with the names"),
        ("id,label\na,Ônibus\n".encode("latin-1"), r"train\.csv, line 2: the byte 0xd4 is not of utf-8 text; save"),
    ],
)
def test_a_table_that_leads_nowhere_is_refused(tmp_path, rows, message):
    root = write(plant(tmp_path, "train/a.jpg"), {"train.csv": rows})
    with pytest.raises(DataError, match=message):
        csv_labels.read(root)
