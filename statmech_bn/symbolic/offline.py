r"""Generalization from P = αN samples: ridge regression and batch normalization, linear student.

Ridge regression minimizes ½Σ(y − v·x/√N)² + (λ_r/2)|v|². With C = Σ x x'/N of eigenvalues c, the
minimum has the components v = (c w* + √c Δξ)/(c + λ_r) along C's eigenvectors, w* and ξ unit
Gaussians, so that the error needs nothing but the resolvent G(λ_r) = tr (C + λ_r)⁻¹/N:

    ε_g = ½ E(v − w*)² = ½[−λ_r² G' + Δ²(G + λ_r G')].

By Sherman and Morrison a sample has the quadratic form x'(C + λ_r)⁻¹x/N = G/(1 + G), and the sum
over all samples gives λ_r G + αG/(1 + G) = 1. Every component is shrunk on average by 1/(1 + κ),
λ_r G = κ/(1 + κ); κ, the ridge that a training set without end would need for that, makes the
error rational. Penalizing ζγ² under population normalization is ridge with λ_r = 2αζ.

Batch normalization divides by the *training set's* spread of h, which no part of w outside of the
data's span changes. In the limit of small learning rates (this project's)

- α > 1: it is least squares shrunk by s_M, where γ stops (`linear_scale`, `spread_moment`);
- α < 1: it interpolates, shrunk by s_M, and keeps the (1 − α)Q₀ of |w(0)|²/N that lies outside of
  the span. The scale that makes the inside, Q_∞ − (1 − α)Q₀, equal to the |v|²/N of least squares
  multiplies the outside too: it adds ½s_M²κ, κ = |v|²(1 − α)Q₀/(N (Q_∞ − (1 − α)Q₀)).

For α > 1 there is one more effect of small batches, of order M⁻²: w stops where the batches' mean
gradient vanishes, which weights a sample by E[(1 − 1/M − û²/M)/s | u] instead of evenly
(`weight_variance`, `uneven_weights_error`).

References
----------
A. Krogh, J. Hertz, J. Phys. A 25 (1992) 1135; P. Luo et al., ICLR 2019, arXiv:1809.00846.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import sympy as sp

from statmech_bn.checks import as_expression, flag
from statmech_bn.symbolic.gamma_decay import linear_scale
from statmech_bn.symbolic.gaussian import gaussian_average
from statmech_bn.symbolic.symbols import Delta, M

__all__ = [
    "alpha",
    "batch_normalized_error",
    "best_batch_size",
    "best_ridge",
    "best_scale",
    "effective_ridge",
    "growth",
    "least_squares_error",
    "resolvent",
    "ridge",
    "ridge_error",
    "ridge_error_of_effective",
    "ridge_of_effective",
    "shrinkage",
    "uneven_weights_error",
    "weight_variance",
    "weight_variance_ratio",
]

alpha = sp.Symbol("alpha", positive=True)
"""Load α = P/N, the number of training samples over the dimension of the inputs."""
ridge = sp.Symbol("lambda_r", positive=True)
"""Coefficient of the penalty (λ_r/2)|v|² beside the sum of squared errors over all samples."""
effective_ridge = sp.Symbol("lambda_e", positive=True)
"""Effective ridge λ_e: components are shrunk on average by 1/(1 + λ_e)."""
shrinkage = sp.Symbol("s_M", positive=True)
"""Factor s_M by which batches of M samples shrink γ."""
growth = sp.Symbol("chi", positive=True)
"""Growth χ = Q_∞/Q₀ ≥ 1 of the squared length during training."""


@lru_cache(maxsize=1)
def resolvent() -> sp.Expr:
    """Derive G(λ_r), the only positive solution of λ_r G + αG/(1 + G) = 1."""
    trace, form = sp.symbols("G q", real=True)
    # (C + λ)⁻¹x = A⁻¹x − A⁻¹x (x'(C + λ)⁻¹x/N), with A the matrix without this sample
    quadratic_form = sp.solve(form - trace * (1 - form), form)[0]
    roots = sp.solve(ridge * trace + alpha * quadratic_form - 1, trace)
    somewhere = {alpha: 1, ridge: 1}  # the product of the roots is −1/λ_r everywhere
    return next(root for root in roots if root.subs(somewhere) > 0)


def ridge_error(explicit: bool = True) -> sp.Expr:
    """Derive ε_g of ridge regression.

    Parameters
    ----------
    explicit : bool
        Insert G as a function of `alpha` and `ridge`; otherwise it stays the undefined G(λ_r).

    Returns
    -------
    sympy.Expr

    Examples
    --------
    >>> ridge_error(explicit=False).coeff(Delta, 0)
    -lambda_r**2*Derivative(G(lambda_r), lambda_r)/2
    """
    function = sp.Function("G")(ridge)
    error = _error_of_components(function)
    explicit = flag("explicit", explicit)
    return sp.factor(error.subs(function, resolvent()).doit()) if explicit else error


def _error_of_components(trace: sp.Expr) -> sp.Expr:
    """Average ½(v − w*)² over the eigenvectors: (c + λ_r)⁻¹ ↦ G, (c + λ_r)⁻² ↦ −G'."""
    teacher, noise = sp.symbols("w_* xi", real=True)
    inverse, root = sp.symbols("r c_root", positive=True)
    student = inverse * (root**2 * teacher + root * Delta * noise)
    square = gaussian_average((student - teacher) ** 2, (teacher, noise), sp.eye(2)) / 2
    in_inverse = sp.expand(sp.expand(square).subs(root, sp.sqrt(1 / inverse - ridge)))
    averages = {1: trace, 2: -sp.diff(trace, ridge)}
    parts = sp.collect(in_inverse, Delta**2, evaluate=False)
    return sp.Add(
        *(
            factor * sum(k * averages[n] for (n,), k in sp.Poly(part, inverse).terms())
            for factor, part in parts.items()
        )
    )


