"""The backward pass as SymPy derives it: its closed form, its zeros, and the numerical layer."""

import numpy as np
import pytest
import sympy as sp

from statmech_bn import layers
from statmech_bn.errors import InvalidSetup
from statmech_bn.symbolic import batch_norm_gradient, gamma
from statmech_bn.symbolic.transform import beta, epsilon


@pytest.mark.parametrize("size", [2, 3, pytest.param(4, marks=pytest.mark.thorough)])
def test_the_derivative_has_the_closed_form(size):
    derived = batch_norm_gradient(size)
    for found, expected in zip(derived.gradient, derived.closed_form, strict=True):
        assert sp.simplify(found - expected) == 0


@pytest.mark.parametrize("size", [2, 3])
def test_a_step_sees_neither_constants_nor_the_field_itself(size):
    derived = batch_norm_gradient(size, sp.S.Zero)
    assert sp.simplify(sum(derived.gradient)) == 0
    along = sum(c * h for c, h in zip(derived.gradient, derived.fields, strict=True))
    assert sp.simplify(along) == 0


def test_a_floor_under_the_variance_spoils_the_second_zero():
    derived = batch_norm_gradient(3)
    values = dict(zip(derived.fields + derived.upstream, (1, 2, 4, 1, 0, 0), strict=True))
    values |= {gamma: 1, epsilon: 1}
    along = sum(c * h for c, h in zip(derived.gradient, derived.fields, strict=True))
    assert sp.simplify(sum(derived.gradient)) == 0
    assert along.subs(values) != 0


def test_the_scale_of_the_fields_drops_out():
    derived, a = batch_norm_gradient(3, sp.S.Zero), sp.Symbol("a", positive=True)
    scaled = {h: a * h for h in derived.fields}
    for y, c in zip(derived.output, derived.gradient, strict=True):
        assert sp.simplify(y.subs(scaled, simultaneous=True) - y) == 0
        assert sp.simplify(c.subs(scaled, simultaneous=True) - c / a) == 0


@pytest.mark.parametrize("floor", [0.0, 0.3])
def test_the_layer_computes_what_is_derived(floor):
    generator, size = np.random.default_rng(0), 5
    derived = batch_norm_gradient(size)
    fields, upstream = generator.standard_normal((2, size, 1))
    output, cache = layers.batch_norm_forward(fields, np.array([1.7]), np.array([0.2]), floor)
    along, _, _ = layers.batch_norm_backward(upstream, cache)
    symbols = (*derived.fields, *derived.upstream, gamma, beta, epsilon)
    compute = sp.lambdify(symbols, [derived.output, derived.gradient])
    expected = compute(*fields[:, 0], *upstream[:, 0], 1.7, 0.2, floor)
    np.testing.assert_allclose(output[:, 0], expected[0])
    np.testing.assert_allclose(along[:, 0], expected[1], atol=1e-14)


@pytest.mark.parametrize("size", [1, 2.5, "3"])
def test_a_batch_has_two_samples_or_more(size):
    with pytest.raises(InvalidSetup, match="batch_size"):
        batch_norm_gradient(size)
