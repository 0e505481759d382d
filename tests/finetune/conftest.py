"""Networks this small gain nothing from threads, and lose much when other work has the cores."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from finetune_jobs import striped_images
from finetune_jobs import trained_weights as write_weights
from tandem.features.settings import BackboneSettings
from tandem.seeding import single_threaded


@pytest.fixture(scope="package", autouse=True)
def on_one_thread() -> Iterator[None]:
    with single_threaded():
        yield


@pytest.fixture(scope="package")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return striped_images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="package")
def trained_weights(tmp_path_factory: pytest.TempPathFactory) -> BackboneSettings:
    return write_weights(tmp_path_factory.mktemp("weights"))