@lru_cache(maxsize=1)
def ridge_of_effective() -> sp.Expr:
    """Solve for λ_r at given λ_e: λ_r = λ_e(α − 1/(1 + λ_e))."""
    trace = effective_ridge / (ridge * (1 + effective_ridge))
    return sp.factor(sp.solve(ridge * trace + alpha * trace / (1 + trace) - 1, ridge)[0])


@lru_cache(maxsize=1)
def ridge_error_of_effective() -> sp.Expr:
    """Derive ε_g of ridge regression as a rational function of `alpha` and `effective_ridge`."""
    given = ridge_of_effective()
    trace = effective_ridge / (given * (1 + effective_ridge))
    slope = sp.diff(trace, effective_ridge) / sp.diff(given, effective_ridge)
    function = sp.Function("G")(ridge)
    error = _error_of_components(function).subs(sp.diff(function, ridge), slope)
    return sp.factor(error.subs({function: trace, ridge: given}))


def best_ridge() -> tuple[sp.Expr, sp.Expr]:
    """Derive the ridge of least ε_g and the gamma decay ζ* that it corresponds to.

    Returns
    -------
    tuple of sympy.Expr
        λ_r and ζ*.

    Examples
    --------
    >>> best_ridge()
    (Delta**2, Delta**2/(2*alpha))
    """
    stationary = sp.numer(sp.together(sp.diff(ridge_error_of_effective(), effective_ridge)))
    noise = sp.Symbol("Delta_squared")
    (square,) = sp.solve(sp.expand(stationary).subs(Delta**2, noise), noise)
    optimum = Delta**2 * sp.cancel(ridge_of_effective() / square)
    return optimum, optimum / (2 * alpha)


@lru_cache(maxsize=1)
def least_squares_error() -> sp.Piecewise:
    """Derive the limit λ_r → 0 of :func:`ridge_error` on both sides of the peak at α = 1."""
    return _piecewise(_small_ridge(ridge_error(), side) for side in (-1, 1))


@lru_cache(maxsize=1)
def batch_normalized_error() -> sp.Piecewise:
    """Derive ε_g of batch normalization at small learning rates.

    Returns
    -------
    sympy.Piecewise
        A function of α, Δ, `shrinkage` and, for α < 1, `growth`.
    """
    errors = []
    for span in (alpha, sp.S.One):  # the part of the N directions that the data span
        noise = _noise_in_span(1 if span == 1 else -1)
        length = span + noise  # |v|²/N of least squares: the teacher's part in the span, and noise
        unlearned = 1 - span
        start = length * unlearned / (growth - unlearned)
        # v − w* in four orthogonal parts: teacher and noise inside, teacher and start outside
        inside = span * (shrinkage - 1) ** 2 + shrinkage**2 * noise
        errors.append((inside + unlearned + shrinkage**2 * sp.factor(start)) / 2)
    return _piecewise(errors)


