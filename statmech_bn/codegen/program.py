"""The step before printing: stable forms, shared subexpressions, a check of the symbols.

A `Program` is what every printer reads:

    x0 = ...            assignments, in order
    x1 = f(x0)
    return e0, e1, ...  results
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp
from sympy.printing.codeprinter import CodePrinter, PrintMethodNotImplementedError

from statmech_bn.codegen.arguments import expressions_of, symbols_of
from statmech_bn.codegen.names import check_names
from statmech_bn.errors import NotPrintable, invalid


@dataclass(frozen=True)
class Program:
    """Expressions ready to be printed.

    Attributes
    ----------
    arguments : tuple of sympy.Symbol
    assignments : tuple of (sympy.Symbol, sympy.Expr)
        Shared subexpressions, each using only arguments and earlier assignments.
    results : tuple of sympy.Expr
    """

    arguments: tuple[sp.Symbol, ...]
    assignments: tuple[tuple[sp.Symbol, sp.Expr], ...]
    results: tuple[sp.Expr, ...]


def prepare(expressions: Sequence[sp.Expr], arguments: Sequence[sp.Symbol]) -> Program:
    """Bring expressions into the form that the printers take.

    Parameters
    ----------
    expressions : sequence of sympy.Expr
    arguments : sequence of sympy.Symbol
        Every free symbol of the expressions, in the order of the generated function's parameters.

    Returns
    -------
    Program
        Its arguments are named a0, a1, ..., whatever the symbols were called.

    Raises
    ------
    InvalidSetup
        An expression has a symbol that is not an argument, or is a text, which SymPy would run.
    NotPrintable
        An expression has a name that is not an argument's, such as the bound symbol of a sum.

    Examples
    --------
    >>> x = sp.Symbol("x")
    >>> prepare([sp.exp(x) + 1, sp.exp(x)], [x]).assignments
    ((x0, exp(a0)),)
    """
    expressions = [stable(expression) for expression in expressions_of(expressions)]
    arguments = symbols_of(arguments)
    for expression in expressions:
        missing = expression.free_symbols - set(arguments)
        if missing:
            raise invalid(
                "arguments", f"every symbol of {expression}", tuple(arguments), f"Add {missing}."
            )
    # Printed names are ours, so that any symbol (a dummy, a Python keyword) can be an argument.
    names = tuple(sp.Symbol(f"a{i}", real=True) for i in range(len(arguments)))
    renamed = [e.xreplace(dict(zip(arguments, names, strict=True))) for e in expressions]
    check_names(renamed, names)
    assignments, results = sp.cse(renamed, symbols=sp.numbered_symbols("x", real=True))
    return Program(names, tuple(assignments), tuple(results))


def stable(expression: sp.Expr) -> sp.Expr:
    """Write log(1 + eᵃ) and eᵃ/(1 + eᵃ) with e^(−|a|), which does not overflow and is shared.

    Parameters
    ----------
    expression : sympy.Expr

    Returns
    -------
    sympy.Expr
        Equal to it.
    """
    [expression] = expressions_of([expression])
    a = sp.Wild("a")
    small = sp.exp(-sp.Abs(a))
    softplus = sp.Max(a, 0) + sp.log(1 + small)
    logistic = (1 + (small - 1) * sp.Heaviside(-a, 0)) / (1 + small)
    expression = expression.replace(sp.log(1 + sp.exp(a)), softplus)
    return expression.replace(sp.exp(a) / (1 + sp.exp(a)), logistic)


def printed(printer: CodePrinter, expression: sp.Expr) -> str:
    """Print one expression of a program.

    Raises
    ------
    NotPrintable
        The target language has no such function.
    """
    try:
        return printer.doprint(expression)
    except PrintMethodNotImplementedError as error:
        raise NotPrintable(
            f"{type(printer).__name__} cannot print {expression}: one of its functions has no "
            "counterpart there. Write the expression with elementary functions and erf."
        ) from error
