"""The derived errors against integrals over the Marchenko–Pastur law and random projections."""

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

from statmech_bn.codegen import latex, numpy_function
from statmech_bn.symbolic import Delta, M, offline
from statmech_bn.symbolic.offline import alpha, effective_ridge, growth, ridge, shrinkage

pytestmark = pytest.mark.thorough

LOADS = (0.3, 0.9, 1.0, 1.4, 6.0)


def marchenko_pastur(function, load):
    """Average over the eigenvalues of X'X/N, X of αN × N unit Gaussians."""
    low, high = (1 - np.sqrt(load)) ** 2, (1 + np.sqrt(load)) ** 2
    middle, half = (low + high) / 2, (high - low) / 2

    def integrand(angle):
        c = middle - half * np.cos(angle)
        return function(c) * (half * np.sin(angle)) ** 2 / (2 * np.pi * c)

    continuous = quad(integrand, 0, np.pi, epsabs=1e-12, epsrel=1e-12, limit=200)[0]
    return continuous + max(0.0, 1 - load) * function(0.0)


@pytest.mark.parametrize("load", LOADS)
def test_resolvent_is_that_of_the_marchenko_pastur_law(load):
    derived = numpy_function([offline.resolvent()], [alpha, ridge])
    for penalty in (0.02, 0.5, 4.0):
        expected = marchenko_pastur(lambda c, r=penalty: 1 / (c + r), load)
        assert derived(load, penalty)[0] == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("load", LOADS)
def test_ridge_error_is_bias_and_noise_of_every_eigenvector(load):
    derived = numpy_function([offline.ridge_error()], [alpha, ridge, Delta])
    for penalty, noise in ((0.02, 0.5), (0.5, 0.0), (4.0, 2.0)):

        def error(c, r=penalty, d=noise):
            return (r**2 + d**2 * c) / (c + r) ** 2 / 2

        expected = marchenko_pastur(error, load)
        assert derived(load, penalty, noise)[0] == pytest.approx(expected, rel=1e-8)


def test_error_in_terms_of_the_resolvent():
    trace = sp.Function("G")(ridge)
    slope = sp.diff(trace, ridge)
    known = (-(ridge**2) * slope + Delta**2 * (trace + ridge * slope)) / 2
    assert sp.expand(offline.ridge_error(explicit=False) - known) == 0


def test_effective_ridge_parametrizes_the_same_error():
    given = offline.ridge_of_effective()
    for load, effective, noise in ((0.4, 3.0, 0.5), (1.0, 0.2, 0.0), (2.5, 0.1, 1.5)):
        numbers = {alpha: load, effective_ridge: effective}
        penalty = given.subs(numbers)
        explicit = offline.ridge_error().subs({alpha: load, ridge: penalty, Delta: noise})
        rational = offline.ridge_error_of_effective().subs({**numbers, Delta: noise})
        assert float(rational) == pytest.approx(float(explicit), rel=1e-10)


@pytest.mark.parametrize(("load", "noise"), [(0.4, 0.5), (1.0, 0.3), (3.0, 1.2)])
def test_best_ridge_is_the_minimum(load, noise):
    optimum, decay = offline.best_ridge()
    assert decay == optimum / (2 * alpha)
    error = numpy_function([offline.ridge_error()], [alpha, ridge, Delta])
    found = minimize_scalar(
        lambda log: float(error(load, np.exp(log), noise)[0]), bounds=(-9, 5), method="bounded",
        options={"xatol": 1e-9},
    )  # fmt: skip
    assert np.exp(found.x) == pytest.approx(float(optimum.subs(Delta, noise)), rel=1e-4)


def test_least_squares_limits():
    below, above = (branch.expr for branch in offline.least_squares_error().args)
    assert sp.simplify(above - Delta**2 / (alpha - 1) / 2) == 0
    assert sp.simplify(below - ((1 - alpha) + Delta**2 * alpha / (1 - alpha)) / 2) == 0


def test_batch_normalization_in_the_notation_of_the_projections():
    below, above = (branch.expr for branch in offline.batch_normalized_error().args)
    noise = Delta**2 * alpha / (1 - alpha)
    kappa = (alpha + noise) * (1 - alpha) / (growth - (1 - alpha))
    known = ((1 - shrinkage) ** 2 * alpha + 1 - alpha + shrinkage**2 * (noise + kappa)) / 2
    assert sp.simplify(below - known) == 0
    known = ((1 - shrinkage) ** 2 + shrinkage**2 * Delta**2 / (alpha - 1)) / 2
    assert sp.simplify(above - known) == 0
    assert sp.simplify(kappa.subs(growth, 1) - (1 - alpha + Delta**2)) == 0


