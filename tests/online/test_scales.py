"""States of any scale: small and large γ and L, R up to ±1, against a quadrature of its own."""

import numpy as np
import pytest
import sympy as sp
from scipy.special import expit

import statmech_bn as sbn
from statmech_bn.averages.choice import Quadrature
from statmech_bn.averages.generalization import generalization_error
from statmech_bn.errors import NotConverged

pytestmark = pytest.mark.thorough

x = sp.Symbol("x")
SILU = x / (1 + sp.exp(-x))
ELU = sp.Piecewise((x, x > 0), (sp.exp(x) - 1, True))
CLIP = sp.Max(-1, sp.Min(1, x))
OTHERS = [SILU, x / sp.sqrt(1 + x**2), sp.atan(x), sp.tanh(3 * x), sp.Abs(x), ELU, CLIP]
FINITE = {
    "softplus": lambda z: np.logaddexp(0, z),
    SILU: lambda z: z * expit(z),
    ELU: lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
}
UNITS = ["linear", "relu", "erf", "softplus", "tanh", *OTHERS]
SCALES = np.array([1e-3, 0.7, 2.0, 2.01, 30.0, 65.0, 1e4])


def pieces(ends):
    """Gauss–Legendre on panels that end at given points (rows), with Gaussian weights."""
    t, w = np.polynomial.legendre.leggauss(16)
    always = np.broadcast_to(np.linspace(-9, 9, 13), (len(ends), 13))
    ends = np.sort(np.clip(np.concatenate([ends, always], axis=1), -9, 9), axis=1)
    left, half = ends[:, :-1, None], np.diff(ends, axis=1)[:, :, None] / 2
    u = (left + half * (1 + t)).reshape(len(ends), -1)
    weight = np.broadcast_to(half * w, (*half.shape[:2], t.size)).reshape(u.shape)
    return u, weight * np.exp(-u * u / 2) / np.sqrt(2 * np.pi)


def independent_error(unit, overlap, scale):
    """½ E[(g(Ru + √(1−R²)v) − g(γu))²] on panels in both fields."""
    expression = sbn.activation(unit).expression
    g = FINITE.get(unit) or sp.lambdify(sbn.activations.z, expression, "scipy")
    bends = np.concatenate([s * np.geomspace(0.5, 1e5, 24) for s in (-1, 1)])
    kinks, width = np.array([-1.0, 0.0, 1.0]), np.sqrt(1 - overlap**2)
    around = np.concatenate([kinks, bends]) / scale
    blurred = kinks[:, None] + width * np.array([-4, -2, -1, 0, 1, 2, 4])
    around = np.concatenate([around, blurred.ravel() / overlap])  # the mean of h* at a kink
    (u,), (weight,) = pieces(around[None])
    if width == 0:
        return weight @ (g(overlap * u) - g(scale * u)) ** 2 / 2
    v, inner = pieces((kinks - overlap * u[:, None]) / width)
    teacher = g(overlap * u[:, None] + width * v)
    return weight @ ((teacher - g(scale * u)[:, None]) ** 2 * inner).sum(axis=1) / 2


@pytest.mark.parametrize("unit", UNITS, ids=str)
def test_error_at_every_scale(unit):
    setup = sbn.TeacherStudent(unit, "weight", 8)
    for overlap in (-1.0, -0.5, 0.9, 1.0):
        ones = np.full(SCALES.size, overlap)
        found = generalization_error(setup, ones, np.ones(SCALES.size), SCALES)
        wanted = np.array([independent_error(unit, overlap, scale) for scale in SCALES])
        np.testing.assert_allclose(found, wanted, rtol=3e-7, atol=1e-9)
        above = SCALES > 2  # no state of a call needs one of another kind
        alone = generalization_error(setup, ones[above], ones[above], -SCALES[above])
        mirrored = generalization_error(setup, -ones[above], ones[above], SCALES[above])
        np.testing.assert_array_equal(alone, mirrored)


@pytest.mark.parametrize("unit", ["tanh", "softplus", SILU, sp.Abs(x)], ids=str)
@pytest.mark.parametrize("normalization", ["none", "weight", "batch"])
def test_every_level_records_scales_above_2(normalization, unit):
    setup = sbn.TeacherStudent(unit, normalization, 8)
    size = {"length": 3.0} if normalization == "none" else {"gamma": -3.0}
    start, time, rates = sbn.OrderParameters(0.1, **size), [0, 0.01], [1e-3, 1e-2]
    runs = [
        sbn.macroscopic(setup, rates, time, start),
        sbn.mesoscopic(setup, rates, time, start, 50, replicas=2),
        sbn.microscopic(setup, rates, time, start, 50, replicas=2),
    ]
    overlap = 0.1 if normalization == "none" else -0.1
    wanted = independent_error(unit, overlap, 3.0)
    for run in runs:
        first = run["generalization_error"].isel(time=0).values
        np.testing.assert_allclose(first, wanted, rtol=2e-7)


def test_where_an_activation_does_not_settle_the_reach_is_said():
    rule = Quadrature.for_activation(sbn.activation(sp.sin(x)))
    np.testing.assert_allclose(rule.averages(0.3, 5.0)[3], (1 + np.exp(-50)) / 2, rtol=1e-9)
    products = rule.products(0.9, 5.0, [4.0, 6.0])
    a, b = 5.0, np.array([4.0, 6.0])
    np.testing.assert_allclose(
        products, np.exp(-(a**2 + b**2) / 2) * np.sinh(0.9 * a * b), rtol=1e-9
    )
    for beyond in (
        lambda: rule.averages(0.3, 1e3),
        lambda: rule.errors(np.array([0.3]), np.array([1.0, -1e3])),
        lambda: rule.products(0.3, [1.0, 1e3], 1.0),
        lambda: rule.products(0.3, 1.0, [1.0, 1e3]),
    ):
        with pytest.raises(NotConverged, match=r"scale 1000 are out of reach.*settle"):
            beyond()
