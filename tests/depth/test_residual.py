"""Growth of fields and gradients in residual networks: closed forms, powers, and networks."""

import math

import numpy as np
import pytest

from statmech_bn import symbolic
from statmech_bn.depth import measure_residual, residual_growth
from statmech_bn.errors import InvalidSetup, NotConverged


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
