"""Logs of a training on planted blobs, read back by TensorBoard's own reader and from DVCLive's tables."""

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Literal

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from factories import blobs, ensemble_settings, train_settings
from scratch_project import Clone
from tandem.errors import ParamsError
from tandem.files import read_csv
from tandem.pipeline import schema
from tandem.pipeline.params import read_params
from tandem.training.ensembles import EnsembleInputs, combine_all
from tandem.training.heads import Trained, save_head, train_head
from tandem.training.loggers import Epoch, EpochLogger, ignore_epoch, open_logger
from tandem.training.task import head_task

ROOT = Path(__file__).parents[2]
SETTINGS = train_settings(batch_size=16, epochs=4, dropout=0.5, scheduler="cosine", balance="sampler")
CURVES = ("lr", "train_loss", "train_top1_accuracy", "val_loss", "val_top1_accuracy")
Kind = Literal["tensorboard", "dvclive"]
each_kind = pytest.mark.parametrize("kind", ["tensorboard", "dvclive"])


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DVCLive looks at the repository of the current folder; the variable is the one that keeps it from sending."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_STUDIO_OFFLINE", "false")


def train(on_epoch: EpochLogger = ignore_epoch) -> Trained:
    return train_head(head_task(*blobs(120), SETTINGS, "blobs", on_epoch))


