"""Stationary γ against closed forms, the exact averages over batches, and simulation."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import sympy as sp
from scipy.integrate import quad
from scipy.optimize import brentq

from statmech_bn.activations import activation
from statmech_bn.averages.choice import Quadrature
from statmech_bn.errors import InvalidSetup, NotConverged
from statmech_bn.online.gamma.stationary import stationary_gamma

pytestmark = pytest.mark.thorough

X = sp.Symbol("x")
SIZES = np.array([16, 32, 64, 128, 256])
SKEWED = scipy.stats.gamma(4.0)  # skewness 1, excess kurtosis 3/2


def select(found, statistics, part="both"):
    return found.gamma.sel(statistics=statistics, part=part).values


def exact_gamma(name, overlap, near):
    """Root of the exact finite-M pull of Gaussian fields."""
    rule = Quadrature.for_activation(activation(name))
    return np.array(
        [
            brentq(lambda g, m=m: rule.batch_averages(overlap, g, int(m))[1], s - 0.1, s + 0.1,
                   xtol=1e-12)
            for m, s in zip(SIZES, near, strict=True)
        ]
    )  # fmt: skip


def exponents(difference):
    return np.diff(np.log(np.abs(difference))) / np.log(2)


@pytest.mark.parametrize(("field", "excess"), [(None, 0.0), (SKEWED, 1.5)])
def test_linear_unit(field, excess):
    overlap = 0.7
    found = stationary_gamma("linear", SIZES, overlap, field)
    assert float(found.gamma_population) == pytest.approx(overlap, rel=1e-9)
    mean, spread = 1 / (2 * SIZES), (excess + 2) / (8 * SIZES)
    for part, zeta in (("mean", mean), ("spread", spread), ("both", mean + spread)):
        expected = overlap / (1 + 2 * zeta)
        np.testing.assert_allclose(select(found, "independent", part), expected, rtol=1e-8)
    expected = overlap * (1 - (excess + 6) / (8 * SIZES))
    np.testing.assert_allclose(select(found, "correlated"), expected, rtol=1e-8)


@pytest.mark.parametrize("name", ["relu", sp.Max(X, X / 10), sp.Abs(X)])
def test_homogeneous_activations_stop_where_the_linear_unit_does(name):
    found = stationary_gamma(name, SIZES)
    np.testing.assert_allclose(SIZES * (1 - select(found, "correlated")), 0.75, atol=1e-8)
    np.testing.assert_allclose(select(found, "independent"), 1 / (1 + 1.5 / SIZES), rtol=1e-9)


@pytest.mark.parametrize("name", ["linear", "erf", "tanh", "softplus"])
def test_the_exact_gamma_differs_by_the_next_order(name):
    """By c/M²; the local exponents approach 2 with corrections of order 1/M."""
    for overlap in (1.0, 0.6):
        near = select(stationary_gamma(name, SIZES, overlap), "correlated")
        found = exponents(exact_gamma(name, overlap, near) - near)
        # two exponents extrapolate to M → ∞
        assert 2 * found[-1] - found[-2] == pytest.approx(-2, abs=0.02)
        assert found[-1] == pytest.approx(-2, abs=0.1)


def test_a_kink_seen_through_a_blurred_teacher():
    near = select(stationary_gamma("relu", SIZES, 0.6), "correlated")
    found = exponents(exact_gamma("relu", 0.6, near) - near)
    assert 2 * found[-1] - found[-2] == pytest.approx(-2, abs=0.02)


def test_a_kink_at_overlap_one_leaves_a_half_integer_order():
    """u and û differ in sign with probability ~M^(−1/2), where both are ~M^(−1/2)."""
    near = select(stationary_gamma("relu", SIZES), "correlated")
    rest = (exact_gamma("relu", 1.0, near) - near) * SIZES**1.5
    root = np.sqrt(2)  # extrapolate in M^(−1/2), then in 1/M
    first = (root * rest[1:] - rest[:-1]) / (root - 1)
    assert 2 * first[-1] - first[-2] == pytest.approx(1 / (3 * np.pi), rel=5e-3)


def test_independent_statistics_are_further_off():
    found = stationary_gamma("erf", SIZES)
    exact = exact_gamma("erf", 1.0, select(found, "correlated"))
    errors = {s: np.abs(select(found, s) - exact) for s in ("independent", "correlated")}
    assert (errors["independent"] > 5 * errors["correlated"]).all()
    found = exponents(errors["independent"])
    assert 2 * found[-1] - found[-2] == pytest.approx(-1, abs=0.02)


def tanh_labels(overlap, points):
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    values = np.tanh(overlap * points[:, None] + np.sqrt(1 - overlap**2) * nodes)
    return values @ weights / np.sqrt(2 * np.pi)


def relu_labels(overlap, points):
    width = np.sqrt(1 - overlap**2)
    place = overlap * points / width
    return width * (place * scipy.stats.norm.cdf(place) + scipy.stats.norm.pdf(place))


ACTIVATIONS = {
    "tanh": (np.tanh, lambda x: 1 / np.cosh(x) ** 2, tanh_labels),
    "relu": (lambda x: np.maximum(x, 0), lambda x: (x > 0).astype(float), relu_labels),
}


@pytest.mark.parametrize("name", ["tanh", "relu"])
def test_skewed_fields_and_label_noise_against_simulation(name):
    """At γ found for M₀ the simulated change M E[f(û) − f(u)], M → ∞, balances M₀ E f(u).

    The part linear in the batch moments has a known mean and is subtracted. Label noise takes
    part in the simulation and not in the theory. Agreement within 4 standard errors.
    """
    overlap, noise, reference = 0.8, 0.3, 64
    g, slope, label_mean = ACTIVATIONS[name]
    scale = select(stationary_gamma(name, [reference], overlap, SKEWED), "correlated")[0]

    def pull(x, y):
        return x * slope(scale * x) * (y - g(scale * x))

    def population(x):
        return SKEWED.pdf(4 + 2 * x) * 2 * pull(x, label_mean(overlap, np.array([x]))[0])

    expected = -reference * sum(quad(population, *r, epsabs=1e-13, limit=200)[0]
                                for r in ((-2, 0), (0, 4), (4, 45)))  # fmt: skip
    rng = np.random.default_rng(7)
    results = {}
    for size in (64, 256):
        batches = 30_000_000 // size
        means = []
        for chunk in np.array_split(np.arange(batches), 40):
            u = (rng.standard_gamma(4.0, (len(chunk), size)) - 4) / 2
            y = g(overlap * u + np.sqrt(1 - overlap**2) * rng.standard_normal(u.shape))
            y += noise * rng.standard_normal(u.shape)
            first, second = u.mean(axis=1, keepdims=True), (u * u).mean(axis=1, keepdims=True)
            normalized = (u - first) / np.sqrt(second - first**2)
            step = 1e-6
            derivative = (pull(u + step, y) - pull(u - step, y)) / (2 * step)
            # the batch moments without the sample itself average to zero at given u
            others = first - u / size + u / 2 * (second - 1 - (u * u - 1) / size)
            change = pull(normalized, y) - pull(u, y) + derivative * others
            means.append(size * change.mean(axis=1))
        values = np.concatenate(means)
        results[size] = values.mean(), values.std() / np.sqrt(len(values))
    (coarse, coarse_error), (fine, fine_error) = results.values()
    found = (4 * fine - coarse) / 3
    error = np.hypot(4 * fine_error, coarse_error) / 3
    assert error < 0.05 * abs(expected)
    assert abs(found - expected) < 4 * error


def test_parts_of_a_linear_unit_at_overlap_one():
    """Once the sample counts among the batch, the fluctuating mean alone leaves γ at 1."""
    found = stationary_gamma("linear", SIZES, field=scipy.stats.expon())
    np.testing.assert_allclose(select(found, "correlated", "mean"), 1, rtol=1e-8)
    spread = (1 - 4 / (8 * SIZES)) / (1 + 1 / SIZES)  # (2 − ρ_h)/(8M) with ρ_h = 6
    np.testing.assert_allclose(select(found, "correlated", "spread"), spread, rtol=1e-8)


def test_long_tails_do_not_overflow():
    found = stationary_gamma("softplus", [100], field=scipy.stats.expon())
    assert 0.98 < select(found, "correlated")[0] < 1


def test_scalar_batch_size_and_metadata():
    found = stationary_gamma("tanh", 50)
    assert found.gamma.dims == ("statistics", "part", "batch_size")
    assert found.attrs == {"activation": "tanh", "overlap": 1.0}
    assert float(found.gamma_population) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((sp.Max(X, 1), 8), "no kink but at zero"),
        (("relu", 2), "batch_size"),
        (("relu", 8.5), "batch_size"),
        (("relu", 8, 0.0), "overlap"),
        (("relu", 8, 1.0, 3.0), "field"),
        (("relu", 8, 1.0, scipy.stats.cauchy()), "finite first four moments"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(InvalidSetup, match=message):
        stationary_gamma(*arguments)


def test_unresolved_fields_are_refused():
    with pytest.raises(NotConverged, match="tails"):
        stationary_gamma("relu", 8, 1.0, scipy.stats.t(5))
    with pytest.raises(NotConverged, match="not smooth"):
        stationary_gamma("relu", 8, 1.0, scipy.stats.beta(0.5, 0.5))


def test_exact_gamma_of_the_linear_unit():
    """R s_M, s_M = √(2/M) Γ(M/2)/Γ((M−1)/2)."""
    sizes = np.array([3, 4, 9, 200])
    found = stationary_gamma("linear", sizes, 0.7).gamma_exact.values
    gammaln = scipy.special.gammaln
    scale = np.sqrt(2 / sizes) * np.exp(gammaln(sizes / 2) - gammaln((sizes - 1) / 2))
    assert np.isnan(found[0])
    np.testing.assert_allclose(found[1:], 0.7 * scale[1:], rtol=1e-7)
    assert "gamma_exact" not in stationary_gamma("linear", sizes, field=SKEWED)
