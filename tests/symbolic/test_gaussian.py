"""Closed Gaussian averages against published formulas, quadrature and Isserlis' theorem.

The quadrature is independent of SymPy's derivatives: every activation comes with its own
numerical g and g'. It whitens the fields, takes polar coordinates, splits the angle where a field
is zero, and applies Gauss-Legendre to angle and radius, so that kinks cost no accuracy.
"""

from __future__ import annotations

import contextlib
import math
import time
from functools import cache
from itertools import product

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf

from statmech_bn.errors import InvalidSetup, NoClosedForm
from statmech_bn.symbolic import field_averages
from statmech_bn.symbolic.gaussian import gaussian_average

pytestmark = pytest.mark.thorough

u, v, w, z, R = sp.symbols("u v w z R", real=True)
gamma = sp.Symbol("gamma", positive=True)
unit = sp.Matrix([[1, R], [R, 1]])
GRID = list(product((-0.7, 0.0, 0.9), (0.4, 1.6)))
ROOT2 = math.sqrt(2)


def normal(z):
    return np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


ACTIVATIONS = {  # expression, g, g'
    "linear": (z, lambda z: z, np.ones_like),
    "relu": (sp.Max(0, z), lambda z: np.maximum(z, 0), lambda z: 1.0 * (z > 0)),
    "erf": (sp.erf(z / sp.sqrt(2)), lambda z: erf(z / ROOT2), lambda z: 2 * normal(z)),
    "leaky": (
        sp.Max(z, z / 10),
        lambda z: np.maximum(z, z / 10),
        lambda z: np.where(z > 0, 1, 0.1),
    ),
    "cubic": (z + z**3 / 6, lambda z: z + z * z * z / 6, lambda z: 1 + z * z / 2),
    "cube": (z**3, lambda z: z * z * z, lambda z: 3 * z * z),
    "abs": (sp.Abs(z), np.abs, np.sign),
    "squared relu": (
        sp.Max(0, z) ** 2,
        lambda z: np.maximum(z, 0) ** 2,
        lambda z: 2 * np.maximum(z, 0),
    ),
    "wavelet": (
        z * sp.exp(-(z**2) / 2),
        lambda z: z * np.exp(-(z**2) / 2),
        lambda z: (1 - z**2) * np.exp(-(z**2) / 2),
    ),
    "odd erf": (
        z * sp.erf(z / sp.sqrt(2)),
        lambda z: z * erf(z / ROOT2),
        lambda z: erf(z / ROOT2) + 2 * z * normal(z),
    ),
    "gelu": (
        z * sp.erfc(-z / sp.sqrt(2)) / 2,
        lambda z: z * (1 + erf(z / ROOT2)) / 2,
        lambda z: (1 + erf(z / ROOT2)) / 2 + z * normal(z),
    ),
}
FOUR_ERF_FACTORS = {"odd erf", "gelu"}  # in B, which is not elementary then


@cache
def averages(expression):
    """Close the averages that the order-parameter flow needs."""
    slope = sp.diff(expression, z).subs(z, gamma * u)
    error = expression.subs(z, v) - expression.subs(z, gamma * u)
    integrands = {
        "A1": slope * error * v,
        "A2": slope * error * u,
        "B": slope**2 * error**2,
        "G": slope**2,
        "generalization error": error**2 / 2,
    }
    closed = {}
    for name, integrand in integrands.items():
        with contextlib.suppress(NoClosedForm):
            closed[name] = gaussian_average(integrand, (u, v), unit)
    return closed


def numerical_integrands(g, slope, scale):
    def error(u, v):
        return g(v) - g(scale * u)

    return {
        "A1": lambda u, v: slope(scale * u) * error(u, v) * v,
        "A2": lambda u, v: slope(scale * u) * error(u, v) * u,
        "B": lambda u, v: slope(scale * u) ** 2 * error(u, v) ** 2,
        "G": lambda u, v: slope(scale * u) ** 2,
        "generalization error": lambda u, v: error(u, v) ** 2 / 2,
    }


def quadrature(integrand, overlap, forms=((1, 0), (0, 1)), nodes=64, radius=12.0):
    """Average integrand(u, v), whose kinks are where a·u + b·v = 0 for the (a, b) in forms."""
    tail = math.sqrt(1 - overlap**2)  # v = overlap u + tail × independent
    kinks = [math.atan2(a + b * overlap, -b * tail) % math.pi for a, b in forms]
    breaks = np.unique([0.0, *kinks, *(kink + math.pi for kink in kinks), 2 * math.pi])
    points, weights = np.polynomial.legendre.leggauss(nodes)
    half = np.diff(breaks)[:, None] / 2
    angle = (breaks[:-1, None] + half + half * points).ravel()[:, None]
    r = radius / 2 * (1 + points)
    first, second = r * np.cos(angle), r * np.sin(angle)
    values = integrand(first, overlap * first + tail * second)
    radial = values @ (radius / 2 * weights * r * np.exp(-(r**2) / 2))
    return radial @ (half * weights).ravel() / (2 * math.pi)


