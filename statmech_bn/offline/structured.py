r"""ε_g from P = αN samples whose inputs have a covariance, for a linear student, N → ∞.

Blocks i have eigenvalue λ_i, fraction f_i and teacher T_i (`statmech_bn.Spectrum`); σ_*² = Σλ_iT_i
and f_+ is the fraction of λ_i > 0. The effective ridge ν ≥ 0 solves

    λ_r = ν (α − Σ f_i λ_i/(λ_i + ν)).

The resolvent of C = X'X/N then has the deterministic equivalents

    λ_r (C + λ_r)⁻¹ ≃ ν (Σ + ν)⁻¹,
    λ_r² (C + λ_r)⁻¹ Σ (C + λ_r)⁻¹ ≃ ν² (Σ + ν)⁻¹ Σ (Σ + ν)⁻¹/(1 − Γ),
    Γ = (1/α) Σ f_i λ_i²/(λ_i + ν)²,     α (1 − Γ) = λ_r/ν + ν Σ f_i λ_i/(λ_i + ν)².

**Ridge regression**, v = (C + λ_r)⁻¹X'y/√N (Dobriban & Wager 2018; Hastie et al. 2022):

    ε_g = ½(b + n),     b = ν² Σ λ_iT_i/(λ_i + ν)²/(1 − Γ),     n = Δ² Γ/(1 − Γ).

**Least squares** is λ_r → 0. For α > f_+ then ν = 0, b = 0 and n = Δ² f_+/(α − f_+), whatever the
eigenvalues: least squares does not see an invertible map of the inputs.

**Batch normalization** at small learning rates, with s = s_M, its shrinkage.

α > f_+: least squares v shrunken to s v. As v is w* on average (in the data's span),

    ε_g = ½[(1 − s)² σ_*² + s² n].

α < f_+: weights are β(v + w⊥/β). Here v is the shortest interpolation, and w⊥ the part of w(0) that
is outside of the samples' span, where no gradient points. With the projector P on the span,
1 − P = lim λ_r (C + λ_r)⁻¹ ≃ ν (Σ + ν)⁻¹, so that v = Pw* + noise has

    |v|²/N = Σ T_i λ_i/(λ_i + ν) + Δ²/ν,     |w⊥|²/N = (1 − α) Q₀,

of which Δ²/ν is Δ² tr(XX'/N)⁻¹/N. The length at the end, Q_∞ = χQ₀, fixes β, and normalization by
the training set's spread makes the student's field s(v + w⊥/β)·x/√N, whose error has four parts:

    ε_g = ½[(1 − s)² σ_*² + 2 s (1 − s) c + s² (b + n + κ t)],
    c = w*'(1 − P) Σ w*/N = ν Σ λ_iT_i/(λ_i + ν),
    t = tr (1 − P) Σ (1 − P)/N = ν² Σ f_i λ_i/(λ_i + ν)²/(1 − Γ),
    κ = |w⊥/β|² by that of a w⊥ of unit density = (|v|²/N)/(χ − 1 + α).

With one block of λ = 1 all of this is `statmech_bn.offline.closed_forms`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from statmech_bn.spectrum import Spectrum

SMALLEST = 1e-280
"""A smaller λ_r changes nothing but at the peak, where ν is its root; λ_r/ν² would overflow."""
HALVINGS = 64
"""The interval of ln ν, at most some hundreds wide, is halved so often."""


def ridge_error(
    spectrum: Spectrum, alpha: np.ndarray, penalty: np.ndarray, noise: np.ndarray
) -> np.ndarray:
    """Return ε_g of ridge regression for arrays of α, λ_r and Δ of one shape."""
    parts = _Parts.of(spectrum, alpha, penalty)
    return 0.5 * (parts.bias + parts.noise(noise))


def batch_normalized_error(
    spectrum: Spectrum,
    alpha: np.ndarray,
    shrinkage: np.ndarray,
    noise: np.ndarray,
    growth: np.ndarray,
) -> np.ndarray:
    """Return ε_g of batch normalization for arrays of α, s_M, Δ and χ of one shape."""
    parts = _Parts.of(spectrum, alpha, np.zeros_like(alpha))
    lost = 1.0 - shrinkage
    shrunken = lost**2 * spectrum.teacher_variance
    with np.errstate(divide="ignore", invalid="ignore"):
        square = parts.length + np.where(noise > 0, noise**2 / parts.effective, 0.0)
        start = square / (growth - 1.0 + alpha) * parts.outside
    learned = parts.bias + parts.noise(noise) + np.where(parts.effective > 0, start, 0.0)
    return 0.5 * (shrunken + 2.0 * shrinkage * lost * parts.mixed + shrinkage**2 * learned)


def full_rank(spectrum: Spectrum) -> float:
    """Return f_+, the load from which samples span all directions that vary."""
    return 1.0 - float(spectrum.fractions[spectrum.eigenvalues == 0].sum())


@dataclass(frozen=True)
class _Parts:
    """What errors are made of, in the words of the module."""

    effective: np.ndarray
    """ν"""
    bias: np.ndarray
    """b"""
    unit_noise: np.ndarray
    """n at Δ = 1"""
    mixed: np.ndarray
    """c"""
    outside: np.ndarray
    """t"""
    length: np.ndarray
    """|v|²/N without label noise"""

    @classmethod
    def of(cls, spectrum: Spectrum, alpha: np.ndarray, penalty: np.ndarray) -> _Parts:
        """Sum over the blocks, along a last axis."""
        shape, alpha, penalty = alpha.shape, alpha.ravel(), penalty.ravel()
        values, shares, teacher = spectrum.eigenvalues, spectrum.fractions, spectrum.teacher
        seen = values > 0
        values, shares, teacher = values[seen], shares[seen], teacher[seen]
        excess = alpha - full_rank(spectrum)
        penalty = np.where((penalty < SMALLEST) & (excess != 0), 0.0, penalty)
        nu = _effective_ridge(values, shares, excess, penalty, alpha)
        share = 1.0 / (values + nu[:, None])  # 1/(λ_i + ν)
        with np.errstate(divide="ignore", invalid="ignore"):
            # α(1 − Γ)/ν; where ν = 0, it is what remains of λ_r/ν², times ν
            rest = penalty / nu / nu + share**2 @ (shares * values)
            found = {
                "effective": nu,
                "bias": alpha * nu * (share**2 @ (values * teacher)) / rest,
                "unit_noise": (share**2 @ (shares * values**2)) / (nu * rest),
                "mixed": nu * (share @ (values * teacher)),
                "outside": alpha * nu * (share**2 @ (shares * values)) / rest,
                "length": share @ (values * teacher),
            }
        free = nu == 0
        with np.errstate(divide="ignore"):
            whole = full_rank(spectrum) / np.maximum(alpha - full_rank(spectrum), 0.0)
        found["unit_noise"] = np.where(free, whole, found["unit_noise"])
        for name in ("bias", "outside"):
            found[name] = np.where(free, 0.0, found[name])
        return cls(**{name: part.reshape(shape) for name, part in found.items()})

    def noise(self, label_noise: np.ndarray) -> np.ndarray:
        """Return n; without label noise it is 0 at the peak, too."""
        with np.errstate(invalid="ignore"):
            return np.where(label_noise > 0, label_noise**2 * self.unit_noise, 0.0)


def _effective_ridge(
    values: np.ndarray,
    shares: np.ndarray,
    excess: np.ndarray,
    penalty: np.ndarray,
    alpha: np.ndarray,
) -> np.ndarray:
    """Solve for ν > 0; 0 where λ_r = 0 and there are samples enough, `excess` = α − f_+ ≥ 0.

    Σ f_i λ_i/(λ_i + ν) is at least what it is for the smallest λ alone, and at most Σ f_i λ_i/ν:
    these bracket ν. The root is found in ln ν. Blocks of λ_i > ν are counted from f_i, those of
    λ_i < ν from 0, so that no digits cancel.
    """
    found = np.zeros(alpha.shape)
    solve = (penalty > 0) | (excess < 0)
    if not solve.any():
        return found
    a, e, p = alpha[solve], excess[solve], penalty[solve]

    def balance(nu: np.ndarray) -> np.ndarray:
        """α − Σ f_i λ_i/(λ_i + ν) − λ_r/ν, where f_i λ_i/(λ_i + ν) = f_i − f_i ν/(λ_i + ν)."""
        ratio = 1.0 / (values + nu[:, None])
        stiff = values > nu[:, None]
        left = np.where(stiff.any(axis=1), e + ~stiff @ shares, a)
        return left + np.where(stiff, nu[:, None], -values) * ratio @ shares - p / nu

    low = np.log(np.maximum(p, -e * values.min())) - np.log(a)
    high = np.log(p + shares @ values) - np.log(a)
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        beyond = balance(np.exp(middle)) > 0
        low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
    nu = np.exp(0.5 * (low + high))
    slope = (1.0 / (values + nu[:, None])) ** 2 @ (shares * values) + p / nu / nu
    found[solve] = nu - balance(nu) / slope  # Newton's step takes the rounding of ln ν away
    return found
