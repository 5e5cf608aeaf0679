"""Gradients and correlations over a batch of B samples, against series, draws and deep networks."""

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import quad
from scipy.special import eval_gegenbauer, roots_gegenbauer

import statmech_bn as sbn
from statmech_bn.depth import Layer, batch_fixed_point, measure_gradients
from statmech_bn.errors import InvalidSetup, NoClosedForm, NotConverged
from statmech_bn.layers import batch_norm_backward, batch_norm_forward
from statmech_bn.symbolic import M, gradient_multiplier

pytestmark = pytest.mark.thorough

x = sp.Symbol("x")
BEND = x / (1 + x**2)
LEAKY = sp.Max(x, x / 10)


def angular(c):
    """Return J and J' of ReLU (Cho & Saul 2009)."""
    angle = np.pi - np.arccos(c)
    return (np.sqrt(1 - c * c) + angle * c) / np.pi, angle / np.pi


@pytest.mark.parametrize("size", [4, 5, 8, 16, 64, 128])
def test_relu_and_linear_have_yang_s_closed_forms(size):
    value, slope = angular(-1 / (size - 1))
    relu = (slope + size - 1) / ((size - 3) * (1 - value)) - 1 / (size - 3)
    for name, expected in (("relu", relu), ("linear", (size - 2) / (size - 3))):
        assert batch_fixed_point(name, size).gradient_multiplier == pytest.approx(expected, 1e-10)
        derived = gradient_multiplier(name, "batch", M).subs(M, size)
        assert float(derived) == pytest.approx(expected, 1e-12)
        assert Layer(name, "batch", batch_size=size).gradient_multiplier() == pytest.approx(
            expected
        )


def test_relu_has_the_numbers_of_the_literature():
    found = [batch_fixed_point("relu", size).gradient_multiplier for size in (5, 8, 16, 64)]
    np.testing.assert_allclose(found, [2.274, 1.788, 1.590, 1.493], atol=5e-4)
    point = batch_fixed_point("relu", 8)
    assert point.trainable_depth == pytest.approx(16 / np.log(point.gradient_multiplier))


def test_other_closed_forms_agree_with_the_quadrature():
    for expression in (LEAKY, sp.Abs(x)):
        derived = gradient_multiplier(expression, "batch", 8)
        found = batch_fixed_point(expression, 8).gradient_multiplier
        assert float(derived) == pytest.approx(found, 1e-10)
    with pytest.raises(NoClosedForm, match="batch_fixed_point"):
        gradient_multiplier("erf", "batch", 8)
    with pytest.raises(InvalidSetup, match="batch_size"):
        gradient_multiplier("relu", "batch", 3)


@pytest.mark.parametrize("size", [4, 6, 8, 20])
@pytest.mark.parametrize("name", ["tanh", "bend"])
def test_smooth_activations_have_yang_s_gegenbauer_series(size, name):
    """E[f(û_i) f(û_j)] = Σ f_l² C_l(c)/C_l(1), with the coefficients by a Gauss rule."""
    g, slope = {
        "tanh": (np.tanh, lambda v: 1 / np.cosh(v) ** 2),
        "bend": (lambda v: v / (1 + v**2), lambda v: (1 - v**2) / (1 + v**2) ** 2),
    }[name]
    index, c = (size - 3) / 2, -1 / (size - 1)
    t, weight = roots_gegenbauer(200, index)
    weight = weight / weight.sum()
    fields = np.sqrt(size - 1) * t
    table = np.array([eval_gegenbauer(n, index, np.append(t, [c, 1.0])) for n in range(120)])
    polynomials, at_c, at_one = table[:, :-2], table[:, -2], table[:, -1]
    squares = polynomials**2 @ weight

    def pair(f):
        return np.sum((polynomials @ (weight * f)) ** 2 / squares * at_c / at_one)

    d, td = slope(fields), fields * slope(fields)
    own = weight @ g(fields) ** 2 - pair(g(fields))
    passed = (size - 1) * weight @ d**2 + pair(d) - weight @ td**2 + pair(td)
    found = batch_fixed_point({"tanh": "tanh", "bend": BEND}[name], size)
    assert found.product == pytest.approx(pair(g(fields)), abs=1e-9)
    assert found.gradient_multiplier == pytest.approx(passed / ((size - 3) * own), 1e-8)


