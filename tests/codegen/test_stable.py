"""Values and slopes at all sizes against mpmath, in NumPy, Numba and C++ from CUDA source.

The error that is allowed is a multiple of |g| + |z g'|, the change of g by the rounding of z.
"""

import math
import random
import shutil

import mpmath
import numba
import numpy as np
import pytest
import sympy as sp

import statmech_bn as sbn
from statmech_bn.activations import NAMED, Activation, z
from statmech_bn.codegen import numba_table_function, numpy_function
from statmech_bn.codegen.array_target import fused_kernel
from statmech_bn.codegen.many_digits import exactly
from statmech_bn.codegen.stable import stable
from tests.online.host_kernels import HostKernels

pytestmark = pytest.mark.thorough

SIZES = [*(10.0**k for k in (-300, -200, -160, -99, -60, -20, -12, -9, -8, -7, -4, -2))]
SIZES += [*(10.0**k for k in (3, 5, 9, 16, 30, 60, 90, 103, 120, 154, 160, 200, 250, 300))]
SIZES += [*np.geomspace(0.03, 680, 45), *np.linspace(700, 750, 21), 709.5, 709.8, 710.5, 716.2]
POINTS = np.array(sorted(s * size for size in SIZES for s in (-1, 1)))
VALUE, SLOPE = 1e-12, 1e-9
"""Errors that are allowed, in units of |g| + |z g'|; 10⁻³⁰⁰ is 0 beside."""
E = sp.exp
SMOOTH = [
    z / (1 + E(-z)), z * E(z) / (1 + E(z)), 1 / (1 + E(-z)), z * sp.tanh(sp.log(1 + E(z))),
    sp.log(sp.cosh(z)), sp.log(1 + E(5 * z)) / 5, (E(z) - E(-z)) / (E(z) + E(-z)),
    sp.log((1 + E(z)) / (1 + E(z - 1))), z * (1 + sp.erf(z / sp.sqrt(2))) / 2,
    z / 2 * (1 + sp.tanh(sp.sqrt(2 / sp.pi) * (z + 0.044715 * z**3))), sp.asinh(z),
    z**2 * E(-(z**2)), z / (1 + E(-3 * z / 2)), sp.sqrt(1 + z**2), z**3 / (1 + z**2),
    z / sp.sqrt(1 + z**2), (z + sp.sqrt(z**2 + 4)) / 2, z * sp.tanh(E(z)), z - sp.tanh(z),
    z**2 * E(-z), sp.log(2 + E(z)), z - sp.log(1 + z**2) / 2, E(z), sp.cosh(z),
    (z + 1) / (2 - sp.tanh(z**2 / 2)),
]  # fmt: skip
HOLES = [
    sp.sinc(z), sp.sin(z) / z, z / sp.tanh(z), z / sp.sinh(z), sp.log(1 + z**2) / z,
    (1 - sp.cos(z)) / z, (1 - sp.cos(z)) / z**2, sp.sin(z - 1) / (z - 1), (1 - E(-z)) / z,
    (E(z) - 1) / z, z / (E(z) - 1), sp.atan(z) / z, (z - sp.sin(z)) / z**3,
    sp.Piecewise((sp.sin(z) / z, sp.Ne(z, 0)), (1, True)),
]  # fmt: skip
SOFT = sp.log(1 + E(z))
DIFFERENCES = [
    SOFT - SOFT.subs(z, z - 1), sp.log((1 + E(5 * z)) / (1 + E(5 * z - 5))) / 5, SOFT - z,
    2 * SOFT - SOFT.subs(z, 2 * z), sp.tanh(z + 1) - sp.tanh(z - 1), sp.log(2 + E(z)) - SOFT,
    SOFT.subs(z, z + 1) - 2 * SOFT + SOFT.subs(z, z - 1), (E(z) - 1) / (E(z) + 2),
    sp.log((E(-1) + E(z)) / (E(1) + E(z))), sp.log(1 + E(z) + E(2 * z)), SOFT - sp.Max(z, 0),
]  # fmt: skip
"""Their parts cancel at z of any size, so that the value is far below them."""
LARGE = [
    E(z) / 1000, E(z) / 1000 + z, z**2 / 1000, z**3 / 10**5, sp.sqrt(1 + z**4) / 100,
    sp.cosh(z) / 7, (1 + z**2) ** 2 / 10**6, E(z) * sp.tanh(z) / 5,
]  # fmt: skip
"""They are finite where a part of them is not."""
KINKED = ("relu", "elu", "leaky_relu", "hard_tanh")
ALL = [*(g for name, g in NAMED.items() if name not in KINKED), *SMOOTH, *HOLES]


@numba.njit
def fill(function, table):
    function(table)


