"""The numeric functions against the derived expressions in many digits, and at their limits."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy as sp
from scipy.optimize import minimize_scalar
from scipy.special import gammaln

import statmech_bn as sbn
from statmech_bn.errors import InvalidSetup
from statmech_bn.offline import batch_normalized, best_batch_size, least_squares, ridge
from statmech_bn.symbolic import Delta, offline


@pytest.mark.parametrize("load", [1e-6, 0.3, 1 - 1e-9, 1.0, 1 + 1e-9, 7.0, 1e6])
@pytest.mark.parametrize("penalty", [1e-12, 1e-4, 0.7, 1e5])
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_ridge_keeps_its_digits(load, penalty, noise):
    numbers = {
        offline.alpha: sp.Rational(load),
        offline.ridge: sp.Rational(penalty),
        Delta: sp.Rational(noise),
    }
    exact = float(offline.ridge_error().subs(numbers).evalf(30, maxn=400))
    assert ridge(load, penalty, noise) == pytest.approx(exact, rel=1e-12)


def test_ridge_becomes_least_squares():
    load = np.array([0.2, 0.7, 1.3, 5.0])
    np.testing.assert_allclose(ridge(load, 0.0, 0.5), least_squares(load, 0.5), rtol=1e-13)
    known = [0.5 * (0.8 + 0.25 * 0.2 / 0.8), 0.5 * (0.3 + 0.25 * 0.7 / 0.3), 0.125 / 0.3, 0.125 / 4]
    np.testing.assert_allclose(least_squares(load, 0.5), known, rtol=1e-13)
    assert ridge(1.0, 0.0, 0.5) == least_squares(1.0, 0.5) == np.inf
    assert ridge(1.0, 0.0, 0.0) == least_squares(1.0, 0.0) == 0
    assert ridge(1.0, 1e-14, 0.5) > 1e5
    assert ridge(1.0, 1e90, 0.5) == pytest.approx(0.5)


def test_the_best_ridge_is_the_noise():
    load, noise = np.array([0.3, 1.0, 4.0])[:, None], np.array([0.2, 1.0])
    best = ridge(load, noise**2, noise)
    assert best.shape == (3, 2)
    assert (best < ridge(load, 1.1 * noise**2, noise)).all()
    assert (best < ridge(load, 0.9 * noise**2, noise)).all()


@pytest.mark.parametrize(
    ("load", "size", "growth", "simulated"),
    [
        (0.5, 10, 3.9, 0.403), (0.5, 10, 1.19, 0.594), (0.5, 25, 1.94, 0.489),
        (0.5, np.inf, 1.0, 0.754), (0.8, 6, 4.4, 0.532),
        (2, 10, 1.0, 0.111), (2, 5, 1.0, 0.106), (4, 10, 1.0, 0.041),
    ],
)  # fmt: skip
def test_batch_normalization_as_an_independent_simulation_found_it(load, size, growth, simulated):
    """N = 300, Δ = 0.5, 8 seeds; finite learning rates and N leave a few per cent."""
    assert batch_normalized(load, size, 0.5, growth) == pytest.approx(simulated, rel=0.065)


def test_batch_normalization_by_hand():
    assert batch_normalized(0.5, np.inf, 0.5) == pytest.approx(0.75, rel=1e-12)
    many = least_squares(0.5, 0.5) + 0.5 * 0.375 / (2.5 - 0.5)
    assert batch_normalized(0.5, np.inf, 0.5, 2.5) == pytest.approx(many, rel=1e-12)
    assert batch_normalized(0.5, np.inf, 0.5, np.inf) == pytest.approx(least_squares(0.5, 0.5))
    size = np.array([3, 10, 1000])
    shrinkage = np.sqrt(2 / size) * np.exp(gammaln(size / 2) - gammaln((size - 1) / 2))
    known = 0.5 * ((1 - shrinkage) ** 2 + shrinkage**2 * 0.25 / 3)
    np.testing.assert_allclose(batch_normalized(4.0, size, 0.5, 7.0), known, rtol=1e-11)


def test_batch_normalization_keeps_its_digits_at_small_loads():
    """At Q_∞ = Q₀ a student of few samples has ½[1 + s² + s²Δ²] to first order in α."""
    scale = np.sqrt(2 / 8) * np.exp(gammaln(4) - gammaln(3.5))
    found = batch_normalized(1e-13, 8, 0.5)
    assert found == pytest.approx(0.5 * (1 + scale**2 * 1.25), rel=1e-12)


def test_uneven_weights_add_to_batch_normalization():
    size = np.array([3.0, 5.5, 40.0, 1e6])
    plain, uneven = (batch_normalized(3.0, size, 0.5, uneven_weights=w) for w in (False, True))
    shrinkage = np.sqrt(2 / size) * np.exp(gammaln(size / 2) - gammaln((size - 1) / 2))
    variance = [float(mpmath.hyp3f2(0.5, 1.5, 1.5, *2 * [(m + 1) / 2], (1 - 1 / m) ** 2)) - 1
                for m in size]  # fmt: skip
    known = np.array(variance) * shrinkage**2 * 0.125 / 2 * (2 / 3)
    np.testing.assert_allclose(uneven - plain, known, rtol=1e-8, atol=1e-15)
    for load in (0.5, 1.0):
        assert batch_normalized(load, 5, 0.5, 2.0, uneven_weights=True) == batch_normalized(
            load, 5, 0.5, 2.0
        )
    without = batch_normalized(2.0, np.inf, 0.5)
    assert batch_normalized(2.0, np.inf, 0.5, uneven_weights=True) == without


def test_batch_normalization_at_the_peak():
    assert batch_normalized(1.0, 10, 0.5) == np.inf
    near = [batch_normalized(load, 10, 0.0, 2.0) for load in (1 - 1e-9, 1.0, 1 + 1e-9)]
    np.testing.assert_allclose(near, near[1], rtol=1e-6)


@pytest.mark.parametrize(
    ("load", "noise", "growth"), [(2.0, 0.5, 1.0), (8.0, 0.3, 1.0), (0.7, 0.2, 30.0)]
)
def test_best_batch_size_is_the_minimum(load, noise, growth):
    found = minimize_scalar(
        lambda log: float(batch_normalized(load, np.exp(log), noise, growth)),
        bounds=(np.log(3), np.log(1e4)), method="bounded", options={"xatol": 1e-9},
    )  # fmt: skip
    assert best_batch_size(load, noise, growth) == pytest.approx(np.exp(found.x), rel=1e-4)


def test_best_batch_size_approaches_its_leading_order():
    """The next order moves M* by 7/24: 3/(4M) + 7/(32M²) is what s_M misses of 1."""
    noise = np.array([0.1, 0.03, 0.01])
    leading = 0.75 * (1 + 1 / noise**2)
    np.testing.assert_allclose(best_batch_size(2.0, noise) - leading, 7 / 24, atol=5e-3)


def test_best_batch_size_at_the_ends():
    assert best_batch_size(2.0, 0.0) == best_batch_size(1.0, 0.0) == np.inf
    assert best_batch_size(0.5, 0.5) == 3
    assert best_batch_size(1.0, 0.5) == 3


GOOD = {"load": 2.0, "ridge": 1.0, "batch_size": 8, "label_noise": 0.5, "growth": 1.5}
BAD = {"load": 0.0, "ridge": -1.0, "batch_size": 2, "label_noise": np.nan, "growth": 0.9}
TAKES = {
    ridge: ["load", "ridge", "label_noise"],
    least_squares: ["load", "label_noise"],
    batch_normalized: ["load", "batch_size", "label_noise", "growth"],
    best_batch_size: ["load", "label_noise", "growth"],
}


@pytest.mark.parametrize(("function", "name"), [(f, name) for f in TAKES for name in TAKES[f]])
@pytest.mark.parametrize("value", ["below", "many", 1e101])
def test_refused(function, name, value):
    """Every argument by its own name; only a batch and a growth may be infinite, not 10¹⁰¹."""
    given = {k: GOOD[k] for k in TAKES[function]}
    with pytest.raises(InvalidSetup, match=f"^{name}: expected numbers"):
        function(**given | {name: BAD[name] if value == "below" else value})
    assert np.isfinite(function(**given))


def test_other_arguments_are_named():
    with pytest.raises(InvalidSetup, match=r"^load, ridge, label_noise: expected shapes"):
        ridge([1.0, 2.0], [1.0, 2.0, 3.0], 0.5)
    with pytest.raises(InvalidSetup, match=r"^uneven_weights: "):
        batch_normalized(2.0, 8, 0.5, uneven_weights="yes")
    with pytest.raises(InvalidSetup, match=r"^load: "):
        best_batch_size(np.inf, 0.5)


@pytest.mark.parametrize(
    "value", [1j, [[1.0], [2.0, 3.0]], 10**400, np.longdouble("1e4000"), None, b"1"], ids=repr
)
def test_what_is_no_float_is_refused(value):
    with pytest.raises(InvalidSetup, match=r"^load: expected numbers.*, got ") as refused:
        least_squares(value, 0.5)
    assert "got None" not in str(refused.value) or value is None


def test_other_kinds_of_numbers_are_read():
    assert least_squares(sp.Rational(2), Fraction(1, 2)) == least_squares(2, 0.5) == 0.125
    assert least_squares(10**30, 0.5) == pytest.approx(0.125e-30)


def test_a_spectrum_is_one():
    with pytest.raises(InvalidSetup, match=r"^spectrum: expected .*sbn\.Spectrum\("):
        ridge(1.0, 1.0, 0.5, [1.0, 2.0])


def test_public_names():
    assert {"ridge", "least_squares", "batch_normalized", "replica_symmetric"} <= set(
        sbn.offline.__all__
    )