def interpolation(rng, load, noise, shrinkage, growth, dimension=250):
    """Least squares by lstsq, shrunk, and random weights projected off the data."""
    samples = round(load * dimension)
    x = rng.standard_normal((samples, dimension)) / np.sqrt(dimension)
    teacher, start = rng.standard_normal((2, dimension))
    teacher *= np.sqrt(dimension) / np.linalg.norm(teacher)
    labels = x @ teacher + noise * rng.standard_normal(samples)
    fitted = np.linalg.lstsq(x, labels, rcond=None)[0]
    outside = start - np.linalg.lstsq(x, x @ start, rcond=None)[0]
    inside = growth * start @ start - outside @ outside
    student = shrinkage * (fitted + outside * np.linalg.norm(fitted) / np.sqrt(inside))
    return ((student - teacher) ** 2).mean() / 2


@pytest.mark.parametrize(("load", "longer"), [(0.4, 1.0), (0.6, 3.0), (2.0, 1.0)])
def test_batch_normalization_is_shrunk_least_squares_beside_the_start(load, longer):
    """Random matrices, 40 of them, within 4 standard errors and O(1/N)."""
    rng = np.random.default_rng(6)
    found = [interpolation(rng, load, 0.5, 0.9, longer) for _ in range(40)]
    side = offline.batch_normalized_error().args[load > 1].expr
    expected = float(side.subs({alpha: load, shrinkage: 0.9, Delta: 0.5, growth: longer}))
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    assert abs(np.mean(found) - expected) < 4 * error + expected / 250
    assert error < 0.03 * expected


def test_best_scale_and_batch_size():
    numbers = {Delta: 0.7, growth: 2.0}
    for side, load in enumerate((0.6, 1.8)):
        error = offline.batch_normalized_error().args[side].expr.subs({**numbers, alpha: load})
        best = float(offline.best_scale().args[side].expr.subs({**numbers, alpha: load}))
        values = [float(error.subs(shrinkage, best + step)) for step in (-1e-3, 0, 1e-3)]
        assert values[1] < min(values[0], values[2])
        size = float(offline.best_batch_size().args[side].expr.subs({**numbers, alpha: load}))
        assert 1 - 3 / (4 * size) == pytest.approx(best, rel=1e-12)
    above = offline.best_batch_size().args[1].expr
    assert sp.simplify(above - sp.Rational(3, 4) * (1 + (alpha - 1) / Delta**2)) == 0
    assert not above.has(M)


def test_uneven_weights_make_least_squares_worse():
    """Weights ψ(u) of samples, solved directly; within 3 standard errors."""
    rng = np.random.default_rng(9)
    load, dimension, noise, variance = 2.0, 120, 0.5, 0.008
    found = []
    for _ in range(200):
        x = rng.standard_normal((round(load * dimension), dimension)) / np.sqrt(dimension)
        labels = noise * rng.standard_normal(len(x))  # by linearity the teacher may be zero
        field = x @ rng.standard_normal(dimension)
        change = np.sqrt(variance / 2) * (field**2 / np.mean(field**2) - 1)
        # the mean of both signs is free of the term linear in the change, whose mean is zero
        lower, even, upper = (
            (np.linalg.solve((x.T * psi) @ x, (x.T * psi) @ labels) ** 2).mean() / 2
            for psi in (1 - change, np.ones(len(x)), 1 + change)
        )
        found.append((lower + upper) / 2 - even)
    numbers = {alpha: load, Delta: noise, shrinkage: 1}
    expected = float(offline.uneven_weights_error(variance).subs(numbers))
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    assert error < 0.08 * expected
    assert abs(np.mean(found) - expected) < 3 * error


@pytest.mark.parametrize("size", [3, 5, 12])
def test_weight_variance_is_that_of_batches(size):
    """Two batches that share a sample have E[ψ(u)²] = E[w w'], w = (1 − 1/M − û²/M)/s."""
    rng = np.random.default_rng(4)
    found = []
    for _ in range(20):
        shared = rng.standard_normal((100_000, 1))
        weights = []
        for _ in range(2):
            batch = np.hstack([shared, rng.standard_normal((len(shared), size - 1))])
            spread = batch.std(axis=1)
            unit = (batch[:, 0] - batch.mean(axis=1)) / spread
            weights.append((1 - 1 / size - unit**2 / size) / spread)
        a, b = weights
        found.append((a * b).mean() / (a.mean() * b.mean()) - 1)
    expected = float(offline.weight_variance().subs(M, size))
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    assert error < 0.04 * expected
    assert abs(np.mean(found) - expected) < 3 * error


def test_weight_variance_of_large_batches():
    """1/s and û² depend on u to order 1/M as −(u² − 1)/(2M) and −u²/M: a variance of 9/(2M²)."""
    (square,) = offline.weight_variance().atoms(sp.hyper)
    for size in (100, 1000):
        variance = float(square.subs(M, size).evalf(20) - 1)
        assert size**2 * variance == pytest.approx(4.5, rel=10 / size)


def test_everything_prints():
    for derived in (
        offline.resolvent(),
        offline.ridge_error(),
        offline.ridge_error(explicit=False),
        offline.ridge_error_of_effective(),
        *offline.best_ridge(),
    ):
        assert "\\" in latex(derived)
    for derived in (
        offline.least_squares_error(),
        offline.batch_normalized_error(),
        offline.best_scale(),
        offline.best_batch_size(),
    ):
        assert r"\begin{cases}" in latex(derived)
