"""Growth of fields and gradients in residual networks: closed forms, powers, and networks."""

import importlib
import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import beta

from statmech_bn import symbolic
from statmech_bn.depth import measure_residual, rectified_residual_growth, residual_growth
from statmech_bn.errors import InvalidSetup, NotConverged
from statmech_bn.layers import batch_norm_backward, batch_norm_forward


def first(found):
    return float(found["gradient_square"][0])


def test_without_normalization_relu_grows_exponentially():
    for a, depth in ((1.0, 10), (0.3, 50)):
        found = residual_growth("relu", "none", depth, a)
        powers = (1 + a**2) ** np.arange(depth + 1)
        np.testing.assert_allclose(found["field_square"], powers, rtol=1e-10)
        np.testing.assert_allclose(found["gradient_square"], powers[::-1], rtol=1e-10)


def test_scaled_branches_leave_what_they_are_given():
    found = residual_growth("relu", "none", 400, 400**-0.5)
    assert first(found) == pytest.approx(math.e, rel=2e-3)
    skip = measure_residual("tanh", "none", 5, 0.0, networks=2)
    np.testing.assert_allclose(skip["gradient_square"], 1.0, rtol=1e-12)


@pytest.mark.parametrize("place", ["branch", "before"])
def test_normalized_branches_grow_like_a_power(place):
    """The power is χ = π/(π − 1) of a normalized ReLU layer; fields grow by one per block."""
    power = float(symbolic.gradient_multiplier("relu", "batch"))
    deep, shallow = (residual_growth("relu", place, depth) for depth in (2000, 1000))
    assert np.log2(first(deep) / first(shallow)) == pytest.approx(power, abs=2e-3)
    np.testing.assert_allclose(deep["field_square"], 1 + np.arange(2001), rtol=1e-10)


def test_behind_the_sum_gradients_grow_exponentially():
    """By (1 + χV)/(1 + V) in each block, with V = 1 − 1/π and χV = 1 for ReLU."""
    found = residual_growth("relu", "behind", 30)
    assert first(found) == pytest.approx((2 / (2 - 1 / math.pi)) ** 30, rel=1e-10)
    np.testing.assert_array_equal(found["field_square"], 1.0)


@pytest.mark.thorough
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("place", ["none", "branch", "before", "behind"])
def test_networks_follow_the_maps(activation, place):
    """Four blocks; a batch of 200 and 200 units add up to about a hundredth for each."""
    found = measure_residual(activation, place, 4, width=200, batch_size=200, networks=6)
    theory = residual_growth(activation, place, 4)
    for name in ("field_square", "gradient_square"):
        logarithm = np.log(found[name]) - np.log(theory[name])
        error = logarithm.std("replica", ddof=1) / np.sqrt(6)
        assert (abs(logarithm.mean("replica")) < 5 * error + 0.03).all(), name
        assert logarithm.sizes["depth"] == 5


def test_gradients_are_those_of_automatic_differences():
    """Growth of the loss v·x(depth) with the inputs, by differences; without normalization."""
    from statmech_bn.depth.network import keeping_gain
    from statmech_bn.random.streams import stream

    found = measure_residual("tanh", "none", 2, 0.7, width=5, batch_size=4, networks=1, seed=3)
    generator = stream(3, 34, 0)
    x = generator.standard_normal((4, 5))
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    gain = 0.7 * keeping_gain("tanh") / np.sqrt(5)
    weights = [gain * generator.standard_normal((5, 5)) for _ in range(2)]
    direction = generator.standard_normal((4, 5))

    def loss(x):
        for w in weights:
            x = x + np.tanh(x) @ w
        return np.sum(direction * x)

    gradient = np.empty_like(x)
    for place in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[place] = 1e-5
        gradient[place] = (loss(x + step) - loss(x - step)) / 2e-5
    expected = np.mean(gradient**2) / np.mean(direction**2)
    assert first(found.isel(replica=0)) == pytest.approx(expected, rel=1e-7)


