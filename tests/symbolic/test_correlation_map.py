"""Correlation maps: against Monte Carlo, the literature, and their own iteration."""

import numpy as np
import pytest
import sympy as sp

import statmech_bn as sbn
from statmech_bn.errors import InvalidSetup, NoClosedForm

s = sbn.symbolic
x = sp.Symbol("x", real=True)
CLOSED = {"relu": "relu", "erf": "erf", "leaky": sp.Max(x, x / 10), "cubic": x**3}


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.parametrize("slopes", [False, True])
def test_a_kernel_is_a_gaussian_average(name, slopes):
    g = sbn.activation(CLOSED[name])
    function = sbn.codegen.numpy_function(
        [g.derivative if slopes else g.expression], [sbn.activations.z]
    )
    u, w = np.random.default_rng(5).standard_normal((2, 400_000))
    for c, q in ((0.35, 1.7), (-0.8, 0.6), (1.0, 1.0)):
        first, second = (function(np.sqrt(q) * x)[0] for x in (u, c * u + np.sqrt(1 - c**2) * w))
        error = (first * second).std() / np.sqrt(u.size)
        found = float(s.correlation_kernel(g, slopes).subs({s.c: c, s.q: q}))
        assert abs((first * second).mean() - found) < 4 * error


def test_relu_has_the_arccosine_map():
    angle = sp.acos(s.c)
    known = (sp.sqrt(1 - s.c**2) + s.c * (sp.pi - angle)) / sp.pi
    assert sp.simplify((s.correlation_map("relu") - known).rewrite(sp.asin)) == 0


def test_batch_normalization_takes_off_what_is_common():
    for activation in ("relu", "erf"):
        plain = s.correlation_map(activation)
        centred = (plain - plain.subs(s.c, 0)) / (1 - plain.subs(s.c, 0))
        assert sp.simplify(s.correlation_map(activation, "batch") - centred) == 0
    assert s.correlation_map("linear", "batch") == s.c


def test_the_multiplier_is_the_slope_at_one():
    for normalization in ("none", "batch"):
        for activation in ("relu", "erf", sp.Abs(x)):
            slope = s.correlation_map(activation, normalization).diff(s.c)
            at_one = sp.limit(slope, s.c, 1, "-")
            multiplier = s.gradient_multiplier(activation, normalization)
            assert sp.simplify(at_one - multiplier) == 0
    assert s.gradient_multiplier("relu", "batch") == sp.pi / (sp.pi - 1)  # Yang et al. 2019


@pytest.mark.parametrize("activation", ["relu", sp.Max(x, x / 2), sp.Abs(x)])
def test_late_depth_is_where_the_map_goes(activation):
    [step] = [sbn.codegen.numpy_function([s.correlation_map(activation)], [s.c])]
    c, depth = 0.3, 4000
    for _ in range(depth):
        c = float(step(c)[0])
    late = float(s.late_correlation(activation).subs(s.depth, depth))
    assert 1 - c == pytest.approx(late, rel=0.04)


def test_other_maps_have_no_power():
    assert s.late_correlation("relu") == 9 * sp.pi**2 / (2 * s.depth**2)
    for activation in ("erf", "linear"):
        with pytest.raises(InvalidSetup, match="activation"):
            s.late_correlation(activation)


def test_what_is_not_elementary_is_refused():
    with pytest.raises(NoClosedForm):
        s.correlation_map("tanh")
    for derived in (s.correlation_map, s.gradient_multiplier):
        with pytest.raises(InvalidSetup, match="normalization"):
            derived("relu", "layer")