@pytest.mark.parametrize("activation", ["relu", "tanh", "erf", "softplus", BEND])
def test_large_batches_have_the_limit(activation):
    limit = Layer(activation, "batch")
    apart = []
    for size in (1000, 4000):
        found = batch_fixed_point(activation, size)
        apart.append(found.gradient_multiplier - float(limit.gradient_multiplier()))
        assert found.slope == pytest.approx(float(limit.slope(0.0)), abs=4 / size)
    assert 0 < apart[0] < 5e-3
    assert apart[0] / apart[1] == pytest.approx(4, rel=0.02)  # of order 1/B


CASES = [
    ("relu", 6, 1.0, 0.0, 0.0),
    ("relu", 5, 0.7, 0.8, 0.0),
    ("tanh", 8, 2.0, -0.5, 0.0),
    ("relu", 4, 1.0, 0.0, 0.2),
    (BEND, 5, 1.5, 0.3, 0.1),
    (LEAKY, 8, -1.0, 0.4, 0.5),
]


@pytest.mark.parametrize("case", CASES)
def test_one_layer_s_jacobian_multiplies_a_gradient(case):
    """Draw units and gradients of one layer at the fixed point: within 4 standard errors."""
    activation, size, scale, shift, epsilon = case
    point = batch_fixed_point(activation, size, scale, shift, epsilon, weight_variance=2.0)
    generator, units = np.random.default_rng(3), 200_000
    g = sbn.codegen.numpy_function(
        [sbn.activation(activation).expression, sbn.activation(activation).derivative],
        [sbn.activation("linear").expression],
    )
    fields = np.sqrt(point.spread) * generator.standard_normal((size, units))
    y, cache = batch_norm_forward(fields, np.full(units, scale), np.full(units, shift), epsilon)
    outputs, slopes = g(y)
    contrast = outputs.var(axis=0, ddof=1)  # s/σ_w² on average
    above = generator.standard_normal((size, units))
    above -= above.mean(axis=0)
    back = 2.0 * np.sum(batch_norm_backward(above * slopes, cache)[0] ** 2, axis=0) / (size - 1)
    for drawn, expected in (
        (2 * contrast, point.spread),
        (np.mean(outputs**2, axis=0), point.square),
        (back, point.gradient_multiplier),
    ):
        error = drawn.std(ddof=1) / np.sqrt(units)
        assert abs(drawn.mean() - expected) < 4 * error


def relu_gram(centred):
    """Return E[x x'] of û behind fields of a centred covariance (Yang's Laplace method)."""
    size = len(centred)

    def integrand(t, i, j):
        shrunk = centred @ np.linalg.inv(np.eye(size) + 2 * t * centred)
        widths = np.sqrt(shrunk[i, i] * shrunk[j, j])
        kernel = widths * angular(np.clip(shrunk[i, j] / widths, -1, 1))[0] / 2
        return size * kernel / np.sqrt(np.linalg.det(np.eye(size) + 2 * t * centred))

    def over_all(i, j):
        return quad(lambda v: integrand(np.exp(v), i, j) * np.exp(v), -25, 25, epsrel=1e-11)[0]

    return np.array([[over_all(i, j) for j in range(size)] for i in range(size)])


def test_deviations_of_correlations_shrink_by_the_slope():
    size, step = 4, 1e-3
    centre = np.eye(size) - 1 / size
    deviation = np.zeros((size, size))  # of pairs, with sums of rows that vanish
    for i, j, sign in ((0, 1, 1), (2, 3, 1), (0, 3, -1), (1, 2, -1)):
        deviation[i, j] = deviation[j, i] = sign
    point = batch_fixed_point("relu", size)
    grams = [relu_gram(centre + side * step * deviation) for side in (1, -1)]
    change = centre @ (grams[0] - grams[1]) @ centre / (2 * step)
    np.testing.assert_allclose(
        change / (point.square - point.product), point.slope * deviation, atol=1e-5
    )
    found = sbn.depth.fixed_point(Layer("relu", "batch", batch_size=size))
    assert (found.correlation, found.slope) == (-1 / 3, point.slope)


