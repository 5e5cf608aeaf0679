r"""ε_g of ridge regression, least squares and batch normalization for a linear student, N → ∞.

`statmech_bn.symbolic.offline` derives the formulas; here they become functions of arrays. Ridge
regression takes the effective ridge λ_e, the positive root of αλ_e² + (α − 1 − λ_r)λ_e = λ_r, in

    ε_g = ½(αλ_e² + Δ²)/((1 + λ_e) S),     S² = (1 − α)² + 2λ_r(1 + α) + λ_r²,

where S = (1 + λ_e) dλ_r/dλ_e: all terms are positive, so that no digits cancel near α = 1, for
small λ_r or for large α.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeGuard

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import poch

from statmech_bn.checks import UNREADABLE, flag, instance
from statmech_bn.codegen import numpy_function
from statmech_bn.errors import invalid
from statmech_bn.offline import structured
from statmech_bn.spectrum import Spectrum
from statmech_bn.symbolic import Delta, M, offline

LARGEST = 1e100
"""Load, ridge and noise are at most this; squares of larger numbers overflow."""
SMALLEST_BATCH = 3.0
TERMS = 60
"""The series for uneven weights has so many terms, which fall by (1 − 1/M)² and faster."""


def ridge(
    load: ArrayLike,
    ridge: ArrayLike,
    label_noise: ArrayLike,
    spectrum: Spectrum | None = None,
) -> np.ndarray:
    """Return ε_g of ridge regression, ½Σ(y − v·x/√N)² + (λ_r/2)|v|².

    A population-normalized student with gamma decay ζ is ridge regression with λ_r = 2αζ.

    Parameters
    ----------
    load : array_like
        α = P/N > 0.
    ridge : array_like
        λ_r ≥ 0; 0 is the limit of least squares.
    label_noise : array_like
        Δ ≥ 0.
    spectrum : Spectrum, optional
        Of the inputs' covariance, see `statmech_bn.offline.structured`; by default λ = 1.

    Returns
    -------
    ndarray
        ½E(v·x/√N − h*)² on a fresh input, of the shape that the arguments broadcast to.

    Raises
    ------
    InvalidSetup
        An argument is out of range, or the shapes do not broadcast.

    References
    ----------
    A. Krogh, J. Hertz, J. Phys. A 25 (1992) 1135.

    Examples
    --------
    >>> float(ridge(1.5, [0.05, 0.5], 0.5).round(4)[0])
    0.1696
    """
    alpha, penalty, noise = _broadcast(
        ("load", load, 0.0), ("ridge", ridge, 0.0), ("label_noise", label_noise, 0.0)
    )
    if _structured(spectrum):
        return structured.ridge_error(spectrum, alpha, penalty, noise)
    gap = 1.0 - alpha
    root = np.hypot(np.hypot(gap, penalty), np.sqrt(2.0 * penalty * (1.0 + alpha)))
    larger = 0.5 * (root + np.abs(gap + penalty))
    with np.errstate(invalid="ignore"):  # 0/0 at the peak
        # αλ_e is the larger of the two roots, or αλ_r (their product) by it
        effective = np.where(gap + penalty >= 0, larger / alpha, penalty / larger)
        error = _ridge_error()(alpha, effective, noise, root)[0]
    return _at_peak(error, (alpha == 1) & (penalty == 0), noise, (np.inf, 0.0))


def least_squares(
    load: ArrayLike, label_noise: ArrayLike, spectrum: Spectrum | None = None
) -> np.ndarray:
    """Return ε_g of least squares, of the smallest |v| where α < 1 leaves a choice.

    Parameters
    ----------
    load, label_noise : array_like
        α > 0 and Δ ≥ 0.
    spectrum : Spectrum, optional
        Of the inputs' covariance, see `statmech_bn.offline.structured`; by default λ = 1.

    Returns
    -------
    ndarray
        Infinite at α = 1 (the fraction of λ > 0 with a spectrum), unless Δ = 0.

    Raises
    ------
    InvalidSetup
        An argument is out of range, or the shapes do not broadcast.

    Examples
    --------
    >>> least_squares([0.5, 1, 2], 0.5)
    array([0.375,   inf, 0.125])
    """
    alpha, noise = _broadcast(("load", load, 0.0), ("label_noise", label_noise, 0.0))
    if _structured(spectrum):
        return structured.ridge_error(spectrum, alpha, np.zeros_like(alpha), noise)
    return _on_both_sides(_least_squares_errors(), alpha, noise, (np.inf, 0.0), alpha, noise)


def batch_normalized(
    load: ArrayLike,
    batch_size: ArrayLike,
    label_noise: ArrayLike,
    growth: ArrayLike = 1.0,
    uneven_weights: bool = False,
    spectrum: Spectrum | None = None,
) -> np.ndarray:
    """Return ε_g of batch normalization trained at small learning rates.

    Parameters
    ----------
    load : array_like
        α > 0.
    batch_size : array_like
        M ≥ 3; infinite for the mean over all batches.
    label_noise : array_like
        Δ ≥ 0.
    growth : array_like
        Q_∞/Q₀ ≥ 1, by how much training has made |w|² longer; it matters for α < 1 only. 1 is
        the limit of small learning rates, inf forgets the initial weights.
    uneven_weights : bool
        Count what batches lose for α > 1 by weighting samples unevenly, an error of order M⁻²
        (`statmech_bn.symbolic.offline.uneven_weights_error`, to first order in the variance of the
        weights); otherwise it is least squares shrunken by s_M.
    spectrum : Spectrum, optional
        Of the inputs' covariance, see `statmech_bn.offline.structured`; by default λ = 1.

    Returns
    -------
    ndarray
        Infinite at α = 1 (the fraction of λ > 0 with a spectrum), unless Δ = 0. Fresh inputs are
        normalized by the statistics of the training set.

    Raises
    ------
    InvalidSetup
        An argument is out of range, or the shapes do not broadcast.

    Notes
    -----
    Valid for η → 0 at given growth: the noise of the batches at finite η is left out.

    Examples
    --------
    >>> float(batch_normalized(0.5, 10, 0.5, growth=3.9).round(4))
    0.4049
    """
    alpha, size, noise, chi = _broadcast(
        ("load", load, 0.0),
        ("batch_size", batch_size, SMALLEST_BATCH),
        ("label_noise", label_noise, 0.0),
        ("growth", growth, 1.0),
    )
    shrinkage, full = _shrinkage(size), 1.0
    if _structured(spectrum):
        full = structured.full_rank(spectrum)
        error = structured.batch_normalized_error(spectrum, alpha, shrinkage, noise, chi)
    else:
        error = _on_both_sides(
            _batch_errors(),
            alpha,
            noise,
            (np.inf, 0.5 * (1 - shrinkage) ** 2),
            alpha,
            shrinkage,
            noise,
            chi - 1.0,
        )
    if not flag("uneven_weights", uneven_weights):
        return error
    # the residuals of least squares are those of α/f_+ samples for each direction that varies
    more = _uneven_weights_error()(alpha / full, shrinkage, noise, _weight_variance(size))[0]
    return error + np.where(alpha > full, more, 0.0)


def best_batch_size(load: ArrayLike, label_noise: ArrayLike, growth: ArrayLike = 1.0) -> np.ndarray:
    """Return the batch size M* at which :func:`batch_normalized` is least.

    `statmech_bn.symbolic.offline.best_batch_size` is its leading order in 1/M.

    Parameters
    ----------
    load, label_noise, growth : array_like
        As for :func:`batch_normalized`.

    Returns
    -------
    ndarray
        M* as a real number; 3, the smallest batch, where smaller ones would be better still, and
        infinite where shrinking does not help (Δ = 0 and α > 1).

    Raises
    ------
    InvalidSetup
        An argument is out of range, or the shapes do not broadcast.

    Examples
    --------
    >>> float(best_batch_size(2.0, 0.5).round(2))
    4.04
    """
    alpha, noise, chi = _broadcast(
        ("load", load, 0.0), ("label_noise", label_noise, 0.0), ("growth", growth, 1.0)
    )
    best = _on_both_sides(_best_scales(), alpha, noise, (0.0, 1.0), alpha, noise, chi)
    return np.vectorize(_size_of_shrinkage, otypes=[float])(best)


def _structured(spectrum: Spectrum | None) -> TypeGuard[Spectrum]:
    """Say whether inputs have another spectrum than λ = 1."""
    if spectrum is None:
        return False
    return not instance("spectrum", spectrum, Spectrum, "sbn.Spectrum(...)").isotropic


def _shrinkage(size: np.ndarray) -> np.ndarray:
    """Return s_M = √(2/M) Γ(M/2)/Γ((M − 1)/2), the mean spread of M unit Gaussians."""
    finite = np.where(np.isinf(size), 1e16, size)
    return np.sqrt(2.0 / finite) * poch((finite - 1.0) / 2.0, 0.5)


def _weight_variance(size: np.ndarray) -> np.ndarray:
    """Return Var ψ/(E ψ)² of the weights that batches give samples."""
    ratios = _weight_variance_ratio()(np.arange(TERMS), np.minimum(size, 1e16)[..., None])[0]
    return np.cumprod(ratios, axis=-1).sum(axis=-1)


def _size_of_shrinkage(shrinkage: float) -> float:
    if shrinkage <= _shrinkage(np.array(SMALLEST_BATCH)):
        return SMALLEST_BATCH
    if shrinkage >= 1:
        return np.inf
    return float(brentq(lambda m: _shrinkage(np.array(m)) - shrinkage, SMALLEST_BATCH, 1e16))


@lru_cache(maxsize=1)
def _ridge_error() -> Callable[..., tuple[np.ndarray, ...]]:
    """Compile ε_g of (α, λ_e, Δ, S)."""
    root, effective = sp.Symbol("S", positive=True), offline.effective_ridge
    slope = sp.diff(offline.ridge_of_effective(), effective)
    smooth = sp.factor(offline.ridge_error_of_effective() * slope * (1 + effective))
    return numpy_function([smooth / root], [offline.alpha, effective, Delta, root])


@lru_cache(maxsize=1)
def _least_squares_errors() -> list[Callable[..., tuple[np.ndarray, ...]]]:
    return _branches(offline.least_squares_error(), offline.alpha, Delta)


@lru_cache(maxsize=1)
def _batch_errors() -> list[Callable[..., tuple[np.ndarray, ...]]]:
    """Compile ε_g of (α, s_M, Δ, χ − 1): χ − 1 + α loses digits in any other order."""
    more = sp.Symbol("more", nonnegative=True)
    error = offline.batch_normalized_error().subs(offline.growth, 1 + more)
    return _branches(error, offline.alpha, offline.shrinkage, Delta, more)


@lru_cache(maxsize=1)
def _weight_variance_ratio() -> Callable[..., tuple[np.ndarray, ...]]:
    ratio, n = offline.weight_variance_ratio()
    return numpy_function([ratio], [n, M])


@lru_cache(maxsize=1)
def _uneven_weights_error() -> Callable[..., tuple[np.ndarray, ...]]:
    variance = sp.Symbol("variance", positive=True)
    arguments = (offline.alpha, offline.shrinkage, Delta, variance)
    return numpy_function([offline.uneven_weights_error(variance)], arguments)


@lru_cache(maxsize=1)
def _best_scales() -> list[Callable[..., tuple[np.ndarray, ...]]]:
    return _branches(offline.best_scale(), offline.alpha, Delta, offline.growth)


def _branches(
    piecewise: sp.Piecewise, *arguments: sp.Symbol
) -> list[Callable[..., tuple[np.ndarray, ...]]]:
    """Compile the two sides of α = 1, the smaller loads first."""
    return [numpy_function([branch.expr], arguments) for branch in piecewise.args]


def _on_both_sides(
    sides: list[Callable[..., tuple[np.ndarray, ...]]],
    alpha: np.ndarray,
    noise: np.ndarray,
    limits: tuple[ArrayLike, ArrayLike],
    *arguments: np.ndarray,
) -> np.ndarray:
    below, above = (side(*arguments)[0] for side in sides)
    return _at_peak(np.where(alpha < 1, below, above), alpha == 1, noise, limits)


def _at_peak(
    values: np.ndarray, peak: np.ndarray, noise: np.ndarray, limits: tuple[ArrayLike, ArrayLike]
) -> np.ndarray:
    """Put the limits α → 1, with label noise and without."""
    with_noise, without_noise = limits
    return np.where(peak, np.where(noise > 0, with_noise, without_noise), values)


def _broadcast(*arguments: tuple[str, ArrayLike, float]) -> list[np.ndarray]:
    """Check (name, values, minimum) and broadcast."""
    arrays = []
    for name, values, minimum in arguments:
        try:
            given = np.asarray(values)
            with np.errstate(over="ignore"):  # what is beyond floats is beyond `LARGEST`
                array = given.astype(float) if given.dtype.kind in "buifO" else np.array(np.nan)
        except UNREADABLE as error:
            raise invalid(name, "numbers", values) from error
        infinite_allowed = name in ("batch_size", "growth")
        inside = (array >= minimum) & ((array <= LARGEST) | (infinite_allowed & np.isinf(array)))
        if name == "load":
            inside &= array >= 1 / LARGEST
        if not inside.all():
            bound = "> 0" if name == "load" else f"≥ {minimum:g}"
            raise invalid(name, f"numbers {bound}, at most {LARGEST:g}", values)
        arrays.append(array)
    try:
        return list(np.broadcast_arrays(*arrays))
    except ValueError as error:
        names = ", ".join(name for name, *_ in arguments)
        shapes = tuple(array.shape for array in arrays)
        raise invalid(names, "shapes that broadcast", shapes) from error