@lru_cache(maxsize=1)
def weight_variance_ratio() -> tuple[sp.Expr, sp.Symbol]:
    """Derive the ratio of successive terms in Var ψ, with ψ the weights that batches give samples.

    ψ(u) = ∂E[û | u]/∂u has E[ψ He_2n] = E[û He_2n+1(u)]. In a batch u = ū + d, and the mean over
    ū leaves σ^(2n+1) He_2n+1(d/σ), σ² = 1 − 1/M. The unit Gaussian d/σ is one coordinate g of
    M − 1, their length is r, and û ∝ g/r. With 1/r = √(2/π) ∫ exp(−x²r²/2) dx all averages are
    Gaussian: (1 + x²)^(−(M + 1)/2), times E[g He_2n+1(g/√(1 + x²))], which is proportional to
    (2n + 1)!! (−x²/(1 + x²))^n.

    Returns
    -------
    tuple of sympy.Expr
        Term n + 1 over term n of Σ E[ψ He_2n]²/(2n)!, and n. The term n = 0 is (E ψ)² = s_M².
    """
    n = sp.Symbol("n", integer=True, nonnegative=True)
    return sp.factor(sp.hypersimp(_weight_term(n), n)), n


def weight_variance() -> sp.Expr:
    """Sum :func:`weight_variance_ratio` to Var ψ/(E ψ)².

    Returns
    -------
    sympy.Expr
        A function of ``M``.

    Examples
    --------
    >>> weight_variance()
    hyper((1/2, 3/2, 3/2), (M/2 + 1/2, M/2 + 1/2), (M - 1)**2/M**2) - 1
    """
    n = sp.Symbol("n", integer=True, nonnegative=True)
    term = _weight_term(n)
    total = sp.summation(term, (n, 0, sp.oo))
    (square,) = total.atoms(sp.hyper)  # its first term is 1, as it is here
    return square - 1


def _weight_term(n: sp.Symbol) -> sp.Expr:
    """Return E[ψ He_2n]²/(2n)!, up to a factor."""
    x = sp.Symbol("x", positive=True)
    kernel = x ** (2 * n) * (1 + x**2) ** (-(M + 1) / 2 - n)
    integral = sp.integrate(kernel, (x, 0, sp.oo))
    projection = (1 - 1 / M) ** n * sp.factorial2(2 * n + 1) * integral
    return (projection**2 / sp.factorial(2 * n)).rewrite(sp.gamma)


def uneven_weights_error(variance: sp.Expr | None = None) -> sp.Expr:
    """Derive by how much uneven weights of the samples make least squares worse, for α > 1.

    With weights ψ, v changes by C⁻¹ Σ (ψ − 1) e x/√N. The residuals e keep Δ²(1 − 1/α) of the
    noise, so that the noise of least squares grows by Var ψ (1 − 1/α), to first order in Var ψ.

    Parameters
    ----------
    variance : sympy.Expr, optional
        Var ψ/(E ψ)², by default :func:`weight_variance`, that is 9/(2M²) for large M.

    Returns
    -------
    sympy.Expr
        To be added to `batch_normalized_error`.

    Examples
    --------
    >>> sp.factor(uneven_weights_error(1) / _noise_in_span(1))
    s_M**2*(alpha - 1)/(2*alpha)
    """
    spread = weight_variance() if variance is None else as_expression("variance", variance)
    return shrinkage**2 * _noise_in_span(1) * spread * (1 - 1 / alpha) / 2


def best_scale() -> sp.Piecewise:
    """Derive the s_M of least ε_g under batch normalization.

    Returns
    -------
    sympy.Piecewise
        Over α < 1 and α > 1, in `alpha`, ``Delta`` and `growth`.
    """
    return _piecewise(
        sp.factor(sp.solve(sp.diff(branch.expr, shrinkage), shrinkage)[0])
        for branch in batch_normalized_error().args
    )


def best_batch_size() -> sp.Piecewise:
    """Derive the best batch size M* to leading order, with s_M = 1 − 3/(4M).

    Returns
    -------
    sympy.Piecewise
        Over α < 1 and α > 1, in `alpha`, ``Delta`` and `growth`.

    Examples
    --------
    >>> best_batch_size().args[1].expr
    3*(Delta**2 + alpha - 1)/(4*Delta**2)
    """
    return _piecewise(
        sp.factor(sp.solve(linear_scale(1) - branch.expr, M)[0]) for branch in best_scale().args
    )


def _noise_in_span(side: int) -> sp.Expr:
    """Return the squared error per direction that the noise adds to least squares."""
    return 2 * Delta**2 * _small_ridge(sp.expand(ridge_error()).coeff(Delta, 2), side)


def _small_ridge(error: sp.Expr, side: int) -> sp.Expr:
    """Take λ_r → 0 for α = 1 + side·distance."""
    distance = sp.Symbol("d", positive=True)
    limit = sp.limit(error.subs(alpha, 1 + side * distance), ridge, 0, "+")
    by_noise = sp.collect(sp.expand(limit), Delta, sp.factor)
    return by_noise.subs(distance, side * (alpha - 1))


def _piecewise(branches: Iterable[sp.Expr]) -> sp.Piecewise:
    below, above = branches
    return sp.Piecewise((below, alpha < 1), (above, alpha > 1))
