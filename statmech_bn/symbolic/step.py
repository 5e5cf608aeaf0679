r"""One step of gradient descent, once: what every simulation prints, whatever the normalization.

For a sample with the field f (of any unit), the mean and the variance s of the fields that it is
normalized with, û = (f − mean)/√s and the label y,

    error        δ = g'(γû)(y − g(γû))
    gradient     c = (ηγ/(M√s)) {δ − [statistics of the batch] (mean δ + û mean(δû))}
    scale        γ ← γ + (η_γ/N)(mean(δû) − 2ζγ)
    weights      w ← (1 − ηλ/N) w + Σ c x − [spread of the weights] (ηγ/s) mean(δû) Σw.

The means of δ and δû in c are over the samples that share statistics, that in the scale over all.
Without a scale γ = 1, s is a constant, and neither bracket is there.

For Gaussian inputs a step is known from few sums. Along w, along the rest of w*, and along all
other directions together, Σ c x has the components Σ c u, Σ c v and √(X Σ c²), X ~ χ²(N−2); in
units of √N, w is (√Q, 0, 0) and w* is (R, √(1−R²), 0). With κ = 1 − ηλ/N and a unit of (η/N) for c,

    w ← κ (√Q, 0, 0) + unit (Σ c u, Σ c v, √(X Σ c²)),     ρ = w·w*/N,     Q = |w|²/N,

where Σ c u = 0 for all students with a scale, whose steps are orthogonal to w.

With a covariance, `statmech_bn.online.chain.blocks` has the step of a component x in a block of
eigenvalue λ, by Matheron's rule from n ~ N(0, 1): κ x + noise √λ n + to_u √λ p₁ + to_v √λ (sin p₂).
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from statmech_bn.activations import z
from statmech_bn.normalization import Normalization
from statmech_bn.symbolic.symbols import M, eta, eta_gamma, zeta

field, centre, normalized, label = sp.symbols("f centre u y", real=True)
"""A sample has the field f, the mean that f is normalized by, û and the label y."""
variance = sp.Symbol("s", positive=True)
"""Variance that the field is normalized by."""
scale = sp.Symbol("gamma", real=True)
"""Scale γ, of either sign."""
delta, average, along = sp.symbols("delta average along", real=True)
"""Error δ, and the means of δ and of δû over the samples that share statistics."""
pull = sp.Symbol("pull", real=True)
"""Mean of δû over all samples of the step."""
weight, change, spun = sp.symbols("w change spun", real=True)
"""One component each of w, of Σ c x, and of Σw."""
decay = sp.Symbol("lambda", real=True)
"""Weight decay of a step, λ/N."""
rho, root, sine = sp.symbols("rho root sine", real=True)
"""ρ, √Q and √(1−R²) before a step."""
keep, unit, gamma_unit = sp.symbols("keep unit gamma_unit", real=True)
"""κ, the unit of c in a step, and η_γ/N."""
cu, cv = sp.symbols("cu cv", real=True)
"""Σ c u and Σ c v."""
rest = sp.Symbol("rest", nonnegative=True)
"""X Σ c²."""
x, tau, n, root_eigenvalue = sp.symbols("x tau n root_lambda", real=True)
"""A component of w, that of w*, its number, and √λ of its block."""
beyond = sp.Symbol("beyond", nonnegative=True)
"""√χ²(N_i−2), the length of what is outside of the span of w and w*."""
spread, spread_of_teacher, cosine = sp.symbols("sigma_h sigma_t R", real=True)
"""σ_h, σ_* and their correlation."""
to_u, to_v, turn, noise = sp.symbols("to_u to_v turn noise", real=True)
"""What Matheron's rule adds along p₁ and (sin p₂), s̄ without its λ, and |c| in units of a step."""
own, towards = sp.symbols("own towards", real=True)
"""What multiplies λ x and λ τ."""
REGRESSION = (to_u, to_v, cosine, spread, spread_of_teacher)
"""What `regression` is a function of."""
COMPONENT = (x, tau, n, root_eigenvalue, keep, turn, own, towards, noise)
"""What a component after a step is a function of."""
REST = (x, beyond, root_eigenvalue, noise)
"""What a rest after a step is a function of."""
WEIGHTS = (rho, root, sine, keep, unit, cu, cv, rest)
"""What ρ and Q after a step of the chain are functions of."""
SCALE = (scale, gamma_unit, zeta, pull)
"""What γ after a step is a function of."""


