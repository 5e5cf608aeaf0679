r"""LaTeX for the paper: expressions, and flows as an ``align`` body with d/dt on the left."""

from __future__ import annotations

from collections.abc import Mapping

import sympy as sp


def latex(expression: sp.Basic | Mapping[sp.Symbol, sp.Expr]) -> str:
    r"""Print an expression, or a flow, as LaTeX.

    Parameters
    ----------
    expression : sympy.Basic or mapping from symbol to expression
        A mapping is read as a flow: one line ``\frac{dR}{dt} &= ...`` for each entry.

    Returns
    -------
    str
        LaTeX without math delimiters.

    Examples
    --------
    >>> import sympy
    >>> latex({sympy.Symbol("gamma"): sympy.Symbol("eta") / 2})
    '\\frac{d\\gamma}{dt} &= \\frac{\\eta}{2}'
    """
    if isinstance(expression, Mapping):
        return " \\\\\n".join(
            f"\\frac{{d{sp.latex(symbol)}}}{{dt}} &= {latex(rate)}"
            for symbol, rate in expression.items()
        )
    return sp.latex(expression, inv_trig_style="full", ln_notation=True)