NETWORKS = [  # activation, B, γ, β, ε, layers, layers left out
    ("relu", 6, 1.0, 0.0, 0.0, 16, 3),
    ("relu", 8, 1.0, 0.0, 0.0, 16, 3),
    ("relu", 32, 1.0, 0.0, 0.0, 16, 3),
    ("relu", 128, 1.0, 0.0, 0.0, 12, 3),
    ("tanh", 8, 1.0, 0.0, 0.0, 16, 3),
    ("tanh", 16, 0.3, 0.0, 0.0, 16, 3),
    ("relu", 16, 1.0, 1.0, 0.0, 16, 3),
    ("relu", 4, 1.0, 0.0, 0.1, 30, 15),
    ("relu", 8, 1.0, 0.0, 1.0, 30, 15),
    (BEND, 12, 1.0, 0.5, 0.0, 16, 3),
]


@pytest.mark.parametrize("case", NETWORKS)
def test_gradients_of_deep_networks_grow_by_the_multiplier(case):
    """8 networks of width 200: within 3.5 standard errors plus 0.5/width."""
    activation, size, scale, shift, epsilon, depth, settle = case
    setup = {"scale": scale, "shift": shift, "epsilon": epsilon}
    found = measure_gradients(
        activation, size, depth, 200, networks=8, settle=settle, seed=1, **setup
    )["gradient_multiplier"]
    error = found.std("replica", ddof=1) / np.sqrt(8)
    expected = batch_fixed_point(activation, size, **setup).gradient_multiplier
    assert abs(found.mean() - expected) < 3.5 * error + 0.5 / 200
    if size <= 16 and activation == "relu" and shift == epsilon == 0:  # it tells finite from B → ∞
        assert abs(found.mean() - np.pi / (np.pi - 1)) > 10 * error


def test_remedies_bring_the_growth_to_that_of_linear_layers_and_below():
    linear = 6 / 5
    assert batch_fixed_point("tanh", 8, scale=0.01).gradient_multiplier == pytest.approx(
        linear, 1e-6
    )
    assert batch_fixed_point("relu", 8, shift=3.0).gradient_multiplier == pytest.approx(linear)
    shifts = [batch_fixed_point("relu", 8, shift=b).gradient_multiplier for b in (0, 0.5, 1, 2)]
    assert (np.diff(shifts) < 0).all()
    scales = [batch_fixed_point("tanh", 8, scale=s).gradient_multiplier for s in (0.1, 0.5, 1, 2)]
    assert (np.diff(scales) > 0).all()
    added = [batch_fixed_point("relu", 8, epsilon=e) for e in (0.0, 1e-8, 0.1, 0.5)]
    factors = [point.gradient_multiplier for point in added]
    assert factors[0] == pytest.approx(factors[1], 1e-6)
    assert (np.diff(factors) < 0).all()
    # From ε = σ_w² (B − 1)(1 − J)/(2B) on the fields vanish, and nothing is normalized.
    value, slope = angular(-1 / 7)
    edge = 2 * 7 * (1 - value) / 16
    gone = batch_fixed_point("relu", 8, epsilon=1.001 * edge)
    assert gone.spread == 0 < batch_fixed_point("relu", 8, epsilon=0.999 * edge).spread
    assert gone.gradient_multiplier == pytest.approx((7 + slope) / (7 * (1 - value)) / 1.001, 1e-4)


def test_wrong_arguments_are_named():
    for arguments in (
        {"batch_size": 3}, {"scale": 0.0}, {"epsilon": -1.0}, {"weight_variance": 0.0},
        {"shift": np.nan}, {"shift": -5.0}, {"scale": 1e308}, {"epsilon": 5e-324},
    ):  # fmt: skip
        with pytest.raises(InvalidSetup, match=next(iter(arguments))):
            batch_fixed_point("relu", **{"batch_size": 8, **arguments})
    with pytest.raises(NotConverged, match="shorter"):
        batch_fixed_point(sp.sin(300 * x), 8)
    assert Layer("relu", "batch", batch_size=3).gradient_multiplier() == np.inf
    with pytest.raises(InvalidSetup, match="batch_size"):
        sbn.depth.fixed_point(Layer("relu", "batch", batch_size=3))
