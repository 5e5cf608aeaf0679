r"""LaTeX for the paper: expressions, and flows as an ``align`` body with d/dt on the left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sympy as sp

from statmech_bn.checks import as_expression, sequence
from statmech_bn.errors import invalid


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
    if isinstance(expression, Mapping) and all(isinstance(key, sp.Symbol) for key in expression):
        return " \\\\\n".join(
            f"\\frac{{d{sp.latex(symbol)}}}{{dt}} &= {latex(rate)}"
            for symbol, rate in expression.items()
        )
    if not isinstance(expression, (sp.Basic, sp.MatrixBase, int, float)):
        raise invalid("expression", "an expression of SymPy, or a flow", expression)
    if isinstance(expression, (int, float)):
        expression = as_expression("expression", expression)
    return sp.latex(expression, inv_trig_style="full", ln_notation=True)


def latex_table(header: Sequence[str], rows: Sequence[Sequence[sp.Expr | str | None]]) -> str:
    r"""Print rows of expressions and texts as a LaTeX tabular, to be used with booktabs.

    Parameters
    ----------
    header : sequence of str
        LaTeX of the first line.
    rows : sequence of sequences
        One entry for each column: an expression is set in math, a text as it is, None as a dash.

    Returns
    -------
    str
        A ``tabular`` environment.

    Examples
    --------
    >>> import sympy
    >>> print(latex_table(["rate"], [[sympy.Symbol("eta")]]))
    \begin{tabular}{l}
    \toprule
    rate \\
    \midrule
    $\eta$ \\
    \bottomrule
    \end{tabular}
    """

    def cell(entry: sp.Expr | str | None) -> str:
        if entry is None:
            return "--"
        return entry if isinstance(entry, str) else f"${latex(entry)}$"

    for texts in (sequence("header", header), *sequence("rows", rows)):
        for entry in sequence("rows", texts):
            if entry is not None and not isinstance(entry, (str, sp.Basic, int, float)):
                raise invalid("rows", "expressions, texts and None", entry)
    if not all(isinstance(text, str) for text in header):
        raise invalid("header", "texts", header)
    lines = [header, *([cell(entry) for entry in row] for row in rows)]
    top, *body = (" & ".join(line) + r" \\" for line in lines)
    rules = [rf"\begin{{tabular}}{{{'l' * len(header)}}}", r"\toprule", top, r"\midrule"]
    return "\n".join([*rules, *body, r"\bottomrule", r"\end{tabular}"])
