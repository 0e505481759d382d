"""Reviews of a scratch clone's images in the FiftyOne App, and what the pipeline makes of their decisions."""

import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

import browser
from scratch_project import copied, processes, read_csv, read_json

pytestmark = pytest.mark.slow


@contextmanager
def review(clone):
    """`tandem review` as a process, and the App's address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    output = clone.root.parent / f"{clone.root.name}-{port}.txt"
    command = [sys.executable, "-c", "from tandem.cli.main import app; app()", "review", "--port", str(port)]
    with output.open("w") as file:
        process = subprocess.Popen(
            command, cwd=clone.root, env=clone.environment(), stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
    try:
        wait_for(lambda: "the App is at" in output.read_text() or process.poll() is not None, output)
        assert process.poll() is None, output.read_text()
        yield process, f"http://127.0.0.1:{port}/"
    finally:
        process.kill()
        process.wait(30)


def wait_for(is_done, path, seconds=120):
    end = time.monotonic() + seconds
    while not is_done() and time.monotonic() < end:
        time.sleep(0.2)
    assert is_done(), path.read_text()


@browser.needs_browser
def test_what_is_clicked_in_the_app_is_decided_and_the_pipeline_obeys_it(first, work, tmp_path):
    with copied(first[0], work, "review") as clone:
        table, labels = clone.root / "data/review/decisions.csv", sorted(clone.params()["labels"]["classes"])
        with review(clone) as (process, url):
            with browser.opened(url) as page:
                assert browser.num_loaded(page) >= 8
                assert page.screenshot(path=tmp_path / "grid.png")
                assert len(np.unique(np.asarray(Image.open(tmp_path / "grid.png")).reshape(-1, 3), axis=0)) > 1000
                browser.tag(page, 0, "drop")
                old, new = browser.relabel(page, 3, labels)
            wait_for(lambda: len(read_csv(table)) == 2, table, seconds=20)
            assert clone.git("status", "--porcelain", "data") == " M data/review/decisions.csv\n"
            assert clone.repro("label_errors").ran == {"curate", "label_errors"}  # while the review is open
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        rows = {row["action"]: row for row in read_csv(table)}
        index = {row["id"]: row["label"] for row in read_csv(clone.root / "data/merge/index.csv")}
        assert (rows["relabel"]["value"], index[rows["relabel"]["id"]]) == (new, old)
        samples = {row["id"]: row for row in read_csv(clone.root / "data/curate/samples.csv")}
        assert samples[rows["relabel"]["id"]]["label"] == new
        assert samples[rows["drop"]["id"]]["exclusion_reason"] == "dropped: reviewed"
        decided = read_json(clone.root / "metrics/curate.json")["decisions"]
        assert (decided["relabel"], decided["drop"], decided["gone"]) == (1, 1, 0)


def test_a_killed_review_is_in_nobody_s_way_and_an_open_one_in_that_of_a_second_review(first, work):
    with copied(first[0], work, "killed") as clone:
        with review(clone) as (process, _):
            services = [each for each in processes(clone.root) if "--51-service" in each.cmdline()]
            [database] = [each for each in processes(clone.root) if each.name() == "mongod"]
            for each in (database.parent(), process, *services):  # its keeper first, which would end it
                each.kill()
            assert database.is_running()
        with review(clone) as (process, _):
            assert not database.is_running()
            second = clone.run(sys.executable, "-c", "from tandem.cli.main import app; app()", "review", check=False)
            assert second.returncode == 1
            assert "error: another process works in" in second.stdout
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
