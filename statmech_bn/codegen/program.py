"""The step before printing: stable forms, shared subexpressions, a check of the symbols.

A `Program` is what every printer reads:

    x0 = ...            assignments, in order
    x1 = f(x0)
    return e0, e1, ...  results
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import sympy as sp
from sympy.printing.codeprinter import CodePrinter, PrintMethodNotImplementedError

from statmech_bn.activation_text import SYMBOL
from statmech_bn.codegen.arguments import expressions_of, symbols_of
from statmech_bn.codegen.names import check_names
from statmech_bn.codegen.numpy_printer import in_floats
from statmech_bn.codegen.rewriting import by_rules
from statmech_bn.codegen.stable import GRID, SMALLEST, UNKNOWN, WRONG, stable
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


def prepare(
    expressions: Sequence[sp.Expr],
    arguments: Sequence[sp.Symbol],
    translated: Callable[[sp.Expr], sp.Expr] = lambda expression: expression,
) -> Program:
    """Bring expressions into the form that the printers take.

    Parameters
    ----------
    expressions : sequence of sympy.Expr
    arguments : sequence of sympy.Symbol
        Every free symbol of the expressions, in the order of the generated function's parameters.
    translated : callable, optional
        What replaces functions of the stable forms by those of a target.

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
    renamed, names = _named(expressions, arguments)
    searched = list(arguments) == [SYMBOL]
    form = stable if searched else by_rules
    written = [form(expression) for expression in renamed]
    given = [translated(expression) for expression in written]
    together = _shared([given], names)
    try:
        kept = not searched or _is_like(together, written)
    except UNKNOWN:  # no function of NumPy: its printer says so
        kept = True
    return together if kept else _shared([[expression] for expression in given], names)


def _named(
    expressions: Sequence[sp.Expr], arguments: Sequence[sp.Symbol]
) -> tuple[list[sp.Expr], tuple[sp.Symbol, ...]]:
    """Rename the arguments a0, a1, ..., so that no name of a caller's is printed.

    Raises
    ------
    InvalidSetup, NotPrintable
        As :func:`prepare` does.
    """
    given, arguments = expressions_of(expressions), symbols_of(arguments)
    for expression in given:
        missing = expression.free_symbols - set(arguments)
        if missing:
            raise invalid(
                "arguments", f"every symbol of {expression}", arguments, f"Add {missing}."
            )
    # Printed names are ours, so that any symbol (a dummy, a Python keyword) can be an argument.
    names = tuple(sp.Symbol(f"a{i}", real=True) for i in range(len(arguments)))
    renamed = [e.xreplace(dict(zip(arguments, names, strict=True))) for e in given]
    check_names(renamed, names)
    return renamed, names


def _shared(groups: Sequence[Sequence[sp.Expr]], names: tuple[sp.Symbol, ...]) -> Program:
    """Share the subexpressions of each group of what is named and stable already."""
    symbols = sp.numbered_symbols("x", real=True)
    parts = [sp.cse(group, symbols=symbols) for group in groups]
    assignments = [assignment for first, _ in parts for assignment in first]
    return Program(names, tuple(assignments), tuple(e for _, results in parts for e in results))


def _is_like(program: Program, written: Sequence[sp.Expr]) -> bool:
    """Say whether sharing left the values of every expression as they are alone.

    A shared factor changes the order of a product: z (z + 1) is infinite before exp(-z²) is zero.
    """
    (z,) = program.arguments
    known = {z: np.array(GRID)}

    def values(expression: sp.Expr) -> np.ndarray:
        symbols = [symbol for symbol in known if symbol in expression.free_symbols] or [z]
        return in_floats(expression, *symbols)(*(known[symbol] for symbol in symbols))

    alone = [values(expression) for expression in written]
    for symbol, expression in program.assignments:
        known[symbol] = values(expression)
    return all(
        np.allclose(values(result), right, rtol=WRONG, atol=SMALLEST, equal_nan=True)
        for result, right in zip(program.results, alone, strict=True)
    )


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
