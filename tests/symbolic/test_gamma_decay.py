"""The derived moments against enumeration and simulation, and the penalties against integrals."""

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import quad
from scipy.special import gammaln
from scipy.stats import binom

from statmech_bn.codegen import latex, numpy_function
from statmech_bn.errors import InvalidSetup
from statmech_bn.symbolic import M, R, gamma, u
from statmech_bn.symbolic.gamma_decay import (
    PARTS,
    STATISTICS,
    batch_moments,
    excess_kurtosis,
    gamma_decay,
    linear_scale,
    skewness,
)

K = excess_kurtosis + 3
X = sp.Symbol("x")


def same(first, second):
    return sp.simplify(first - second) == 0


def extrapolated(values):
    """Remove the powers 1/M, 1/M², ... from values at M that double (Richardson)."""
    values, factor = np.asarray(values, dtype=float), 2
    while len(values) > 1:
        values = (factor * values[1:] - values[:-1]) / (factor - 1)
        factor *= 2
    return values[0]


def coefficient(expression, order, field, law):
    """Number in front of M^(−order)."""
    numbers = {skewness: law[3], excess_kurtosis: law[4] - 3, u: field}
    numbers |= {sp.Symbol(f"mu_{n}", real=True): law[n] for n in (5, 6)}
    return float(sp.expand(expression).coeff(M, -order).subs(numbers))


def test_moments_to_first_order():
    shift, square = batch_moments("correlated")
    assert same(shift, (-(u**3) / 2 + sp.Rational(3, 8) * (K - 1) * u + skewness / 2) / M)
    assert same(square, (1 + (K - 1) * u**2 / 4 + skewness * u) / M)
    assert batch_moments("correlated", "mean") == (-u / M, 1 / M)
    shift, square = batch_moments("independent")
    assert same(shift, u * (K - 1) / (4 * M))
    assert same(square, (1 + (K - 1) * u**2 / 4) / M)


@pytest.mark.parametrize("probability", [0.3, 0.5])
@pytest.mark.parametrize("part", PARTS)
def test_moments_equal_the_exact_enumeration_of_a_two_point_field(probability, part):
    """A batch is the sample and a binomial number of others: both orders, by extrapolation.

    Batches with σ_B = 0 have a probability below 1e-39 at the smallest M.
    """
    values = np.array([np.sqrt((1 - probability) / probability), 0.0])
    values[1] = -1 / values[0]
    law = [probability * values[0] ** n + (1 - probability) * values[1] ** n for n in range(7)]
    derived = batch_moments("correlated", part, 2)
    for own in (0, 1):
        field = values[own]
        first, second = [[], []], [[], []]
        for size in (256, 512, 1024, 2048, 4096):
            others = np.arange(size)
            weight = binom.pmf(others, size - 1, probability)
            share = (others + (own == 0)) / size
            usable = (share > 0) & (share < 1)
            weight, share = weight[usable], share[usable]
            mean = share * values[0] + (1 - share) * values[1]
            spread = np.sqrt(share * (1 - share)) * (values[0] - values[1])
            normalized = (field - (0 if part == "spread" else mean)) / (
                1 if part == "mean" else spread
            )
            for i in (0, 1):
                exact = weight @ (normalized - field) ** (i + 1)
                first[i].append(size * exact)
                known = coefficient(derived[i], 1, field, law)
                second[i].append(size**2 * (exact - known / size))
        for i in (0, 1):
            expected = coefficient(derived[i], 1, field, law)
            assert extrapolated(first[i]) == pytest.approx(expected, rel=1e-7, abs=1e-7)
            expected = coefficient(derived[i], 2, field, law)
            assert extrapolated(second[i]) == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("field", [-0.8, 0.3, 2.0])
@pytest.mark.parametrize(
    ("law", "draw"),
    [
        ([1, 0, 1, 2, 9, 44, 265], lambda rng, shape: rng.standard_exponential(shape) - 1),
        ([1, 0, 1, 0, 3, 0, 15], lambda rng, shape: rng.standard_normal(shape)),
    ],
    ids=["exponential", "gaussian"],
)
def test_moments_equal_a_simulation(field, law, draw):
    """Within 4 standard errors, below 5 % of the moments; what is left out is M^(−3).

    The part of û − u that is linear in the batch moments has a known mean and is subtracted.
    """
    rng = np.random.default_rng(31)
    size, batches = 1024, 12_000
    samples = np.concatenate([draw(rng, (2000, size - 1)) for _ in range(6)])
    assert len(samples) == batches
    mean = (samples.sum(axis=1) + field) / size
    square = ((samples**2).sum(axis=1) + field**2) / size
    moved = (field - mean) / np.sqrt(square - mean**2) - field
    linear = mean - field / size + field / 2 * (square - 1 - (field**2 - 1) / size)
    for observed, derived in zip((moved + linear, moved**2), batch_moments(order=2), strict=True):
        expected = sum(coefficient(derived, n, field, law) / size**n for n in (1, 2))
        error = observed.std() / np.sqrt(batches)
        assert abs(observed.mean() - expected) < 4 * error
        assert error < 0.05 * abs(expected)


