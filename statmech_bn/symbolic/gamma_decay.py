r"""Batch normalization as population normalization plus a penalty on γ, derived to order 1/M.

The field is standardized, E u = 0 and E u² = 1, with skewness κ₃ and excess kurtosis ρ_h. A batch
normalizes it to û = (u − μ_B)/σ_B. An exponential family with log-partition A (the unit is
g = A') has the loss ℓ(φ) = A(φ) − yφ, and to second order in û − u

    E ℓ(γû) = E ℓ(γu) + P(γ),   P(γ) = γ E[ℓ'(γu) c₁(u)] + (γ²/2) E[ℓ''(γu) c₂(u)],
    c₁(u) = E[û − u | u],   c₂(u) = E[(û − u)² | u],

where y in ℓ' is replaced by its mean at given u. Two theories differ in the moments c₁ and c₂:

- "independent" (Luo et al. 2019): μ_B ~ N(0, 1/M) and σ_B ~ N(1, (ρ_h + 2)/(4M)) do not know
  the sample. For well-specified labels, E[y|u] = A'(γu), ℓ' averages to zero and P = ζγ² with
  ζ = (ρ_h + 2)/(8M) I(γ) + E[A''(γu)]/(2M), I(γ) = E[A''(γu) u²].
- "correlated" (this project): the sample is one of the M that make the batch moments
  m_k = (1/M) Σ u_m^k, so μ_B = m₁ and σ_B² = m₂ − m₁². Given u,

      m₁ = u/M + S₁/M,   m₂ − 1 = (u² − 1)/M + S₂/M,

  where S₁ and S₂ sum x and x² − 1 over the M − 1 others, whose joint moments follow from
  E exp(t₁S₁ + t₂S₂) = (E exp(t₁x + t₂(x² − 1)))^(M−1).

A linear unit whose direction is its teacher's then stops at γ = 1 − (ρ_h + 6)/(8M): half of what
the ζ of the independent theory shrinks it by.

References
----------
P. Luo, X. Wang, W. Shao, Z. Peng, ICLR 2019, arXiv:1809.00846.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import factorial

import sympy as sp

from statmech_bn.checks import as_expression, choice, integer
from statmech_bn.errors import invalid
from statmech_bn.symbolic.gaussian import gaussian_average
from statmech_bn.symbolic.symbols import M, gamma, u

phi = sp.Symbol("phi", real=True)
"""Argument of the log-partition, φ = γu."""
skewness = sp.Symbol("kappa_3", real=True)
"""Third moment κ₃ of the standardized field."""
excess_kurtosis = sp.Symbol("rho_h", real=True)
"""Fourth moment of the standardized field minus 3."""

LOG_PARTITIONS: dict[str, sp.Expr] = {
    "linear": phi**2 / 2,
    "logistic": sp.log(1 + sp.exp(phi)),
    "poisson": sp.exp(phi),
    "softplus": -sp.polylog(2, -sp.exp(phi)),  # whose derivative is log(1 + e^φ), a smooth ReLU
}
STATISTICS = ("independent", "correlated")
PARTS = ("mean", "spread", "both")
_GAUSSIAN = sp.exp(-(u**2) / 2) / sp.sqrt(2 * sp.pi)
_UNIT = sp.Matrix([[1]])

LARGEST_ORDER = 8
"""Terms of higher order take hours to derive."""


@dataclass(frozen=True)
class GammaDecay:
    """What the fluctuations of a batch add to the expected loss, to order 1/M.

    Attributes
    ----------
    statistics : str
        "independent" or "correlated".
    from_mean, from_spread, from_both : sympy.Expr
        Parts of the penalty P(γ): of μ_B alone, of σ_B alone, and of their correlation, which
        vanishes for symmetric fields and for independent statistics.
    zeta : sympy.Expr
        Coefficient of gamma decay. "independent": ζ = P(γ)/γ². "correlated": ζ = P'(γ)/(2γ), with
        the pull −2ζγ that P has; take it at the γ where the student stops (1 by default).
    """

    statistics: str
    from_mean: sp.Expr
    from_spread: sp.Expr
    from_both: sp.Expr
    zeta: sp.Expr

    @property
    def penalty(self) -> sp.Expr:
        """P(γ), the sum of the parts."""
        return self.from_mean + self.from_spread + self.from_both


def gamma_decay(
    statistics: str = "independent",
    log_partition: str | sp.Expr | None = None,
    field: str = "any",
    label_mean: sp.Expr | None = None,
) -> GammaDecay:
    """Derive the penalty on γ that batch normalization amounts to.

    Parameters
    ----------
    statistics : {"independent", "correlated"}
        Whether μ_B and σ_B are independent of the sample that they normalize.
    log_partition : {"linear", "logistic", "poisson", "softplus"} or sympy.Expr, optional
        A as an expression in one symbol: φ²/2, log(1 + e^φ), e^φ, and the integral −Li₂(−e^φ) of
        softplus by name. Without it A stays an undefined function.
    field : {"any", "gaussian"}
        The law of u. "any" leaves κ₃ and ρ_h, and averages over a density p(u) where other
        moments occur.
    label_mean : sympy.Expr, optional
        E[y|u] as a function of `statmech_bn.symbolic.u`. Default: A'(γu) for "independent", as
        Luo et al. assume; A'(u) for "correlated", a teacher of the same direction, whose student
        stops at γ = 1 without batch normalization. With the overlap R a linear teacher has
        ``R * u``.

    Returns
    -------
    GammaDecay
        Averages that are not elementary are left as `sympy.Integral`.

    Raises
    ------
    InvalidSetup
        An argument is unknown, or the log-partition is not a function of one symbol.

    Notes
    -----
    Well-specified labels follow γ, so that the independent ζγ² is the excess of the loss but not
    the pull on γ at fixed labels. With ``label_mean=u`` independent statistics would shrink a
    linear unit by (ρ_h + 4)/(2M), and their ζ = P(γ)/γ² depends on γ.

    Examples
    --------
    >>> gamma_decay("independent", "linear").zeta
    (rho_h + 6)/(8*M)
    >>> gamma_decay("correlated", "linear").zeta.subs(gamma, 1)
    (rho_h + 6)/(16*M)
    """
    _check("statistics", statistics, STATISTICS)
    _check("field", field, ("any", "gaussian"))
    partition = _log_partition(log_partition)
    slope = sp.expand_func(sp.diff(partition, phi))
    if label_mean is not None:
        label_mean = as_expression("label_mean", label_mean)
    else:
        label_mean = slope.subs(phi, gamma * u if statistics == "independent" else u)
    error = slope.subs(phi, gamma * u) - label_mean
    curvature = sp.factor(sp.diff(slope, phi)).subs(phi, gamma * u)
    moments = {part: batch_moments(statistics, part) for part in PARTS}
    crossed = [b - m - s for m, s, b in zip(*(moments[part] for part in PARTS), strict=True)]
    from_mean, from_spread, from_both = (
        _tidy(
            gamma * _average(shift, error, field)
            + gamma**2 / 2 * _average(square, curvature, field)
        )
        for shift, square in (moments["mean"], moments["spread"], crossed)
    )
    penalty = from_mean + from_spread + from_both
    zeta = penalty / gamma**2 if statistics == "independent" else penalty.diff(gamma) / (2 * gamma)
    return GammaDecay(statistics, from_mean, from_spread, from_both, _tidy(zeta))


def batch_moments(
    statistics: str = "correlated", part: str = "both", order: int = 1
) -> tuple[sp.Expr, sp.Expr]:
    """Derive c₁ = E[û − u | u] and c₂ = E[(û − u)² | u] in powers of 1/M.

    Parameters
    ----------
    statistics : {"independent", "correlated"}
    part : {"mean", "spread", "both"}
        Which of μ_B and σ_B fluctuates; the other is the population's, 0 or 1.
    order : int
        Highest power of 1/M. From 2 on, E u⁵, E u⁶, ... enter as symbols mu_5, mu_6, ...

    Returns
    -------
    tuple of sympy.Expr
        Polynomials in `u` and 1/M.

    Raises
    ------
    InvalidSetup
        An argument is unknown, or `order` is not a positive integer.

    Examples
    --------
    >>> batch_moments("correlated")[1] * M
    kappa_3*u + u**2*(rho_h + 2)/4 + 1
    """
    _check("statistics", statistics, STATISTICS)
    _check("part", part, PARTS)
    return _batch_moments(statistics, part, integer("order", order, 1, maximum=LARGEST_ORDER))


@lru_cache(maxsize=32)
def _batch_moments(statistics: str, part: str, order: int) -> tuple[sp.Expr, sp.Expr]:
    first, second, epsilon = sp.symbols("a b epsilon", real=True)
    if statistics == "correlated":  # a = m₁, b = m₂ − 1
        spread = sp.sqrt(1 + epsilon * second - epsilon**2 * first**2)
    else:  # a = μ_B, b = σ_B − 1
        spread = 1 + epsilon * second
    numerator = u if part == "spread" else u - epsilon * first
    deviation = numerator / (1 if part == "mean" else spread) - u
    # A product of n fluctuations is of order M^(−n/2).
    terms, derivative = [], deviation
    for n in range(1, 2 * order + 1):
        derivative = sp.diff(derivative, epsilon)
        terms.append(epsilon**n * derivative.subs(epsilon, 0) / factorial(n))
    expected = _correlated if statistics == "correlated" else _independent
    results = []
    for power in (1, 2):
        expansion = sp.Poly(sum(terms) ** power, epsilon, first, second)
        total = sp.S.Zero
        for (n, i, j), coefficient in expansion.terms():
            if n <= 2 * order:
                total += coefficient * expected(i, j)
        results.append(_truncate(total, order))
    return results[0], results[1]


def gaussian_batch_mean(order: int = 1) -> sp.Expr:
    """Return E[û − u | u] of a Gaussian field, u one of the M that it is normalized with.

    Parameters
    ----------
    order : int
        Largest power of 1/M.
    """
    return sp.expand(_of_gaussian(batch_moments("correlated", "both", order)[0]))


def linear_scale(order: int = 1) -> sp.Expr:
    """Derive where a linear unit with Gaussian fields stops, γ/R = E[u û], in powers of 1/M.

    E[û²] = 1 holds in every batch, so that R E[u û] is the minimum of E (y − γû)². The sum over
    the batch gives E[u û] = E[σ_B] too (`statmech_bn.symbolic.spread_moment`).

    Parameters
    ----------
    order : int
        Largest power of 1/M.

    Returns
    -------
    sympy.Expr

    Examples
    --------
    >>> linear_scale(2)
    1 - 3/(4*M) - 7/(32*M**2)
    """
    average = gaussian_average(sp.expand(u * gaussian_batch_mean(order)), (u,), _UNIT)
    return 1 + sp.expand(average)


def _correlated(i: int, j: int) -> sp.Expr:
    """Average m₁^i (m₂ − 1)^j at given u."""
    total = sp.S.Zero
    for c in range(i + 1):
        for d in range(j + 1):
            own = u ** (i - c) * (u**2 - 1) ** (j - d)
            total += sp.binomial(i, c) * sp.binomial(j, d) * own * _sum_moment(c, d)
    return total / M ** (i + j)


@lru_cache(maxsize=256)
def _sum_moment(c: int, d: int) -> sp.Expr:
    """Average S₁^c S₂^d: the coefficient of t₁^c t₂^d in the (M−1)th power of one sample's."""
    t, s = sp.symbols("t s")
    x = sp.Symbol("x")
    one = sp.S.Zero
    for a in range(c + 1):
        for b in range(d + 1):
            if a + b > 0:
                product = sp.Poly(x**a * (x**2 - 1) ** b, x)
                moment = sum(k * _moment(n) for (n,), k in product.terms())
                one += moment * t**a * s**b / (factorial(a) * factorial(b))
    total = sp.S.Zero
    for samples in range((c + d) // 2 + 1):  # each of them at least twice, as E x = E x² − 1 = 0
        choices = sp.ff(M - 1, samples) / factorial(samples)
        total += choices * sp.Poly(one**samples, t, s).coeff_monomial(t**c * s**d)
    return sp.expand(total * factorial(c) * factorial(d))


def _independent(i: int, j: int) -> sp.Expr:
    """Average μ_B^i (σ_B − 1)^j for independent Gaussian statistics."""
    if i % 2 or j % 2:
        return sp.S.Zero
    variances = (1 / M) ** (i // 2) * ((excess_kurtosis + 2) / (4 * M)) ** (j // 2)
    return variances * sp.factorial2(i - 1) * sp.factorial2(j - 1)


def _moment(n: int) -> sp.Expr:
    """Return E uⁿ of the standardized field."""
    known = (sp.S.One, sp.S.Zero, sp.S.One, skewness, excess_kurtosis + 3)
    return known[n] if n < len(known) else sp.Symbol(f"mu_{n}", real=True)


def _of_gaussian(expression: sp.Expr) -> sp.Expr:
    """Put the moments of a Gaussian for the symbols."""
    moments = {_moment(n): sp.factorial2(n - 1) if n % 2 == 0 else 0 for n in range(5, 25)}
    return expression.subs({skewness: 0, excess_kurtosis: 0, **moments})


def _truncate(expression: sp.Expr, order: int) -> sp.Expr:
    """Keep the powers of 1/M up to `order`."""
    inverse = sp.Symbol("x", positive=True)
    series = sp.Poly(sp.expand(expression.subs(M, 1 / inverse)), inverse)
    kept = sp.S.Zero
    for (power,), coefficient in series.terms():
        if power <= order:
            kept += sp.collect(sp.expand(coefficient), u, sp.factor) / M**power
    return kept


def _average(weight: sp.Expr, factor: sp.Expr, field: str) -> sp.Expr:
    """Average weight(u) factor(u), the weight a polynomial in u."""
    if field == "gaussian":
        weight = _of_gaussian(weight)
    total = sp.S.Zero
    for (n,), coefficient in sp.Poly(weight, u).terms():
        total += coefficient * _average_product(u**n * factor, field)
    return total


def _average_product(product: sp.Expr, field: str) -> sp.Expr:
    expanded = sp.expand(product)
    if expanded.is_polynomial(u):
        if field == "gaussian":
            return gaussian_average(expanded, (u,), _UNIT)
        if sp.degree(expanded, u) <= 4:
            return sum(k * _moment(n) for (n,), k in sp.Poly(expanded, u).terms())
    if field == "gaussian":
        terms = [_average_exponential(term) for term in sp.Add.make_args(expanded)]
        if None not in terms:
            return sp.Add(*terms)
        even = sp.simplify((product + product.subs(u, -u)) / 2)
        if even.is_polynomial(u):  # the logistic function is ½ plus an odd one
            return gaussian_average(even, (u,), _UNIT)
    density = _GAUSSIAN if field == "gaussian" else sp.Function("p")(u)
    return sp.Integral(density * product, (u, -sp.oo, sp.oo))


def _average_exponential(term: sp.Expr) -> sp.Expr | None:
    """Complete the square: E[exp(bu) F(u)] = exp(b²/2) E[F(u + b)], F a polynomial."""
    exponent = sum(power.args[0] for power in sp.Mul.make_args(term) if isinstance(power, sp.exp))
    polynomial = sp.simplify(term / sp.exp(exponent))
    rate = sp.diff(exponent, u)
    if rate.has(u) or not polynomial.is_polynomial(u):
        return None
    shifted = sp.expand(polynomial.subs(u, u + rate))
    return sp.exp(exponent - rate * u + rate**2 / 2) * gaussian_average(shifted, (u,), _UNIT)


def _log_partition(description: str | sp.Expr | None) -> sp.Expr:
    if description is None:
        return sp.Function("A")(phi)
    if isinstance(description, str):
        _check("log_partition", description, tuple(LOG_PARTITIONS))
        return LOG_PARTITIONS[description]
    if not isinstance(description, sp.Expr) or len(description.free_symbols) != 1:
        raise invalid(
            "log_partition",
            f"one of {', '.join(LOG_PARTITIONS)} or an expression in exactly one symbol",
            description,
            "Substitute numbers for its parameters.",
        )
    return description.subs(description.free_symbols.pop(), phi)


def _check(argument: str, value: str, allowed: tuple[str, ...]) -> None:
    choice(argument, value, allowed)


def _tidy(expression: sp.Expr) -> sp.Expr:
    if expression.has(sp.Integral):
        return sp.factor_terms(expression)
    return sp.factor(sp.expand(expression))
