"""The mean field of convolutional layers against wide networks and the map of dense ones."""

import numpy as np
import pytest

from statmech_bn import depth
from statmech_bn.errors import InvalidSetup


def batch(samples=10, side=6):
    generator = np.random.default_rng(0)
    x = generator.standard_normal((samples, 2, side, side)) + generator.standard_normal(
        (side, side)
    )
    return x, generator.integers(4, size=samples)


@pytest.mark.parametrize("normalization", ["none", "batch"])
def test_the_mean_field_is_that_of_wide_networks(normalization):
    torch = pytest.importorskip("torch")
    from statmech_bn import networks

    x, y = batch()
    inputs, labels = torch.from_numpy(x).float(), torch.from_numpy(y)
    runs = [
        networks.signals(
            networks.plain_network(x.shape[1:], 4, 3, 256, normalization, seed=seed).train(),
            inputs,
            labels,
        )
        for seed in range(8)
    ]
    theory = depth.convolution_signals(x, y, (1, 2, 2), normalization)
    assert theory["positions"].values.tolist() == [36, 9, 4]
    for name, share in (
        ("channel_mean", 0.05),
        ("channel_variance", 0.03),
        ("gradient_square", 0.1),
        ("gradient_coherence", 0.1),
    ):
        values = np.array([run[name].values for run in runs])
        if name == "gradient_square":
            values = values / values[:, -1:]
        error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
        apart = np.abs(values.mean(axis=0) - theory[name].values)
        assert (apart < 3.5 * error + share * np.abs(theory[name].values) + 1e-12).all(), name


def test_a_single_position_far_from_padding_follows_the_map_of_dense_layers():
    """With one pixel only the centre of a kernel sees it: σ_w² = 2/9 of dense layers."""
    generator = np.random.default_rng(1)
    x = generator.standard_normal((6, 5))
    x *= np.sqrt(5) / np.linalg.norm(x, axis=1, keepdims=True)
    labels = np.array([0, 1, 2, 0, 1, 2])
    found = depth.convolution_signals(x[:, :, None, None], labels, (1, 1, 1, 1))
    c = (x @ x.T / 5)[~np.eye(6, dtype=bool)]
    layer = depth.Layer("relu", weight_variance=2 / 9)
    expected = depth.propagate(layer, c, 3, variance=2 / 9)
    np.testing.assert_allclose(found["correlation"], expected["correlation"].mean("start"))
    total = found["channel_mean"] + found["channel_variance"]
    np.testing.assert_allclose(total, expected["variance"])
    growth = found["gradient_square"].values
    np.testing.assert_allclose(growth[:-1] / growth[1:], 1 / 9)  # χ = σ_w²/2


@pytest.mark.thorough
def test_unrelated_inputs_have_the_multiplier_of_batch_normalization():
    """Orthogonal inputs of one pixel: χ = π/(π − 1) up to the inverse number of samples."""
    samples = 400
    x = np.eye(samples)[:, :, None, None] * np.sqrt(samples)
    labels = np.arange(samples) % 4
    found = depth.convolution_signals(x, labels, (1, 1, 1), "batch")
    power = (found["channel_variance"] * found["gradient_square"]).values
    # The top's gradients are all but unrelated for labels of the same number.
    assert power[0] / power[1] == pytest.approx(np.pi / (np.pi - 1), rel=0.02)


def test_wrong_arguments_are_refused():
    x, y = batch(4)
    with pytest.raises(InvalidSetup, match="normalization"):
        depth.convolution_signals(x, y, (1,), "weight")
    with pytest.raises(InvalidSetup, match="images"):
        depth.convolution_signals(x[:3], y, (1,))
    with pytest.raises(InvalidSetup, match="strides"):
        depth.convolution_signals(x, y, (0,))