def read_back(kind: Kind, folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Curve -> epochs and values."""
    if kind == "tensorboard":
        log = EventAccumulator(str(folder)).Reload()
        return {name: [(event.step, event.value) for event in log.Scalars(name)] for name in log.Tags()["scalars"]}
    found = {}
    for path in sorted((folder / "plots" / "metrics").glob("*.tsv")):
        with path.open(encoding="utf-8", newline="") as file:
            found[path.stem] = [
                (int(row["step"]), float(row[path.stem])) for row in csv.DictReader(file, delimiter="\t")
            ]
    return found


@each_kind
def test_what_is_logged_is_the_curve_and_what_is_trained_is_the_same_to_the_byte(kind: Kind, tmp_path: Path) -> None:
    samples = blobs(120)[1]
    with open_logger(kind, tmp_path / "log") as logger:
        save_head(train(logger("blobs")), samples, tmp_path / "logged")
    with open_logger("none", tmp_path / "none") as logger:
        save_head(train(logger("blobs")), samples, tmp_path / "plain")
    files = [path.name for path in sorted((tmp_path / "plain").iterdir())]
    assert files == ["choices.json", "curves.csv", "head.npz", "logits.npz"]
    for name in files:
        assert (tmp_path / "logged" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
    found, curve = read_back(kind, tmp_path / "log" / "blobs"), read_csv(tmp_path / "plain" / "curves.csv")
    assert sorted(found) == sorted(CURVES)
    for name in CURVES:
        assert [step for step, _ in found[name]] == [int(row["epoch"]) for row in curve] == [1, 2, 3, 4]
        assert [value for _, value in found[name]] == pytest.approx([float(row[name]) for row in curve], abs=1e-6)
    assert not (tmp_path / "none").exists()


@each_kind
def test_each_epoch_can_be_read_while_the_training_goes_on(kind: Kind, tmp_path: Path) -> None:
    seen = []
    with open_logger(kind, tmp_path) as logger:
        write = logger("blobs")

        def look(epoch: Epoch) -> None:
            write(epoch)
            seen.append([step for step, _ in read_back(kind, tmp_path / "blobs")["val_loss"]])

        train(look)
    assert seen == [[1], [1, 2], [1, 2, 3], [1, 2, 3, 4]]


@each_kind
def test_a_training_replaces_its_own_log_and_no_other(kind: Kind, tmp_path: Path) -> None:
    first = Epoch(1, 0.1, 1.0, 0.5, 2.0, 0.25)
    for names in (("a", "b"), ("b",)):
        with open_logger(kind, tmp_path) as logger:
            for name in names:
                logger(name)(first)
    with open_logger(kind, tmp_path) as logger:
        logger("c")  # of a head that is not trained by epochs
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}
    assert [read_back(kind, tmp_path / name)["val_loss"] for name in "ab"] == [[(1, 2.0)]] * 2


def test_dvclive_has_the_last_epoch_in_its_summary(tmp_path: Path) -> None:
    with open_logger("dvclive", tmp_path) as logger:
        trained = train(logger("blobs"))
    summary = json.loads((tmp_path / "blobs" / "metrics.json").read_text(encoding="utf-8"))
    assert summary == {**{name: getattr(trained.curve[-1], name) for name in CURVES}, "step": 4}


def test_the_two_networks_among_the_ensembles_have_a_log_each(tmp_path: Path) -> None:
    features, samples = blobs(120)
    logits = {"blobs": train().logits}
    with open_logger("tensorboard", tmp_path) as logger:
        inputs = EnsembleInputs(
            samples, {"blobs": features}, logits, logits, {}, SETTINGS, ensemble_settings(width=8), logger
        )
        made = combine_all(inputs)
    assert {path.name for path in tmp_path.iterdir()} == {"logit", "feature"}
    for kind in ("logit", "feature"):
        trained = made[kind].trained
        assert trained is not None
        losses = [value for _, value in read_back("tensorboard", tmp_path / kind)["val_loss"]]
        assert losses == pytest.approx([epoch.val_loss for epoch in trained.curve], abs=1e-6)


@pytest.mark.parametrize("kind", ["none", "tensorboard", "dvclive"])
def test_neither_package_is_imported_without_a_log_or_before_the_first_epoch(kind: str, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tandem.training.loggers import Epoch, open_logger\n"
        "import tandem.pipeline.schema, tandem.finetune.finetune\n"
        f"with open_logger({kind!r}, Path('log')) as logger:\n"
        "    write = logger('name')\n"
        f"    if {kind!r} == 'none': write(Epoch(1, 0.1, 1.0, 0.5, 2.0, 0.25))\n"
        "print({'torch', 'tensorboard', 'dvclive'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "set()\n"
    assert list(tmp_path.iterdir()) == []


@each_kind
def test_a_missing_package_is_named_before_any_work(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, kind, None)  # Python's own word for: it cannot be imported
    message = (
        rf"runtime\.logger is '{kind}', and the package {kind} is not installed; install it \(pip install {kind}\), or"
    )
    with pytest.raises(ParamsError, match=f"^{message}"), open_logger(kind, Path("log")):
        pass
    params = read_params(ROOT / "params.yaml")
    schema.check_params(params)
    params["runtime"]["logger"] = kind
    with pytest.raises(ParamsError, match=f"1 mistake.*\n  {message}"):
        schema.check_params(params)


# --- what DVCLive would do by itself


@pytest.fixture
def studio(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A mock server for DVC Studio, to which a token and an address are configured; the requests that reach it."""
    requests: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            requests.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("DVC_STUDIO_TOKEN", "isat_planted")
    monkeypatch.setenv("DVC_STUDIO_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("DVC_STUDIO_REPO_URL", "https://example.invalid/repository.git")
    yield requests
    server.shutdown()
    server.server_close()


# its own use of an old pattern of pathspec, in experiments
@pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")
@pytest.mark.parametrize("within", ["a stage", "an experiment", "no pipeline"])
def test_dvclive_sends_nothing_and_leaves_the_repository_as_it_is(
    within: str, studio: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Clone(tmp_path)
    project.git("init", "-q")
    for key in ("user.name", "user.email"):
        project.git("config", key, "somebody@example.invalid")
    project.dvc("init", "-q")
    (tmp_path / ".gitignore").write_text(".tandem/\n")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    project.commit("start")

    def state() -> list[str]:
        return [project.git("for-each-ref"), project.git("status", "--porcelain")]

    before = state()
    if within != "no pipeline":
        monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    if within == "an experiment":
        monkeypatch.setenv("DVC_EXP_BASELINE_REV", before[0].split()[0])
        monkeypatch.setenv("DVC_EXP_NAME", "planted")
    with open_logger("dvclive", Path(".tandem/log")) as logger:
        train(logger("blobs"))
    assert len(read_back("dvclive", Path(".tandem/log/blobs"))["lr"]) == 4
    assert state() == before
    assert before[1] == ""
    assert studio == []
