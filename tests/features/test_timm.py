"""Backbones that timm builds: the features that timm gives, with the mean and std of their weights."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import timm
import torch
from safetensors.torch import save_file

from networks import SIZE_PX, assert_close, load, saved
from networks import smooth_images as images
from tandem.errors import WeightsError
from tandem.features.settings import BackboneSettings

TINY = "test_resnet"  # networks of timm's own tests, with weights on the Hub
PROGRAM = """
import json, sys
from tandem.errors import WeightsError
from tandem.features.backbones.backbone import load_backbone
from tandem.features.settings import BackboneSettings
for line in sys.stdin:
    architecture, _, tag = line.strip().partition(".")
    try:
        settings = BackboneSettings(tag, architecture=architecture, provider="timm")
        answer = load_backbone("tiny", settings, seed=0, size_px=64).digest
    except WeightsError as error:
        answer = str(error)
    print(json.dumps(answer), flush=True)
"""


def of_timm(architecture: str, weights: str = "random", **others: str) -> BackboneSettings:
    return BackboneSettings(weights, architecture=architecture, provider="timm", **others)


@pytest.mark.parametrize(
    "name",
    [
        *("tf_efficientnet_lite0", "mobilenetv4_conv_small", "resnet18", "convnext_atto", "regnety_002"),
        *("vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "edgenext_xx_small"),
    ],
)
def test_features_of_a_file_are_those_that_timm_gives_without_its_classifier(name, tmp_path) -> None:
    options = {"dynamic_img_size": True} if "patch" in name else {}
    torch.manual_seed(1)
    net = timm.create_model(name, **options)
    weights = saved(tmp_path / "weights.pth", net.state_dict())
    backbone = load("mine", of_timm(name, weights.weights, sha256=weights.sha256), early_exit=False)
    mean, std = (torch.tensor(net.default_cfg[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    bare = timm.create_model(name, num_classes=0, **options).eval()
    state = bare.state_dict().keys()
    bare.load_state_dict({key: value for key, value in net.state_dict().items() if key in state})
    with torch.inference_mode():
        expected = bare((images().permute(0, 3, 1, 2).float() / 255 - mean) / std)
    found = backbone.net(images())
    assert found.shape == (len(images()), backbone.dim)
    assert_close(found, expected)


@pytest.mark.parametrize(
    ("architecture", "mean"),
    [("vit_base_patch16_224.augreg_in21k", 0.5), ("vit_base_patch16_224.mae", 0.485), ("vit_base_patch16_224", 0.5)],
)
def test_the_tag_of_an_architecture_says_how_the_input_of_a_file_is_normalised(architecture, mean) -> None:
    from tandem.features.backbones import timm as provider

    built = provider.build(architecture, weights="file.pth", size_px=32)
    assert built.mean[0] == mean
    assert provider.build("vit_base_patch16_224", weights="mae", size_px=32).mean[0] == 0.485


def test_random_weights_are_the_same_by_the_same_seed_whether_they_can_end_early_or_not() -> None:
    for name in ("resnet18", "tf_efficientnet_lite0"):
        one, again, other = (load("mine", of_timm(name), seed=seed).digest for seed in (0, 0, 1))
        assert one == again != other


def test_a_size_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(WeightsError, match=rf"mine takes no images of {SIZE_PX} x {SIZE_PX} pixels .*extract\.size_px"):
        load("mine", of_timm("eva02_tiny_patch14_224"))


def test_a_tag_that_there_is_not_is_met_with_those_there_are() -> None:
    with pytest.raises(
        WeightsError, match=r"resnet18 has no weights 'a9_in1k'; did you mean 'a[123]_in1k'\? timm has a1_in"
    ):
        load("mine", of_timm("resnet18", "a9_in1k"))
    with pytest.raises(WeightsError, match=r"resnet18 has no weights 'nothing'"):
        load("mine", of_timm("resnet18.nothing"))


class Hub(BaseHTTPRequestHandler):
    """Answers as the Hub does for a file in its large storage. files: path -> bytes."""

    files: dict[str, bytes] = {}  # noqa: RUF012

    def do_HEAD(self) -> None:
        self.respond(is_head=True)

    def do_GET(self) -> None:
        self.respond(is_head=False)

    def respond(self, *, is_head: bool) -> None:
        data = self.files.get(self.path)
        self.send_response(404 if data is None else 200)
        if data is None:
            self.send_header("X-Error-Code", "EntryNotFound")
        else:
            self.send_header("X-Repo-Commit", "c0ffee" * 6 + "abcd")
            self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
            self.send_header("X-Linked-Size", str(len(data)))
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()
        if not is_head:
            self.wfile.write(data or b"")

    def log_message(self, *_arguments: object) -> None:
        pass


def test_a_failed_download_is_given_the_reason_that_began_it() -> None:
    from tandem.features.backbones import timm as provider

    try:
        try:
            raise OSError("Name or service not known")
        except OSError as error:
            raise RuntimeError("several causes are possible.\nSee the documentation.") from error
    except RuntimeError as error:
        assert provider._reason(error) == "Name or service not known"


@pytest.mark.slow
def test_weights_of_a_name_are_fetched_from_the_hub_once_and_checked(tmp_path) -> None:
    net = timm.create_model(TINY)
    save_file(net.state_dict(), tmp_path / "own.safetensors")
    Hub.files = {f"/timm/{TINY}.r160_in1k/resolve/main/model.safetensors": (tmp_path / "own.safetensors").read_bytes()}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environ = os.environ | {"HF_HOME": str(tmp_path / "hub"), "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}"}

    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def loaded(name: str) -> str:
            process.stdin.write(f"{name}\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        try:
            digest, refused = loaded(f"{TINY}.r160_in1k"), loaded("test_vit.r160_in1k")
        finally:
            server.shutdown()
            server.server_close()
        from_the_cache = loaded(f"{TINY}.r160_in1k")  # the server is gone
        [kept] = (tmp_path / "hub").glob("hub/*/blobs/*")
        kept.chmod(0o644)
        kept.write_bytes(kept.read_bytes()[:-1] + b"x")
        damaged = loaded(f"{TINY}.r160_in1k")
    file = tmp_path / "own.safetensors"
    own = of_timm(TINY, str(file), sha256=hashlib.sha256(file.read_bytes()).hexdigest())
    assert digest == from_the_cache == load("tiny", own).digest
    assert refused.startswith(
        "could not download test_vit r160_in1k, timm/test_vit.r160_in1k on the Hugging Face Hub (Client error '404 Not"
    )
    assert "download its model.safetensors elsewhere and name that file with its sha256" in refused
    assert "it is damaged or another one" in damaged
