"""Distances against known geometry and a search, and the offset of least squared distance."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from statmech_bn.errors import InvalidSetup
from statmech_bn.geometry import (
    ReluNetwork,
    affine_distances,
    folded_distances,
    least_squares_offset,
    partition,
)


@pytest.fixture(scope="module")
def data():
    return 1 + np.random.default_rng(7).standard_normal((80, 2)) * [1.0, 0.5]


@pytest.fixture(scope="module")
def network(data):
    return ReluNetwork.random((2, 9, 9), seed=5).with_batch_statistics(data)


@pytest.fixture(scope="module")
def found(network):
    return partition(network, ((-6, 8), (-6, 8)))


def test_straight_boundaries_are_as_far_as_their_affine_piece(network, found, data):
    straight = affine_distances(network, data)[:, :9]
    np.testing.assert_allclose(folded_distances(found, data)[:, :9], straight, atol=1e-10)
    layer = network.layers[0]
    mean, fields = layer.normalization.mean, data @ layer.weights.T
    expected = abs(fields - mean) / np.linalg.norm(layer.weights, axis=1)
    np.testing.assert_allclose(straight, expected)


def test_folded_boundaries_are_as_far_as_the_nearest_zero(network, found, data):
    """No zero within the distance, a change of sign just beyond it."""
    angle = np.linspace(0, 2 * np.pi, 4001)
    directions = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    distances = folded_distances(found, data)
    for point in range(5):
        for unit in np.flatnonzero(distances[point, 9:] < 3):
            reach = distances[point, 9 + unit]
            sign = network.fields(data[point : point + 1])[1][0, unit] > 0
            for factor, changed in ((0.999, False), (1.01, True)):
                around = data[point] + factor * reach * directions
                others = network.fields(around)[1][:, unit] > 0
                assert (others != sign).any() == changed


def test_a_unit_that_nothing_reaches_is_infinitely_far(data):
    network = ReluNetwork.random((2, 3), seed=0)
    dead = replace(network.layers[0], weights=np.zeros((3, 2)), bias=-np.ones(3))
    deaf = ReluNetwork((dead, *ReluNetwork.random((3, 2), seed=1).layers))
    assert np.isinf(affine_distances(deaf, data)).all()
    assert np.isinf(folded_distances(partition(deaf, ((-1, 1), (-1, 1))), data)).all()


@pytest.mark.parametrize("layer", [0, 1])
def test_the_best_offset_is_the_one_that_a_search_finds(network, data, layer):
    table = least_squares_offset(network, data, layer)
    own = network.layers[layer]
    np.testing.assert_allclose(table["mean"], own.normalization.mean, atol=1e-10)
    np.testing.assert_allclose(table["deviation"], own.normalization.deviation)
    slope = np.linalg.norm(network.gradients(data)[layer], axis=2)

    def total(offset, unit):
        mean = own.normalization.mean.copy()
        mean[unit] = offset
        moved = replace(own, normalization=own.normalization._replace(mean=mean))
        layers = [*network.layers[:layer], moved, *network.layers[layer + 1 :]]
        distance = affine_distances(ReluNetwork(tuple(layers)), data)
        seen = slope[:, unit] > 0
        return (distance[seen, unit + 9 * layer] ** 2).sum()

    for unit in range(9):
        mean, spread = (table[name].values[unit] for name in ("mean", "deviation"))
        best = minimize_scalar(total, (mean - spread, mean + spread), args=(unit,), tol=1e-10)
        assert table["best"].values[unit] == pytest.approx(best.x, abs=1e-5 * spread)
        assert table["excess"].values[unit] == pytest.approx(total(mean, unit) / best.fun - 1)
    if layer == 0:  # BN's own choice
        np.testing.assert_allclose(table["best"], table["mean"], atol=1e-12)
        np.testing.assert_allclose(table["excess"], 0, atol=1e-12)
    else:
        assert (table["excess"] > 1e-3).all()


def test_an_error_names_what_is_wrong(network, found, data):
    with pytest.raises(InvalidSetup, match="layer"):
        least_squares_offset(network, data, 2)
    with pytest.raises(InvalidSetup, match="points"):
        folded_distances(found, [[1.0, 2.0, 3.0]])
    plain = ReluNetwork.random((2, 3), seed=0)
    dead = replace(plain.layers[0], bias=np.full(3, -1e9))
    with pytest.raises(InvalidSetup, match="varies"):
        least_squares_offset(
            ReluNetwork((dead, *ReluNetwork.random((3, 2), seed=1).layers)), data, 1
        )