@dataclass(frozen=True)
class Step:
    """Expressions of a step, in the symbols of this module.

    Attributes
    ----------
    normalized, error, gradient, scale, weights : sympy.Expr
        û, δ, c, and γ and a component of w after the step.
    """

    normalized: sp.Expr
    error: sp.Expr
    gradient: sp.Expr
    scale: sp.Expr
    weights: sp.Expr


def gradient_step(rule: Normalization, value: sp.Expr, slope: sp.Expr) -> Step:
    """Write the step of a student.

    Parameters
    ----------
    rule : Normalization
    value, slope : sympy.Expr
        g and g' as functions of ``statmech_bn.activations.z``.

    Returns
    -------
    Step

    Examples
    --------
    >>> from statmech_bn.normalization import normalization
    >>> gradient_step(normalization("weight"), z, sp.S.One).gradient
    delta*eta*gamma/(M*sqrt(s))
    """
    u = (field - centre) / sp.sqrt(variance)
    error = error_signal(value, slope, label, scale * u)
    passed = passed_back() if rule.of_batch else delta
    gradient = eta * scale / (M * sp.sqrt(variance)) * passed
    grown = scale_step().subs(gamma_unit, eta_gamma) if rule.has_scale else scale
    moved = (1 - eta * decay) * weight + change
    if rule.by_length:
        moved -= eta * scale / variance * pull * spun
    return Step(u, error, gradient, grown, moved)


def error_signal(value: sp.Expr, slope: sp.Expr, target: sp.Expr, phi: sp.Expr) -> sp.Expr:
    """Write δ for a label and an argument of g."""
    return slope.xreplace({z: phi}) * (target - value.xreplace({z: phi}))


def passed_back(error: sp.Expr = delta) -> sp.Expr:
    """Write P δ, what of an error passes back through statistics of the samples."""
    return error - average - normalized * along


def chain_step(has_scale: bool) -> tuple[sp.Expr, sp.Expr]:
    """Write ρ and Q after a step of the chain, as functions of `WEIGHTS`.

    Parameters
    ----------
    has_scale : bool
        Whether the step is orthogonal to w.

    Returns
    -------
    tuple of sympy.Expr

    Examples
    --------
    >>> chain_step(has_scale=True)[0]
    cv*sine*unit + keep*rho
    """
    parallel = sp.S.Zero if has_scale else cu
    weights = sp.Matrix([keep * root + unit * parallel, unit * cv, unit * sp.sqrt(rest)])
    teacher = sp.Matrix([rho / root, sine, 0])
    return sp.expand(weights.dot(teacher)), weights.dot(weights)


def regression() -> tuple[sp.Expr, sp.Expr]:
    """Write what multiplies λ x and λ τ in to_u √λ p₁ + to_v √λ (sin p₂), of `REGRESSION`."""
    first = root_eigenvalue * x / spread
    second = root_eigenvalue * tau / spread_of_teacher - cosine * first
    added = sp.expand((to_u * first + to_v * second) / root_eigenvalue)
    return added.coeff(x), added.coeff(tau)


def component_step(by_covariance: bool) -> sp.Expr:
    """Write a component x after a step, as a function of `COMPONENT`.

    Parameters
    ----------
    by_covariance : bool
        Whether the step is orthogonal to w in the sense of the fields: s̄ is then λ times `turn`.

    Returns
    -------
    sympy.Expr
    """
    eigenvalue = root_eigenvalue**2
    kept = keep - turn * (eigenvalue if by_covariance else 1)
    return (kept + own * eigenvalue) * x + towards * eigenvalue * tau + noise * root_eigenvalue * n


def rest_step() -> sp.Expr:
    """Write the rest of a block after a step, as a function of `REST`."""
    return sp.sqrt(x**2 + (noise * root_eigenvalue * beyond) ** 2)


def scale_step() -> sp.Expr:
    """Write γ after a step, as a function of `SCALE`."""
    return scale + gamma_unit * (pull - 2 * zeta * scale)