def targets(expressions, points):
    """Return what each target makes of some expressions at once, (expressions, points)."""
    rows = []
    for part in (expressions[i : i + 20] for i in range(0, len(expressions), 20)):
        table = np.empty((1 + len(part), points.size))
        table[0] = points
        fill(numba_table_function(part, [z]), table)
        rows += list(table[1:])
    found = {"numpy": numpy_function(expressions, [z])(points), "numba": rows}
    if shutil.which("g++"):
        found["cuda"] = fused_kernel(HostKernels(), expressions, [z], "float64")(points)
    return found


def more_digits(expression, point):
    """Return g and |z g'| with as many digits as e^(5z), e^(z²/2) and quotients by z³ cancel."""
    size, true = abs(point), exactly(expression)
    lost = 3 * abs(math.log10(size)) if size else 0
    carried = 60 + int(lost + (min(5 * size + size**2 / 2, 1200) if size < 1000 else 0))
    with mpmath.workdps(carried):
        g, moved = true(point, carried), true(point * (1 + mpmath.mpf(10) ** -20), carried)
        return g, abs(moved - g) * 10**20


def compare(expression, values, points, tolerance, name):
    for point, value in zip(map(float, points), map(float, values), strict=True):
        g = exactly(expression)(point)
        if g is None or abs(g) > 1.797e308:
            assert g is None or not np.isnan(value), (name, point)
        elif not abs(value - g) <= tolerance * abs(g) + 1e-300:
            g, change = more_digits(expression, point)
            error = abs(value - g)
            assert error <= tolerance * (abs(g) + change) + 1e-300, (name, point, value, float(g))


@pytest.fixture(scope="module")
def computed():
    """Return the arrays of g and g' of all expressions; few compilations are quicker than many."""
    pairs = []
    for expression in ALL:
        g = sbn.activation(expression)
        pairs += [g.expression, g.derivative]
    return pairs, targets(pairs, POINTS)


@pytest.mark.parametrize("index", range(len(ALL)), ids=[str(e) for e in ALL])
def test_what_is_finite_is_right_at_every_size(index, computed):
    pairs, found = computed
    for target, values in found.items():
        for at, tolerance in ((2 * index, VALUE), (2 * index + 1, SLOPE)):
            if pairs[at].has(z):
                compare(pairs[at], values[at], POINTS, tolerance, target)


def check_by_numpy(expressions, points):
    """Compare what NumPy makes of some expressions; those that are numbers are left out."""
    for k, e in enumerate(expressions):
        if e.has(z):
            [values] = numpy_function([e], [z])(points)
            compare(e, values, points, SLOPE if k else VALUE, "numpy")


def curvature(g):
    return sp.diff(g.derivative, z).replace(sp.DiracDelta, lambda *_: sp.S.Zero)


@pytest.mark.parametrize("expression", ALL, ids=str)
def test_second_derivatives_are_right_at_every_size(expression):
    check_by_numpy([curvature(sbn.activation(expression))], POINTS)


@pytest.mark.parametrize("expression", DIFFERENCES, ids=str)
def test_differences_keep_their_digits(expression):
    g = sbn.activation(expression)
    check_by_numpy([g.expression, g.derivative, curvature(g)], POINTS)


def test_a_shared_factor_keeps_the_order_of_products():
    """Alone exp(-z²) comes before z (z + 1), and after it where z + 1 has a name."""
    g = sbn.activation((z + 1) / (2 - sp.tanh(z**2 / 2)))
    for target, (_, slope) in targets([g.expression, g.derivative], POINTS).items():
        compare(g.derivative, slope, POINTS, SLOPE, target)


REMAINDERS = [
    (sp.log(1 + E(z) + E(2 * z)) - SOFT, 2),
    (2 * sp.atan(E(z)), 1), (E(z) / (1 + E(2 * z)) ** 2, 0),
]  # fmt: skip
"""Their derivative of this order is e^(−z) or less, beside terms that cancel or overflow."""


@pytest.mark.parametrize(("expression", "order"), REMAINDERS, ids=str)
def test_what_is_left_of_terms_that_cancel_is_not_zero(expression, order):
    """Slopes of 10⁻²⁰⁰ or so are 0 to any average, but a formula gives them as well."""
    g = Activation(expression)
    points = np.array([s * size for size in np.linspace(100.5, 745, 100) for s in (-1, 1)])
    derivative = (lambda: expression, lambda: g.derivative, lambda: curvature(g))[order]()
    [values] = numpy_function([derivative], [z])(points)
    compare(derivative, values, points, SLOPE, "numpy")