def evaluate(closed, overlap, scale):
    return float(closed.subs({R: overlap, gamma: scale}))


def assert_equal_on_grid(closed, known):
    for overlap, scale in GRID:
        expected = known(overlap, scale)
        assert evaluate(closed, overlap, scale) == pytest.approx(expected, rel=1e-13, abs=1e-14)


# --- published formulas


def relu_averages(overlap, scale):
    tail, angle = math.sqrt(1 - overlap**2), math.pi - math.acos(overlap)
    j1 = (tail + overlap * angle) / (2 * math.pi)
    j2 = (angle + overlap * tail) / (2 * math.pi)
    return {
        "A1": j2 - scale * overlap / 2,
        "A2": j1 - scale / 2,
        "B": j2 - 2 * scale * j1 + scale**2 / 2,
        "G": 0.5,
        "generalization error": (1 + scale**2) / 4 - scale * j1,
    }


def linear_averages(overlap, scale):
    square = 1 - 2 * scale * overlap + scale**2
    return {
        "A1": 1 - scale * overlap,
        "A2": overlap - scale,
        "B": square,
        "G": 1.0,
        "generalization error": square / 2,
    }


def saad_solla_3(c):
    """E[g'(x) y g(t)] of Saad and Solla for the covariance c of x, y, t."""
    spread = (1 + c[0, 0]) * (1 + c[2, 2]) - c[0, 2] ** 2
    slope = c[1, 2] * (1 + c[0, 0]) - c[0, 1] * c[0, 2]
    return 2 / math.pi * slope / (math.sqrt(spread) * (1 + c[0, 0]))


def saad_solla_4(c):
    """E[g'(x) g'(y) g(s) g(t)] of Saad and Solla for the covariance c of x, y, s, t."""
    x, y, s, t = range(4)
    l4 = (1 + c[x, x]) * (1 + c[y, y]) - c[x, y] ** 2

    def spread(s, t):
        return (
            l4 * c[s, t]
            - c[y, s] * c[y, t] * (1 + c[x, x])
            - c[x, s] * c[x, t] * (1 + c[y, y])
            + c[x, y] * (c[x, s] * c[y, t] + c[x, t] * c[y, s])
        )

    sine = spread(s, t) / math.sqrt((l4 + spread(s, s)) * (l4 + spread(t, t)))
    return 4 / (math.pi**2 * math.sqrt(l4)) * math.asin(sine)


def erf_averages(overlap, scale):
    # Rows: u, v, φ = γu.
    c = np.array(
        [
            [1, overlap, scale],
            [overlap, 1, scale * overlap],
            [scale, scale * overlap, scale**2],
        ]
    )

    def average(integral, *fields):
        return integral(c[np.ix_(fields, fields)])

    u, v, phi = range(3)
    return {
        "A1": average(saad_solla_3, phi, v, v) - average(saad_solla_3, phi, v, phi),
        "A2": average(saad_solla_3, phi, u, v) - average(saad_solla_3, phi, u, phi),
        "B": average(saad_solla_4, phi, phi, v, v)
        - 2 * average(saad_solla_4, phi, phi, v, phi)
        + average(saad_solla_4, phi, phi, phi, phi),
        "G": 2 / (math.pi * math.sqrt(1 + 2 * scale**2)),
        "generalization error": (
            math.pi / 6
            + math.asin(scale**2 / (1 + scale**2))
            - 2 * math.asin(scale * overlap / math.sqrt(2 * (1 + scale**2)))
        )
        / math.pi,
    }


@pytest.mark.parametrize(
    ("name", "known"),
    [("linear", linear_averages), ("relu", relu_averages), ("erf", erf_averages)],
)
def test_published_formulas(name, known):
    closed = averages(ACTIVATIONS[name][0])
    assert closed.keys() == known(0.5, 1.0).keys()
    for key, average in closed.items():
        assert_equal_on_grid(average, lambda *point, key=key: known(*point)[key])


def test_orthant_probability_of_three_fields():
    S, T = sp.symbols("S T", real=True)
    covariance = sp.Matrix([[1, R, S], [R, 1, T], [S, T, 1]])
    steps = sp.Heaviside(u) * sp.Heaviside(v) * sp.Heaviside(w)
    sheppard = sp.Rational(1, 8) + (sp.asin(R) + sp.asin(S) + sp.asin(T)) / (4 * sp.pi)
    assert sp.expand(gaussian_average(steps, (u, v, w), covariance) - sheppard) == 0


