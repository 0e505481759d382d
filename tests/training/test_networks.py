"""Heads against scikit-learn's scaling and the same layers written out by hand."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler
from torch import nn

from tandem.training.linear import Linear
from tandem.training.networks import Standardize, linear_head, linear_network, mlp_head


def some_rows(num_rows: int, dim: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 5 * torch.randn(num_rows, dim, generator=generator) + torch.arange(dim)


def test_standardized_rows_are_those_of_scikit_learn() -> None:
    features, other = some_rows(50, 7), some_rows(20, 7, seed=1)
    expected = StandardScaler().fit(features.numpy()).transform(other.numpy())
    assert Standardize(features)(other).numpy() == pytest.approx(expected, abs=1e-5)


def test_a_constant_column_is_shifted_and_not_scaled() -> None:
    features = torch.tensor([[3.0, 1.0], [3.0, 2.0]])
    assert Standardize(features)(torch.tensor([[4.0, 1.5]])).tolist() == [[1.0, 0.0]]


def test_the_scaling_travels_with_the_state_and_is_not_trained() -> None:
    head = linear_head(some_rows(50, 7), 3, dropout=0.0, seed=0)
    other = linear_head(some_rows(50, 7, seed=1), 3, dropout=0.0, seed=1)
    other.load_state_dict(head.state_dict())
    features = some_rows(4, 7, seed=2)
    assert torch.equal(head(features), other(features))
    assert [tuple(parameter.shape) for parameter in head.parameters()] == [(3, 7), (3,)]


@pytest.mark.parametrize("make", [linear_head, mlp_head])
def test_the_seed_alone_decides_the_weights(make: Callable[..., nn.Module]) -> None:
    features = some_rows(8, 6)

    def weights(seed: int) -> list[bytes]:
        head = make(features, 3, dropout=0.5, seed=seed)
        return [value.numpy().tobytes() for value in head.state_dict().values()]

    before = torch.get_rng_state()
    first = weights(0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert weights(0) == first != weights(1)


def test_dropout_acts_in_training_alone() -> None:
    head = linear_head(some_rows(50, 40), 3, dropout=0.5, seed=0)
    features = some_rows(10, 40, seed=1)
    assert not torch.equal(head.train()(features), head(features))
    head.eval()
    assert torch.equal(head(features), head(features))


@pytest.mark.parametrize("num_rows", [1, 5])
def test_heads_give_one_logit_a_class_for_any_number_of_rows(num_rows: int) -> None:
    features = some_rows(8, 6)
    for head in (
        linear_head(features, 3, dropout=0.1, seed=0),
        mlp_head(features, 3, dropout=0.1, seed=0),
    ):
        assert head.train()(features[:num_rows]).shape == (num_rows, 3)


def test_a_large_mean_does_not_drown_the_scale() -> None:
    rng = np.random.default_rng(0)
    features = (1000 + rng.normal(size=(200, 3))).astype(np.float32)
    assert Standardize(torch.from_numpy(features))(torch.from_numpy(features)).std(
        0, correction=0
    ).numpy() == pytest.approx(np.ones(3), abs=1e-3)


def test_a_fitted_linear_head_has_the_same_logits_as_a_network() -> None:
    rng = np.random.default_rng(0)
    sizes = ((7,), (7,), (3, 7), (3,))
    fitted = Linear(*(rng.uniform(0.5, 2, size).astype(np.float32) for size in sizes))
    network, features = linear_network(fitted), some_rows(20, 7)
    assert not network.training
    assert network(features).detach().numpy() == pytest.approx(fitted.logits(features.numpy()), rel=1e-5, abs=1e-5)


def test_an_mlp_has_one_hidden_layer_of_256_and_drops_out_before_both_layers() -> None:
    head = mlp_head(some_rows(50, 7), 3, dropout=0.25, seed=0)
    assert [tuple(layer.weight.shape) for layer in head if isinstance(layer, nn.Linear)] == [(256, 7), (3, 256)]
    assert [type(layer) for layer in head] == [Standardize, nn.Dropout, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    assert {layer.p for layer in head if isinstance(layer, nn.Dropout)} == {0.25}
    with_seed = {seed: mlp_head(some_rows(50, 7), 3, dropout=0.25, seed=seed)[2].weight for seed in (0, 1)}
    assert torch.equal(with_seed[0], head[2].weight)
    assert not torch.equal(with_seed[1], head[2].weight)
