"""exp, log and erf for vector instructions, beside those of the C library and mpmath."""

import math

import mpmath
import numba
import numpy as np
import pytest

from statmech_bn.codegen import elementary

gauss_and_erf = numba.njit(lambda x: elementary.erf(x, elementary.exp(-x * x)))


@pytest.mark.parametrize(
    ("found", "exact", "points"),
    [
        (elementary.exp, mpmath.exp, np.linspace(-700, 709.7, 2001)),
        (elementary.exp, mpmath.exp, np.linspace(-1, 1, 2001)),
        (elementary.log, mpmath.log, np.geomspace(1e-300, 1e300, 2001)),
        (elementary.log, mpmath.log, np.linspace(0.6, 1.6, 2001)),
    ],
)
def test_to_three_units_in_the_last_place(found, exact, points):
    wanted = np.array([float(exact(mpmath.mpf(x))) for x in points])
    values = np.array([found(x) for x in points])
    assert (np.abs(values - wanted) <= 3 * np.spacing(np.abs(wanted))).all()


def test_erf_to_rounding():
    points = np.concatenate([np.linspace(-7, 7, 2001), np.geomspace(1e-12, 1, 200)])
    wanted = [math.erf(x) for x in points]
    np.testing.assert_allclose([gauss_and_erf(x) for x in points], wanted, rtol=0, atol=4e-16)


@pytest.mark.parametrize(
    ("function", "cases"),
    [
        (elementary.exp, [(0, 1), (-800, 0), (-np.inf, 0), (710, np.inf), (np.inf, np.inf)]),
        (elementary.log, [(1, 0), (0, -np.inf), (-1, np.nan), (np.inf, np.inf)]),
        (gauss_and_erf, [(0, 0), (8, 1), (-8, -1), (np.inf, 1), (-1e300, -1)]),
    ],
)
def test_limits(function, cases):
    for argument, value in [*cases, (np.nan, np.nan)]:
        np.testing.assert_equal(function(float(argument)), value)