# --- quadrature


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_against_quadrature(name):
    expression, g, slope = ACTIVATIONS[name]
    closed = averages(expression)
    missing = {"B"} if name in FOUR_ERF_FACTORS else set()
    assert numerical_integrands(g, slope, 1.0).keys() - closed.keys() == missing
    for key, average in closed.items():
        assert average.free_symbols <= {R, gamma}
        for overlap, scale in GRID:
            expected = quadrature(numerical_integrands(g, slope, scale)[key], overlap)
            found = evaluate(average, overlap, scale)
            assert found == pytest.approx(expected, rel=1e-11, abs=1e-12)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_perfect_student_has_no_error(name):
    for key, average in averages(ACTIVATIONS[name][0]).items():
        if key != "G":
            assert abs(average.subs({R: 1, gamma: 1}).evalf(30, chop=True)) < 1e-25


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (sp.Max(0, z), z * sp.Heaviside(z)),  # its derivative holds z δ(z)
        (sp.Max(0, z), (z + sp.Abs(z)) / 2),
        (sp.Max(0, z), sp.Piecewise((0, z <= 0), (z, True))),
        (sp.Max(0, z), -sp.Min(0, -z)),
        (sp.Max(z, z / 10), sp.Piecewise((z, z > 0), (z / 10, True))),
        (sp.Max(z, z / 10), sp.Max(z, 0.1 * z)),
        (sp.Abs(z), z * sp.sign(z)),
    ],
)
def test_spelling_of_an_activation_does_not_matter(one, other):
    first, second = averages(one), averages(other)
    assert len(first) == len(second) == 5
    assert all(sp.expand(first[key] - second[key]) == 0 for key in first)


def test_correlated_fields_equal_combinations_of_independent_ones():
    teacher = R * u + sp.sqrt(1 - R**2) * v
    for integrand in (sp.Max(0, u) * sp.Max(0, v) ** 2, sp.erf(u) * sp.erf(v) * v * sp.exp(-u * u)):
        direct = gaussian_average(integrand * u, (u, v), unit)
        mixed = gaussian_average((integrand * u).subs(v, teacher), (u, v), sp.eye(2))
        assert_equal_on_grid(mixed, lambda *point, direct=direct: evaluate(direct, *point))


def test_dirac_delta_is_a_density():
    closed = gaussian_average(sp.DiracDelta(gamma * u - 2 * v) * v**2, (u, v), unit)
    for overlap, scale in GRID:
        # With u = 2v/γ the density of u is 1/γ times that of the argument of the delta.
        points, weights = np.polynomial.hermite_e.hermegauss(2)
        precision = (4 / scale**2 - 4 * overlap / scale + 1) / (1 - overlap**2)
        second_moment = weights @ (points**2 / precision) / math.sqrt(precision)
        expected = second_moment / (scale * 2 * math.pi * math.sqrt(1 - overlap**2))
        assert evaluate(closed, overlap, scale) == pytest.approx(expected, rel=1e-13)


# --- random expressions

forms = st.tuples(st.integers(-2, 2), st.integers(-2, 2)).filter(any)
overlaps = st.sampled_from([sp.Rational(n, 10) for n in (-9, -5, 0, 3, 8)])
powers = st.tuples(st.integers(0, 3), st.integers(0, 3))
factors = st.lists(st.tuples(st.sampled_from(["erf", "sign", "step", "ramp"]), forms), max_size=2)
polynomials = st.dictionaries(powers, st.integers(-3, 3), min_size=1, max_size=3)

SYMBOLIC = {"erf": sp.erf, "sign": sp.sign, "step": sp.Heaviside, "ramp": lambda x: sp.Max(0, x)}
NUMERIC = {
    "erf": erf,
    "sign": np.sign,
    "step": lambda x: 1.0 * (x > 0),
    "ramp": lambda x: np.maximum(x, 0),
}


@settings(max_examples=40, deadline=None)
@given(polynomials, factors, st.lists(forms, max_size=2), overlaps)
def test_random_products_against_quadrature(polynomial, factors, gaussians, overlap):
    expression = sum(c * u**n * v**m for (n, m), c in polynomial.items())
    for name, (a, b) in factors:
        expression *= SYMBOLIC[name](a * u + b * v)
    for a, b in gaussians:
        expression *= sp.exp(-((a * u + b * v) ** 2) / 2)

    def integrand(u, v):
        value = sum(c * u**n * v**m for (n, m), c in polynomial.items())
        for name, (a, b) in factors:
            value = value * NUMERIC[name](a * u + b * v)
        for a, b in gaussians:
            value = value * np.exp(-((a * u + b * v) ** 2) / 2)
        return value

    expected = quadrature(
        integrand, float(overlap), [(1, 0), (0, 1), *(form for _, form in factors)]
    )
    found = float(gaussian_average(expression, (u, v), unit.subs(R, overlap)))
    assert found == pytest.approx(expected, rel=1e-10, abs=1e-10)