def test_odd_arguments_are_refused():
    with pytest.raises(InvalidSetup, match="place"):
        residual_growth("relu", "batch", 3)
    with pytest.raises(InvalidSetup, match="branch_scale"):
        measure_residual("relu", "none", 3, -1.0)
    with pytest.raises(NotConverged, match="overflow"):
        residual_growth("relu", "none", 2000)


def test_rectified_sums_are_a_reflected_walk():
    """The share that is off is Sparre Andersen's; the walk is also drawn, a million times."""
    found = rectified_residual_growth(12)
    off = [math.comb(2 * n, n) / 4**n for n in range(1, 14)]
    np.testing.assert_allclose(found["inactive"], off, rtol=5e-4)
    rng, walk = np.random.default_rng(5), np.zeros(10**6)
    for square in found["field_square"].values:
        walk = np.maximum(walk + rng.standard_normal(walk.size), 0)
        drawn = walk**2
        assert drawn.mean() == pytest.approx(square, abs=4 * drawn.std() / 1000 + 1e-3 * square)


@pytest.mark.thorough
def test_rectified_networks_follow_the_walk():
    """Three blocks of dense layers; a width and a batch of 300 add up to about a hundredth."""
    depth, width, networks = 3, 300, 6
    rng, ones, zeros = np.random.default_rng(6), np.ones(width), np.zeros(width)
    theory = rectified_residual_growth(depth)
    logarithms = np.empty((networks, 2, depth + 1))
    for found in logarithms:
        start = rng.standard_normal((width, width))
        x, blocks = np.maximum(batch_norm_forward(start, ones, zeros, 0.0)[0], 0), []
        fields = [np.mean(x**2)]
        for _ in range(depth):
            first, second = rng.standard_normal((2, width, width)) / np.sqrt(width / 2)
            inner, below = batch_norm_forward(x @ first, ones, zeros, 0.0)
            added, above = batch_norm_forward(np.maximum(inner, 0) @ second, ones, zeros, 0.0)
            blocks.append((first, second, inner > 0, below, above, x + added > 0))
            x = np.maximum(x + added, 0)
            fields.append(np.mean(x**2))
        delta = rng.standard_normal(x.shape)
        squares = [np.mean(delta**2)]
        for first, second, inside, below, above, active in reversed(blocks):
            delta = delta * active
            branch = (batch_norm_backward(delta, above)[0] @ second.T) * inside
            delta = delta + batch_norm_backward(branch, below)[0] @ first.T
            squares.append(np.mean(delta**2))
        found[:] = np.log(fields), np.log(squares[::-1]) - np.log(squares[0])
    expected = np.log([theory["field_square"].values, theory["gradient_square"].values])
    error = logarithms.std(axis=0, ddof=1) / np.sqrt(networks)
    assert (abs(logarithms.mean(axis=0) - expected) < 5 * error + 0.03).all()
    assert expected[1, 0] > 1


def test_rectified_gradients_grow_with_the_power_of_a_brownian_walk(monkeypatch):
    """A coarse grid for deep networks; exponents approach the power like one over the depth."""
    module = importlib.import_module("statmech_bn.depth.rectified_residual")
    monkeypatch.setattr(module, "SPACING", 0.25)
    monkeypatch.setattr(module, "MOST_BLOCKS", 400)
    sizes = [first(rectified_residual_growth(depth)) for depth in (100, 200, 400)]
    near, far = np.diff(np.log2(sizes))
    c = math.pi**2 / (math.pi - 1) / (math.pi - 2)
    power = brentq(lambda p: c * (1 - beta(p + 0.5, 0.5) / math.pi) - p, 1, 5)
    assert 2 * far - near == pytest.approx(power, abs=2e-3)
    assert far - near > 0.01


def test_too_deep_rectified_networks_are_refused():
    with pytest.raises(InvalidSetup, match="depth"):
        rectified_residual_growth(201)