def test_normalized_fields_keep_their_unit_variance():
    """E û² = 1 in every batch, to both orders."""
    law = {skewness: 0, excess_kurtosis: 0}
    law |= {sp.Symbol(f"mu_{n}", real=True): value for n, value in ((5, 0), (6, 15))}
    shift, square = (sp.Poly(c.subs(law), u) for c in batch_moments(order=2))
    moments = [1, 0, 1, 0, 3, 0, 15]
    total = 2 * sum(c * moments[n + 1] for (n,), c in shift.terms())
    assert sp.expand(total + sum(c * moments[n] for (n,), c in square.terms())) == 0


def test_linear_scale_is_the_series_of_the_exact_mean_spread():
    sizes = 25 * 2 ** np.arange(5)
    exact = np.sqrt(2 / sizes) * np.exp(gammaln(sizes / 2) - gammaln((sizes - 1) / 2))
    assert linear_scale(2) == 1 - sp.Rational(3, 4) / M - sp.Rational(7, 32) / M**2
    assert extrapolated(sizes * (1 - exact)) == pytest.approx(3 / 4, rel=1e-7)
    rest = sizes**2 * (exact - 1 + 3 / (4 * sizes))
    assert extrapolated(rest) == pytest.approx(-7 / 32, rel=1e-5)


def test_linear_unit():
    """Luo et al.'s ζ, and half of it once the sample counts among the batch."""
    independent, correlated = (gamma_decay(s, "linear") for s in STATISTICS)
    assert same(independent.zeta, (excess_kurtosis + 6) / (8 * M))
    assert same(correlated.zeta.subs(gamma, 1), (excess_kurtosis + 6) / (16 * M))
    assert same(independent.from_mean, gamma**2 / (2 * M))
    assert same(independent.from_spread, gamma**2 * (excess_kurtosis + 2) / (8 * M))
    assert independent.from_both == correlated.from_both == 0
    tilted = gamma_decay("correlated", "linear", label_mean=R * u)
    assert same(tilted.penalty, R * gamma * (excess_kurtosis + 6) / (8 * M))
    assert gamma_decay("independent", "linear", "gaussian").zeta == sp.Rational(3, 4) / M
    # ½γ² − γR + P is stationary at γ = R s_M, to first order
    scale = linear_scale(1)
    loss = gamma**2 / 2 - R * gamma + tilted.penalty.subs(excess_kurtosis, 0)
    assert same(sp.solve(loss.diff(gamma), gamma)[0], R * scale)


def test_independent_statistics_at_fixed_labels():
    """The pull at fixed labels differs from −2ζγ of the well-specified loss."""
    fixed = gamma_decay("independent", "linear", label_mean=u)
    pull = fixed.penalty.diff(gamma).subs(gamma, 1)
    assert same(pull, (excess_kurtosis + 4) / (2 * M))
    assert same(fixed.penalty.subs(gamma, 1), (excess_kurtosis + 6) / (8 * M))


def test_polynomial_log_partition():
    """E[A''] = E[φ² + 1] and E[A'' u²] with Gaussian fields."""
    found = gamma_decay("independent", X**4 / 12 + X**2 / 2, "gaussian")
    assert same(found.zeta, (3 * gamma**2 + 1) / (4 * M) + (gamma**2 + 1) / (2 * M))


def gaussian_integral(function):
    return quad(lambda x: function(x) * np.exp(-x * x / 2) / np.sqrt(2 * np.pi), -12, 12)[0]


@pytest.mark.parametrize("name", ["poisson", "logistic", "softplus"])
def test_independent_zeta_is_its_definition(name):
    scale, size = 0.7, 20
    curvature = {
        "poisson": lambda x: np.exp(scale * x),
        "logistic": lambda x: 1 / (2 * np.cosh(scale * x / 2)) ** 2,
        "softplus": lambda x: 1 / (1 + np.exp(-scale * x)),
    }[name]
    information = gaussian_integral(lambda x: curvature(x) * x * x)
    expected = information / (4 * size) + gaussian_integral(curvature) / (2 * size)
    zeta = gamma_decay("independent", name, "gaussian").zeta
    assert zeta.has(sp.Integral) == (name == "logistic")
    assert evaluated(zeta, scale, size) == pytest.approx(expected, rel=1e-9)