def pairings(items):
    """All ways to split a list into pairs."""
    if not items:
        yield []
    for i in range(1, len(items)):
        for rest in pairings(items[1:i] + items[i + 1 :]):
            yield [(items[0], items[i]), *rest]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(0, 2), max_size=6),
    st.lists(st.integers(-3, 3), min_size=9, max_size=9),
)
def test_moments_against_isserlis(fields, entries):
    mixing = sp.Matrix(3, 3, entries)
    covariance = mixing * mixing.T
    expected = sum(math.prod(covariance[pair] for pair in pairing) for pairing in pairings(fields))
    moment = math.prod((u, v, w)[field] for field in fields)
    assert gaussian_average(sp.sympify(moment), (u, v, w), covariance) == expected


# --- what has no closed form


@pytest.mark.parametrize(
    ("expression", "factor"),
    [
        (sp.erf(u) ** 2 * sp.erf(v) ** 2, r"erf\(u\)\*\*2\*erf\(v\)\*\*2"),
        (sp.tanh(u) * v, r"tanh\(u\)"),
        (sp.Heaviside(u - 1) * v, r"sign\(u - 1\)"),
        (sp.Max(0, u + 1), r"sign\(u \+ 1\)"),
        (sp.erf(u * v), r"erf\(u\*v\)"),
        (sp.exp(u), r"exp\(u\)"),
        (sp.exp(u**2), r"exp\(u\*\*2\)"),
        (sp.exp(-(u**4)), r"exp\(-u\*\*4\)"),
        (1 / (1 + u**2), r"1/\(u\*\*2 \+ 1\)"),
        (sp.sqrt(sp.Abs(u)), r"sqrt\(u\*sign\(u\)\)"),
        (sp.DiracDelta(u) ** 2, r"DiracDelta\(u\)"),
        (sp.DiracDelta(u) * sp.Heaviside(u) ** 2, r"sign\(u\)"),
        (sp.DiracDelta(u, 1), r"DiracDelta\(u, 1\)"),
        (sp.Piecewise((1, sp.Eq(u, 0)), (u, True)), r"Eq\(u, 0\)"),
        (sp.Piecewise((1, u * v > 0), (u, u > 1), (v, True)), r"sign\(u"),
    ],
)
def test_stops_at_a_factor_without_closed_form(expression, factor):
    with pytest.raises(NoClosedForm, match=rf"stopped at the (factor|condition) {factor}"):
        gaussian_average(expression, (u, v), unit)


@pytest.mark.parametrize(
    ("variables", "covariance", "argument"),
    [
        ((sp.Symbol("u"), v), unit, "variables"),
        ((sp.Symbol("u", positive=True), v), unit, "variables"),
        ((u,), unit, "covariance"),
        ((u, v), sp.Matrix([[1, R], [0, 1]]), "covariance"),
    ],
)
def test_rejects_bad_arguments(variables, covariance, argument):
    with pytest.raises(InvalidSetup, match=argument):
        gaussian_average(v, variables, covariance)


@pytest.mark.parametrize(("a", "b"), [(3, 5), (8, 2), (7, 9), (6, 0), (5, 4), (12, 12)])
def test_moments_of_powers_are_those_of_gauss_hermite(a, b):
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    weights = weights / weights.sum()
    x, y = np.sqrt(2.0) * nodes[:, None], (nodes[:, None] - 2 * nodes) / 3.0
    expected = (weights[:, None] * weights * x**a * y**b).sum()
    covariance = [[2, sp.sqrt(2) / 3], [sp.sqrt(2) / 3, sp.Rational(5, 9)]]
    found = gaussian_average(u**a * v**b, (u, v), sp.Matrix(covariance))
    scale = (weights[:, None] * weights * np.abs(x**a * y**b)).sum()
    assert float(found) == pytest.approx(expected, rel=1e-11, abs=1e-12 * scale)


def test_averages_of_high_polynomials_take_no_time():
    """Trading one power at a time, degree 9 took half a minute and 17 for ever."""
    began = time.process_time()
    drive = field_averages(z**17)[0]
    assert time.process_time() - began < 5
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    r, scale = 0.3, 0.5
    h, star = nodes[:, None], r * nodes[:, None] + math.sqrt(1 - r * r) * nodes
    delta = 17 * (scale * h) ** 16 * (star**17 - (scale * h) ** 17)
    expected = (weights[:, None] * weights * delta * (star - r * h)).sum()
    assert float(drive.subs({R: r, gamma: scale})) == pytest.approx(expected, rel=1e-9)
