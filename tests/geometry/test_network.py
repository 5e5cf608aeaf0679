"""The network against a direct evaluation, its gradients against differences, its statistics."""

import numpy as np
import pytest

from statmech_bn.errors import InvalidSetup
from statmech_bn.geometry import Layer, Normalization, ReluNetwork


@pytest.fixture
def data():
    return 3 + np.random.default_rng(0).standard_normal((40, 5)) * [1, 2, 3, 4, 5]


@pytest.fixture
def network(data):
    return ReluNetwork.random((5, 7, 6), seed=2, bias_scale=0.3).with_batch_statistics(data)


def test_fields_are_those_of_batch_normalization(network, data):
    values = data
    for layer, z in zip(network.layers, network.fields(data), strict=True):
        fields = values @ layer.weights.T + layer.bias
        np.testing.assert_allclose(z, (fields - fields.mean(0)) / fields.std(0), atol=1e-12)
        values = np.maximum(z, 0)
    assert network.pattern(data).shape == (40, 13)


def test_scale_and_shift_are_applied(data):
    [layer] = ReluNetwork.random((5, 3), seed=0).with_batch_statistics(data).layers
    changed = layer.normalization._replace(gamma=np.full(3, 2.0), beta=np.full(3, 0.5))
    z = ReluNetwork((Layer(layer.weights, layer.bias, changed),)).fields(data)[0]
    np.testing.assert_allclose(z, 2 * ReluNetwork((layer,)).fields(data)[0] + 0.5)


def test_gradients_equal_differences(network, data):
    step = 1e-6
    for k in range(5):
        shift = step * np.eye(5)[k]
        up, down = network.fields(data + shift), network.fields(data - shift)
        for slope, high, low in zip(network.gradients(data), up, down, strict=True):
            np.testing.assert_allclose(slope[..., k], (high - low) / (2 * step), atol=1e-7)


def test_a_fold_bends_by_the_weight_over_the_spread(network, data):
    """Across the boundary of unit j the gradient of a later unit k jumps by w_kj γ_j w_j/σ_j."""
    first, second = (layer.affine[0] for layer in network.layers)
    unit, point = 3, data[0]
    z = network.fields(data)[0][0, unit]
    normal = first[unit] / (first[unit] @ first[unit])
    sides = np.stack([point + (s * 1e-9 - z) * normal for s in (1, -1)])
    above, below = network.gradients(sides)[1]
    np.testing.assert_allclose(above - below, np.outer(second[:, unit], first[unit]), atol=1e-12)


def test_a_section_is_the_network_in_the_plane(network):
    origin, axes = np.arange(5.0), np.linalg.qr(np.random.default_rng(1).normal(size=(5, 2)))[0].T
    places = np.random.default_rng(2).normal(size=(10, 2))
    plane = network.section(origin, axes)
    expected = network.fields(origin + places @ axes)
    for found, wanted in zip(plane.fields(places), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_a_seed_is_a_network():
    first, again, other = (ReluNetwork.random((2, 4), seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.layers[0].weights, again.layers[0].weights)
    assert (first.layers[0].weights != other.layers[0].weights).all()


ONE = np.ones(1)
WRONG = {
    "layers": lambda: ReluNetwork(()),
    r"layers\[1\]": lambda: ReluNetwork((Layer(np.eye(2), np.ones(2)), Layer(np.eye(3), ONE))),
    "finite": lambda: ReluNetwork((Layer(np.full((1, 2), np.nan), ONE),)),
    "deviation": lambda: ReluNetwork(
        (Layer(np.ones((1, 2)), ONE, Normalization(ONE, 0 * ONE, ONE, ONE)),)
    ),
    "widths": lambda: ReluNetwork.random((2,)),
    "bias_scale": lambda: ReluNetwork.random((2, 2), bias_scale=-1.0),
    "two samples": lambda: ReluNetwork.random((2, 2)).with_batch_statistics([[0.0, 1.0]]),
    "varies": lambda: ReluNetwork.random((2, 2)).with_batch_statistics(np.ones((4, 2))),
    "origin, axes": lambda: ReluNetwork.random((2, 2)).section([0.0], np.eye(2)),
    "points": lambda: ReluNetwork.random((2, 2)).fields(np.ones((4, 3))),
}


@pytest.mark.parametrize("message", WRONG)
def test_an_error_names_what_is_wrong(message):
    with pytest.raises(InvalidSetup, match=message):
        WRONG[message]()