@pytest.mark.parametrize("expression", LARGE, ids=str)
def test_values_up_to_the_largest_float(expression):
    """Points at which eᶻ, z², z³ or z⁴ is more, and the value is not."""
    sizes = [*np.linspace(700, 730, 61), *np.geomspace(1e76, 1e79, 31)]
    sizes += [*np.geomspace(1e102, 1e105, 31), *np.geomspace(1e153, 1e156, 31)]
    g = sbn.activation(expression)
    points = np.array([s * size for size in sizes for s in (-1, 1)])
    check_by_numpy([g.expression, g.derivative, curvature(g)], points)


def test_a_hole_is_filled_from_its_series():
    """Limits by hand, and values close to them where the quotient of floats is noise."""
    expected = [
        (sp.sin(z) / z, 0, 1, 0), (z / sp.tanh(z), 0, 1, 0), ((E(z) - 1) / z, 0, 1, 0.5),
        ((1 - sp.cos(z)) / z, 0, 0, 0.5), (sp.sin(z - 1) / (z - 1), 1, 1, 0),
        (sp.log(1 + z**2) / z, 0, 0, 1), ((1 - sp.cos(z)) / z**2, 0, 0.5, 0),
        (z / sp.sinh(z), 0, 1, 0), (sp.atan(z) / z, 0, 1, 0),
    ]  # fmt: skip
    near = np.array([0, 1e-300, -1e-300, 1e-160, 1e-12, -1e-12])
    for expression, point, value, slope in expected:
        g = sbn.activation(expression)
        found = np.array(numpy_function([g.expression, g.derivative], [z])(point + near))
        np.testing.assert_allclose(found.T, [[value, slope]] * near.size, rtol=2e-12, atol=1e-11)


PARTS = [sp.exp, sp.tanh, sp.erf, lambda a: sp.log(1 + E(a)), lambda a: sp.sqrt(1 + a**2)]


def some_activation(random, depth=3):
    """Compose an expression of elementary functions."""
    if depth == 0:
        return random.choice([z, z, -z, z / 2, 2 * z, sp.Integer(1), sp.Rational(1, 3)])
    first, second = (some_activation(random, depth - 1) for _ in range(2))
    made = [lambda: random.choice(PARTS)(first), lambda: random.choice(PARTS)(first)]
    made += [lambda: first + second, lambda: first * second, lambda: first / (2 + sp.tanh(second))]
    return random.choice(made)()


def right_or_refused(seeds):
    """Count the activations of some seeds that are accepted, and check these."""
    accepted, refusals = 0, []
    for seed in seeds:
        expression = some_activation(random.Random(seed))
        if not expression.has(z):
            continue
        try:
            g = sbn.activation(expression)
        except sbn.errors.InvalidSetup as refused:
            refusals.append(str(refused))
            continue
        accepted += 1
        pair = [e for e in (g.expression, g.derivative) if e.has(z)]
        for e, values in zip(pair, numpy_function(pair, [z])(POINTS), strict=True):
            scale = max(abs(exactly(e)(p)) for p in (-2.0, -0.5, 0.5, 2.0))
            for point, value in zip(map(float, POINTS), map(float, values), strict=True):
                true = exactly(e)(point)
                if true is None or abs(true) > 1.79e308:
                    continue
                if not abs(value - true) <= 1e-6 * abs(true) + 1e-11 * scale + 1e-300:
                    true, change = more_digits(e, point)
                    error = abs(value - true) - 1e-11 * scale - 1e-300
                    assert error <= 1e-6 * (abs(true) + change), (seed, e, point, value)
    assert all("z = " in text or "Allowed" in text for text in refusals), refusals
    return accepted


def test_random_activations_are_right_or_refused():
    assert right_or_refused(range(12)) >= 8


@pytest.mark.slow
def test_many_random_activations_are_right_or_refused():
    assert right_or_refused(range(100, 300)) >= 130


@pytest.mark.parametrize("name", ["linear", "relu", "erf", "softplus", "tanh"])
def test_named_activations_need_no_branches(name):
    g = sbn.activation(name)
    assert not any(stable(e).has(sp.Piecewise) for e in (g.expression, g.derivative))


def test_what_no_form_is_found_for_is_refused_with_the_place():
    """Half at large z, where floats have 0 or noise; e^(e^z) over itself, beyond any bridge."""
    with pytest.raises(sbn.errors.InvalidSetup, match=r"At z = .* it is 0\.5, which would be"):
        sbn.activation(z**3 * (sp.sqrt(1 + z**6) - z**3))
    with pytest.raises(
        sbn.errors.InvalidSetup, match=r"At z = \d{3}\.\d+ it is .* computed as nan"
    ):
        sbn.activation(z / (1 + E(E(z))) * E(E(z) - z) * sp.tanh(z))


def test_what_grows_beyond_floats_is_infinite():
    assert numpy_function([E(z)], [z])(np.array([1e3]))[0][0] == np.inf
    assert numpy_function([z**3], [z])(np.array([-1e150]))[0][0] == -np.inf
