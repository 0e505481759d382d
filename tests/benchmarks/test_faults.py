"""Damaged inputs and what is counted as a fault: planted readers that fail in each way."""

import os
import random
import sys
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from faults import trial
from faults.mutations import MOST_BYTES, mutated
from faults.trial import Outcome, Reader, Trials
from tandem.errors import DataError

FILES = {"a.txt": b"whole"}


def refuse(_folder):
    raise DataError("a.txt is damaged")


def stumble(_folder):
    raise KeyError("a mistake")


def grow(_folder):
    return np.ones(100_000_000).sum()


def read(folder):
    return (folder / "a.txt").read_bytes()


def planted(name, function, **options):
    return Reader(name, FILES, ("a.txt",), function, **options)


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    readers = [
        planted("read", read),
        planted("refused", refuse),
        planted("traceback", stumble),
        planted("hang", lambda _folder: time.sleep(60)),
        planted("growth", grow),
        planted("died", lambda _folder: os._exit(3)),
        planted("wrong", read, is_sealed=True),
    ]
    made = Trials({reader.name: reader for reader in readers}, tmp_path_factory.mktemp("trials") / "input")
    yield made
    made.end()


@pytest.mark.parametrize("kind", ["read", "refused", "traceback", "hang", "growth", "died", "wrong", "read"])
def test_each_way_to_fail_is_told_from_the_others_and_the_next_input_is_tried(trials, kind, monkeypatch):
    monkeypatch.setattr(trial, "TIMEOUT_S", 20 if kind != "hang" else 0.2)
    assert trials.run(kind, {"a.txt": b"changed"}).kind == kind


def test_a_sealed_input_that_is_whole_may_be_read(trials):
    assert trials.run("wrong", FILES) == Outcome("read", "")


def test_damages_differ_are_of_the_seed_and_stay_small():
    data = b"names: [car, bus]\n" * 20
    found = [mutated(data, [data], random.Random(seed)) for seed in range(300)]
    assert found == [mutated(data, [data], random.Random(seed)) for seed in range(300)]
    assert len(set(found)) > 250
    assert max(map(len, found)) <= MOST_BYTES
    assert mutated(b"", [b""], random.Random(0)) is not None
