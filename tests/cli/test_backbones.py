"""`tandem backbones` where it has nothing to compare; on a finished run: tests/project/test_backbones.py."""

import pytest

import command_line  # noqa: F401  # before others import typer, whose warnings it ignores
from tandem.cli import backbones
from tandem.errors import DataError, WeightsError


@pytest.mark.parametrize(
    "name", ["resnet50", "timm/resnet18", "keras/resnet50/imagenet", "timm/resnet18/a1_in1k/layer3/x"]
)
def test_a_name_of_another_form_is_refused_with_the_form(name: str) -> None:
    with pytest.raises(
        DataError, match=f"'{name}' names no backbone: write PROVIDER/ARCHITECTURE/WEIGHTS, such as timm"
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


def test_random_weights_need_no_name() -> None:
    found = backbones._candidate("torchvision/resnet18/random")
    assert (found.provider, found.architecture, found.weights) == ("torchvision", "resnet18", "random")


def test_before_anything_was_curated_what_to_do_is_said(tmp_path, monkeypatch) -> None:
    (tmp_path / "params.yaml").write_text("backbones: {}\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"no images were curated in this folder yet; run `dvc repro curate`"):
        backbones.compare_backbones([], as_json=False)
