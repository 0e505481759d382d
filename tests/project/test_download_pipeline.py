"""`dvc repro` with sources of both services: the real dvc and the real clients against the mock server."""

import io
import zipfile

import pytest

from scratch_project import DOWNLOADS, INGESTS, LABELS, image, make_clone, save, tiny_params
from services import KAGGLE_KEY, KAGGLE_USERNAME, ROBOFLOW_KEY, ROBOFLOW_LINK_KEY, STORAGE_SIGNATURE, Fault, Services
from tandem.files import dir_sha256, read_json

SECRETS = (KAGGLE_KEY, ROBOFLOW_KEY, ROBOFLOW_LINK_KEY, STORAGE_SIGNATURE)
DATASET, PROJECT = "somebody/shapes", "workshop/shapes-2"


def generated(folder, *, first, labels=tuple(LABELS)):
    """Six generated images a class as a zip of class folders, or a Roboflow export when they lie under train/."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for label in labels:
            for number in range(first, first + 6):
                save(image(label, number), folder / "image.png")
                archive.write(folder / "image.png", f"train/{label}/{number}.png")
        archive.writestr("README.dataset.txt", "License: CC BY 4.0\n")
        archive.writestr("README.roboflow.txt", "No image augmentation techniques were applied.\n")
    return content.getvalue()


@pytest.fixture(scope="module")
def services(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generated")
    with Services() as services:
        for version in (1, 2):
            services.add_kaggle(DATASET, version=version, archive=generated(folder, first=10 * version))
        services.add_roboflow(PROJECT, version=1, fmt="folder", archive=generated(folder, first=50), num_images=18)
        yield services


@pytest.fixture(scope="module")
def clone(tmp_path_factory, services):
    root = tmp_path_factory.mktemp("served")
    params = tiny_params(root)
    params["sources"] = {
        "web": {"kind": "kaggle", "kaggle": {"dataset": DATASET, "version": 1}, "format": "auto"},
        "exports": {
            "kind": "roboflow",
            "roboflow": {"project": PROJECT, "version": 1, "format": "folder"},
            "format": "auto",
        },
    }
    keys = {"KAGGLE_USERNAME": KAGGLE_USERNAME, "KAGGLE_KEY": KAGGLE_KEY, "ROBOFLOW_API_KEY": ROBOFLOW_KEY}
    clone = make_clone(root / "clone", params=params, **services.environ(), **keys, HOME=str(root))
    assert clone.repro("merge").ran == {"check", "merge"} | DOWNLOADS | INGESTS
    clone.commit("the first run")
    return clone


def files(clone, name):
    return dir_sha256(clone.root / "data/download/files" / name)


def receipt(clone, name):
    return read_json(clone.root / "data/download/receipts" / f"{name}.json")


def test_what_came_lies_in_files_and_receipts(clone):
    assert receipt(clone, "web")["client"].startswith("kaggle ")
    assert receipt(clone, "web")["licence"] == "CC BY 4.0"
    assert receipt(clone, "exports")["augmentation"] == 1
    assert receipt(clone, "exports")["client"].startswith("roboflow ")
    assert read_json(clone.root / "metrics/merge.json")["files"] == 36


def test_nothing_changed_asks_no_service(clone, services):
    before = len(services.log)
    assert clone.repro("merge").ran == set()
    assert len(services.log) == before


def test_another_version_reruns_that_download_alone_and_the_way_back_asks_no_service(clone, services):
    first, exports = files(clone, "web"), files(clone, "exports")
    clone.change("sources.web.kaggle.version", 2)
    asked = len(services.log)
    assert clone.repro("merge").ran == {"check", "download@web", "ingest@web", "merge"}
    assert {each.kind for each in services.log[asked:]} == {"kaggle.download", "kaggle.storage", "kaggle.dataset"}
    assert files(clone, "web") != first
    assert files(clone, "exports") == exports
    clone.change("sources.web.kaggle.version", 1)
    asked = len(services.log)
    back = clone.repro("merge")
    assert "download@web" in back.restored
    assert len(services.log) == asked
    assert files(clone, "web") == first


def test_a_failed_download_leaves_the_earlier_one_in_the_cache(clone, services):
    clone.git("checkout", ".")
    assert clone.repro("merge").ran <= {"check"}
    before = files(clone, "web")
    services.faults.append(Fault("kaggle.download", status=403))
    clone.change("sources.web.kaggle.version", 3)
    failed = clone.repro("merge", check=False)
    services.faults.clear()
    assert failed.code != 0
    assert failed.ran == {"check", "download@web"}
    assert f"error: source web (kaggle: dataset {DATASET}, version 3): " in failed.text
    assert "answered 403" in failed.text
    assert "Traceback" not in failed.text
    clone.git("checkout", "params.yaml", "dvc.lock")
    clone.dvc("checkout", "download@web")
    assert files(clone, "web") == before
    assert clone.repro("merge").ran <= {"check"}


def test_the_sources_can_be_looked_at_without_downloading(clone, services):
    asked = len(services.log)
    said = clone.run("tandem", "sources", "check").stdout
    assert "version 1 is there, 2 is the current one; " in said
    assert "version 1 is there, 1 is the current one; 18 images" in said
    assert not [each for each in services.log[asked:] if "storage" in each.kind]
    offline = len(services.log)
    assert "not asked" in clone.run("tandem", "sources", "check", "--offline").stdout
    assert len(services.log) == offline


def test_no_secret_is_left_in_any_file(clone, services):
    found = [
        path
        for path in clone.root.parent.rglob("*")
        if path.is_file()
        and clone.root / "tests" not in path.parents
        and any(secret.encode() in path.read_bytes() for secret in SECRETS)
    ]
    assert found == []
    assert services.unexpected == []
