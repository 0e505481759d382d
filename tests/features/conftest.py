"""Networks this small gain nothing from threads, and lose much when other work has the cores."""

from collections.abc import Iterator

import pytest

from tandem.seeding import single_threaded


@pytest.fixture(scope="package", autouse=True)
def on_one_thread() -> Iterator[None]:
    with single_threaded():
        yield