@pytest.mark.thorough
@pytest.mark.parametrize(("scale", "closed"), [(1.0, 0.0), (0.8, None)])
def test_correlated_poisson_pull_is_the_limit_of_the_exact_one(scale, closed):
    """û²/(M−1) ~ Beta(½, (M−2)/2) is independent of u's mean and spread s, and u = ū + s û."""
    penalty = gamma_decay("correlated", "poisson", "gaussian").penalty
    expected = float((M * penalty.diff(gamma)).subs(gamma, scale))
    if closed is not None:  # at order 1/M batch normalization leaves a Poisson unit's γ alone
        assert expected == pytest.approx(closed, abs=1e-12)
    population = scale * np.exp(scale**2 / 2) - np.exp(0.5)
    nodes, weights = np.polynomial.legendre.leggauss(400)
    found = []
    for size in (64, 128, 256, 512, 1024):
        x = 9 * nodes  # |û| ≤ √(M−1), and beyond 9 it weighs below 1e-18
        inside = np.abs(x) < np.sqrt(size - 1)
        density = np.zeros_like(x)
        density[inside] = (1 - x[inside] ** 2 / (size - 1)) ** ((size - 4) / 2)
        if not inside.all():
            x = np.sqrt(size - 1) * nodes
            density = (1 - nodes**2) ** ((size - 4) / 2)
        density *= weights / (weights @ density)
        s = 1 + 7 / np.sqrt(2 * size) * nodes
        log_law = (size - 2) * np.log(s) - size * (s**2 - 1) / 2
        law = np.exp(log_law) * weights
        law /= law.sum()
        label = np.exp(0.5 / size) * np.exp(np.outer(x, s)) @ law
        exact = density @ (x * (np.exp(scale * x) - label))
        found.append(size * (exact - population))
    assert extrapolated(found) == pytest.approx(expected, abs=1e-5)


def evaluated(expression, scale, size):
    """Put numbers, and SciPy's quadrature for every integral."""
    numbers = {gamma: sp.Float(scale), M: size}

    def integral(node):
        integrand = numpy_function([node.function.subs(numbers)], [u])
        return sp.Float(quad(lambda x: integrand(x)[0], -12, 12, epsabs=1e-13)[0])

    return float(expression.replace(lambda e: isinstance(e, sp.Integral), integral).subs(numbers))


def test_logistic_zeta_is_the_slope_of_its_penalty():
    found = gamma_decay("correlated", "logistic", "gaussian")
    step = 1e-3
    up, down = (evaluated(found.penalty, 0.9 + e, 10) for e in (step, -step))
    slope = (up - down) / (2 * step)
    assert evaluated(found.zeta, 0.9, 10) == pytest.approx(slope / (2 * 0.9), rel=1e-5)


@pytest.mark.parametrize("statistics", STATISTICS)
def test_expressions_print(statistics):
    assert gamma_decay(statistics, "logistic", "gaussian").from_both == 0
    for log_partition in ("logistic", None):
        found = gamma_decay(statistics, log_partition)
        for expression in (found.zeta, found.penalty):
            assert "\\int" in latex(expression)


def test_skewed_fields_couple_mean_and_spread():
    found = gamma_decay("correlated", "logistic")
    assert found.from_both.has(skewness)
    assert gamma_decay("independent", "logistic").from_both == 0


@pytest.mark.parametrize(
    "arguments",
    [("both",), ("independent", "binomial"), ("independent", X + M), ("independent", None, "t")],
)
def test_refused(arguments):
    with pytest.raises(InvalidSetup):
        gamma_decay(*arguments)


def test_refused_moments():
    with pytest.raises(InvalidSetup, match="part"):
        batch_moments("correlated", "median")
    with pytest.raises(InvalidSetup, match="order"):
        batch_moments(order=0)


def test_softplus_decays_as_half_a_linear_unit_does():
    """Its curvature is ½ plus an odd function, and so is its slope in u, at every γ."""
    for statistics in ("independent", "correlated"):
        linear = gamma_decay(statistics, "linear", "gaussian").zeta
        assert same(gamma_decay(statistics, "softplus", "gaussian").zeta, linear / 2)
