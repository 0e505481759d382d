"""`tandem backbones` where it has nothing to compare; on a finished run: tests/project/test_backbones.py."""

import hashlib

import pytest

import command_line  # noqa: F401  # before others import typer, whose warnings it ignores
from tandem.cli import backbones
from tandem.errors import DataError, WeightsError
from tandem.evaluation.bootstrap import Difference, Interval
from tandem.studies.candidates import Ranked


@pytest.mark.parametrize(
    "name", ["resnet50", "timm/resnet18", "timm/resnet18/", "keras/resnet50/imagenet", "timm/resnet18/a1_in1k/layer3/x"]
)
def test_a_name_of_another_form_is_refused_with_the_form(name: str) -> None:
    with pytest.raises(
        DataError, match=f"'{name}' names no backbone: .*write PROVIDER/ARCHITECTURE/WEIGHTS, such as timm"
    ):
        backbones._candidate(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "timm/resnet_18/a1_in1k",
            "backbones.timm/resnet_18/a1_in1k: there is no architecture 'resnet_18' in timm; ",
        ),
        ("torchvision/resnet18/V1", "resnet18 has no weights 'V1'; torchvision has IMAGENET1K_V1"),
    ],
)
def test_an_architecture_or_weights_that_there_are_not_are_known_before_any_pass(name: str, words: str) -> None:
    with pytest.raises(WeightsError) as caught:
        backbones._candidate(name)
    assert str(caught.value).startswith(words)


def test_an_architecture_may_have_its_tag() -> None:
    assert backbones._candidate("timm/resnet18.a1_in1k/random").architecture == "resnet18.a1_in1k"


def test_a_candidate_may_end_at_an_earlier_layer() -> None:
    found = backbones._candidate("timm/tf_efficientnet_lite0/in1k/blocks.5")
    assert (found.architecture, found.weights, found.layer) == ("tf_efficientnet_lite0", "in1k", "blocks.5")
    assert backbones._candidate("timm/tf_efficientnet_lite0/in1k").layer is None


@pytest.mark.parametrize(("suffix", "layer"), [("gem", None), ("blocks.5/gem", "blocks.5")])
def test_a_candidate_may_be_pooled_otherwise(suffix: str, layer: str | None) -> None:
    found = backbones._candidate(f"timm/tf_efficientnet_lite0/in1k/{suffix}")
    assert (found.weights, found.layer, found.pooling) == ("in1k", layer, "gem")
    assert backbones._candidate("timm/tf_efficientnet_lite0/in1k/blocks.5").pooling == "average"


@pytest.mark.parametrize("layer", [None, "layer3"])
def test_a_candidates_weights_may_be_a_file_whose_digest_need_not_be_stated(tmp_path, monkeypatch, layer) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own/weights.pth").write_bytes(b"tensors")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path / "own")
    for path in (str(tmp_path / "own/weights.pth"), "~/own/weights.pth", "../own/weights.pth", "weights.pth"):
        found = backbones._candidate("/".join(["torchvision/resnet18", path, *filter(None, [layer])]))
        assert (found.architecture, found.weights, found.layer) == ("resnet18", path, layer)
        assert found.sha256 == hashlib.sha256(b"tensors").hexdigest()


@pytest.mark.parametrize("path", ["weights.pth", "/no/weights.pth", "own/weights.pth/layer3"])
def test_a_file_of_weights_that_is_not_there_is_named(path) -> None:
    with pytest.raises(DataError, match=rf"names no backbone: there is no file {path}; correct the path, or write"):
        backbones._candidate(f"torchvision/resnet18/{path}")


def ranked(name, gain):
    accuracy = Interval(0.9, 0.8, 1.0)
    return Ranked(name, accuracy, 0.1, None if gain is None else Difference(*gain, p_value=0.5))


def test_which_second_one_adds_most_is_said_and_whether_that_may_be_chance() -> None:
    best, none = ranked("a", None), ranked("b", (0.0, -0.1, 0.1))
    chance, sure = ranked("c", (0.02, -0.01, 0.05)), ranked("d", (0.03, 0.01, 0.05))
    assert backbones._second_in_words([best]) == []
    assert backbones._second_in_words([best, none]) == ["", "beside a none adds anything"]
    assert backbones._second_in_words([best, none, chance]) == ["", "beside a, c adds most, which may be chance"]
    assert backbones._second_in_words([best, chance, none, sure]) == ["", "beside a, d adds most"]


def test_random_weights_need_no_name() -> None:
    found = backbones._candidate("torchvision/resnet18/random")
    assert (found.provider, found.architecture, found.weights) == ("torchvision", "resnet18", "random")


def test_before_anything_was_curated_what_to_do_is_said(tmp_path, monkeypatch) -> None:
    (tmp_path / "params.yaml").write_text("backbones: {}\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"no images were curated in this folder yet; run `dvc repro curate`"):
        backbones.compare_backbones([], as_json=False)
