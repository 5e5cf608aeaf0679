"""Kernels and correlation maps against closed forms, Monte Carlo and random networks."""

import importlib

import numpy as np
import pytest
import sympy as sp

import statmech_bn as sbn
from statmech_bn.depth import kernel as kernel_function
from statmech_bn.errors import InvalidSetup, NotConverged

x = sp.Symbol("x", real=True)
LOGISTIC = 1 / (1 + sp.exp(-x))
GATED = sp.Max(0, x) * sp.tanh(x)  # a kink and no closed form


@pytest.mark.parametrize("slopes", [False, True])
@pytest.mark.parametrize("activation", ["tanh", LOGISTIC, GATED], ids=str)
def test_a_kernel_is_a_gaussian_average(activation, slopes):
    generator = np.random.default_rng(3)
    u, w = generator.standard_normal((2, 400_000))
    g = sbn.activation(activation)
    function = sbn.codegen.numpy_function(
        [g.derivative if slopes else g.expression], [sbn.activations.z]
    )
    for c, q in ((-0.4, 0.5), (0.8, 4.0), (1.0, 1.0)):
        v = c * u + np.sqrt(1 - c**2) * w
        products = function(np.sqrt(q) * u)[0] * function(np.sqrt(q) * v)[0]
        error = products.std() / np.sqrt(products.size)
        found = kernel_function(activation, c, q, slopes)
        assert abs(products.mean() - found) < 4 * error


def test_quadrature_agrees_with_a_closed_form():
    module = importlib.import_module("statmech_bn.depth.kernel")
    c = np.array([-1.0, -0.3, 0.0, 0.6, 0.999, 1.0])
    for name in ("relu", "erf"):
        for slopes in (False, True):
            closed = kernel_function(name, c, 2.5, slopes)
            g = sbn.activation(name)
            f = sbn.codegen.numpy_function(
                [g.derivative if slopes else g.expression], [sbn.activations.z]
            )
            kinks = np.array(g.kinks)
            found = [module._integrate(lambda y, f=f: f(y)[0], kinks, r, 2.5) for r in c]
            np.testing.assert_allclose(found, closed, atol=1e-8)


def test_slopes_are_derivatives():
    for layer in (
        sbn.depth.Layer("tanh", weight_variance=2.0, bias_variance=0.1),
        sbn.depth.Layer(LOGISTIC, "batch"),
    ):
        step = 1e-4
        ahead, behind = (float(layer.next_correlation(0.4 + h, 0.8)) for h in (step, -step))
        assert float(layer.slope(0.4, 0.8)) == pytest.approx(
            (ahead - behind) / (2 * step), rel=1e-6
        )


def test_weights_keep_the_variance_unless_given():
    for activation in ("relu", "tanh"):
        layer = sbn.depth.Layer(activation, bias_variance=0.2)
        assert float(layer.next_variance(1.0)) == pytest.approx(1.0, rel=1e-12)
        assert float(layer.next_correlation(1.0)) == pytest.approx(1.0, rel=1e-12)


def test_fixed_points():
    attracted = sbn.depth.fixed_point(sbn.depth.Layer("relu"))
    assert (attracted.correlation, attracted.slope) == (1.0, pytest.approx(1.0))
    layer = sbn.depth.Layer("tanh", weight_variance=2.25, bias_variance=0.05)
    chaotic = sbn.depth.fixed_point(layer)
    assert 0 < chaotic.correlation < 1
    assert chaotic.slope < 1
    found = sbn.depth.propagate(layer, [0.1, 0.95], 300)
    last = found["correlation"].isel(depth=-1)
    np.testing.assert_allclose(last, chaotic.correlation, atol=1e-7)
    late = np.abs(found["correlation"].isel(start=0) - chaotic.correlation).values
    assert late[121] / late[120] == pytest.approx(chaotic.slope, rel=1e-4)
    odd = sbn.depth.fixed_point(sbn.depth.Layer("erf"))
    assert odd.correlation == 0.0
    normalized = sbn.depth.fixed_point(sbn.depth.Layer("relu", "batch"))
    assert normalized.correlation == 0.0
    assert normalized.slope == pytest.approx(np.pi / (2 * (np.pi - 1)))


def test_what_has_no_fixed_point_says_so():
    for weight in (1.0, 4.0):
        with pytest.raises(NotConverged, match="variance"):
            sbn.depth.fixed_point(sbn.depth.Layer("relu", weight_variance=weight))


@pytest.mark.thorough
@pytest.mark.parametrize("activation", ["relu", "tanh", LOGISTIC], ids=str)
@pytest.mark.parametrize("normalization", ["none", "batch"])
def test_one_layer_of_networks_follows_the_map(activation, normalization):
    layer = sbn.depth.Layer(activation, normalization)
    found = sbn.depth.measure_correlation(
        layer, [0.0, 0.5, 0.9], 1, width=200, networks=40, pairs=4, batch_size=64, seed=1
    )
    before, after = (found["correlation"].isel(depth=k) for k in range(2))
    if normalization == "batch":
        layer = sbn.depth.Layer(activation, normalization, batch_size=64)
    theory = layer.next_correlation(before.mean("replica").values)
    error = after.std("replica", ddof=1) / np.sqrt(40)
    # Three pairs; fluctuations of width 200 bias the mean by less than half an error.
    assert (np.abs(after.mean("replica") - theory) < 3.5 * error).all()


@pytest.mark.slow
def test_deep_networks_follow_the_iterated_map():
    for normalization in ("none", "batch"):
        layer = sbn.depth.Layer("relu", normalization)
        found = sbn.depth.measure_correlation(
            layer, [0.0, 0.8], 15, width=1200, networks=12, pairs=4, batch_size=512
        )
        start = found["correlation"].isel(depth=0).mean("replica").values
        theory = sbn.depth.propagate(layer, start, 15)["correlation"].values
        error = found["correlation"].std("replica", ddof=1) / np.sqrt(12)
        apart = np.abs(found["correlation"].mean("replica") - theory) / error
        assert apart.isel(depth=slice(1, None)).max() < 4.5


def test_networks_do_not_depend_on_each_other():
    few, many = (
        sbn.depth.measure_correlation(sbn.depth.Layer("relu"), [0.5], 2, 20, networks=n)
        for n in (2, 4)
    )
    np.testing.assert_array_equal(few["correlation"], many["correlation"].isel(replica=slice(2)))


@pytest.mark.parametrize(
    ("changes", "argument"),
    [
        ({"normalization": "layer"}, "normalization"),
        ({"bias_variance": 1.0}, "bias_variance"),
        ({"bias_variance": -0.1}, "bias_variance"),
        ({"weight_variance": 0.0}, "weight_variance"),
        ({"batch_size": 2}, "batch_size"),
    ],
)
def test_a_layer_is_checked(changes, argument):
    with pytest.raises(InvalidSetup, match=argument):
        sbn.depth.Layer("relu", **changes)


def test_arguments_are_checked():
    layer = sbn.depth.Layer("relu", "batch")
    with pytest.raises(InvalidSetup, match="correlation"):
        kernel_function("relu", 1.1)
    with pytest.raises(InvalidSetup, match="variance"):
        kernel_function("relu", 0.5, 0.0)
    with pytest.raises(InvalidSetup, match="batch_size"):
        sbn.depth.measure_correlation(layer, [0.5], 1, 10, batch_size=8)
    with pytest.raises(InvalidSetup, match="depth"):
        sbn.depth.propagate(layer, [0.5], 0)
    with pytest.raises(NotConverged, match="kernel"):
        kernel_function(sp.tanh(3000 * x), 0.5)
