r"""One step of gradient descent, once: what every simulation prints, whatever the normalization.

For a sample with the field f (of any unit), the mean and the variance s of the fields that it is
normalized with, û = (f − mean)/√s and the label y,

    error        δ = g'(γû)(y − g(γû))
    gradient     c = (ηγ/(M√s)) {δ − [statistics of the batch] (mean δ + û mean(δû))}
    scale        γ ← γ + (η_γ/N)(mean(δû) − 2ζγ)
    weights      w ← (1 − ηλ/N) w + Σ c x − [spread of the weights] (ηγ/s) mean(δû) Σw.

The means of δ and δû in c are over the samples that share statistics, that in the scale over all.
Without a scale γ = 1, s is a constant, and neither bracket is there.
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
    phi = {z: scale * u}
    error = slope.xreplace(phi) * (label - value.xreplace(phi))
    passed = delta - average - normalized * along if rule.of_batch else delta
    gradient = eta * scale / (M * sp.sqrt(variance)) * passed
    grown = scale + eta_gamma * (pull - 2 * zeta * scale) if rule.has_scale else scale
    moved = (1 - eta * decay) * weight + change
    if rule.by_length:
        moved -= eta * scale / variance * pull * spun
    return Step(u, error, gradient, grown, moved)
