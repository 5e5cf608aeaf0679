r"""The backward pass of batch normalization, derived from its definition.

The fields h₁ … h_M of one unit become y_m = γ(h_m − μ_B)/√(σ_B² + ε) + β. A loss L that depends on
them through y has ∂L/∂h_i = Σ_m g_m ∂y_m/∂h_i with g_m = ∂L/∂y_m. SymPy differentiates; what comes
out equals c_i = (γ/s)[g_i − mean g − û_i mean(gû)], so that Σ c_m = 0, and Σ c_m h_m = 0 at ε = 0:
a step of gradient descent is orthogonal to the weights.

References
----------
S. Ioffe, C. Szegedy, ICML 2015, arXiv:1502.03167.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from statmech_bn.checks import as_expression, integer
from statmech_bn.symbolic.symbols import gamma

epsilon = sp.Symbol("epsilon", nonnegative=True)
"""Constant ε that is added to the variance."""
beta = sp.Symbol("beta", real=True)
"""Shift β of the normalization."""

LARGEST = 64
"""A symbolic batch larger than this takes long to differentiate."""


@dataclass(frozen=True)
class BatchNormGradient:
    """Forward and backward pass for a batch of symbolic samples.

    Attributes
    ----------
    fields, upstream : tuple of sympy.Symbol
        h_m and g_m = ∂L/∂y_m.
    normalized, output : tuple of sympy.Expr
        û_m and y_m.
    gradient : tuple of sympy.Expr
        ∂L/∂h_m, as differentiated.
    closed_form : tuple of sympy.Expr
        (γ/s)[g_m − mean g − û_m mean(gû)].
    """

    fields: tuple[sp.Symbol, ...]
    upstream: tuple[sp.Symbol, ...]
    normalized: tuple[sp.Expr, ...]
    output: tuple[sp.Expr, ...]
    gradient: tuple[sp.Expr, ...]
    closed_form: tuple[sp.Expr, ...]


def batch_norm_gradient(batch_size: int, variance_floor: sp.Expr = epsilon) -> BatchNormGradient:
    """Derive the backward pass for a batch.

    Parameters
    ----------
    batch_size : int
        M ≥ 2 samples, each a symbol.
    variance_floor : sympy.Expr
        ε, or 0.

    Returns
    -------
    BatchNormGradient

    Raises
    ------
    InvalidSetup
        The batch size is not an integer ≥ 2.

    Examples
    --------
    >>> derived = batch_norm_gradient(3, 0)
    >>> sp.simplify(sum(derived.gradient))
    0
    """
    size = integer("batch_size", batch_size, 2, maximum=LARGEST)
    variance_floor = as_expression("variance_floor", variance_floor)
    fields = sp.symbols(f"h_1:{size + 1}", real=True)
    upstream = sp.symbols(f"g_1:{size + 1}", real=True)
    mean = sum(fields) / size
    variance = sum((h - mean) ** 2 for h in fields) / size
    spread = sp.sqrt(variance + variance_floor)
    normalized = tuple((h - mean) / spread for h in fields)
    output = tuple(gamma * value + beta for value in normalized)
    loss = sum(g * y for g, y in zip(upstream, output, strict=True))  # to first order in y
    gradient = tuple(sp.diff(loss, h) for h in fields)
    constant = sum(upstream) / size
    linear = sum(g * value for g, value in zip(upstream, normalized, strict=True)) / size
    closed_form = tuple(
        gamma / spread * (g - constant - value * linear)
        for g, value in zip(upstream, normalized, strict=True)
    )
    return BatchNormGradient(fields, upstream, normalized, output, gradient, closed_form)
