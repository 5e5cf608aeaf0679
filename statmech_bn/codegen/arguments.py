"""Checks of what is given to be printed: expressions, and the symbols that are its arguments."""

from __future__ import annotations

from typing import Any

import sympy as sp

from statmech_bn.checks import sequence
from statmech_bn.errors import invalid

FIX = "Give lists, such as [x**2] and [x] with x = sympy.Symbol('x')."


def expressions_of(expressions: Any) -> tuple[sp.Expr, ...]:
    """Return expressions, at least one; Python's numbers become SymPy's."""
    found = []
    for given in sequence("expressions", expressions, FIX):
        expression = sp.Number(given) if isinstance(given, (int, float)) else given
        if not isinstance(expression, sp.Expr) or expression.has(sp.nan, sp.zoo):
            raise invalid("expressions", "expressions of SymPy", given, FIX)
        found.append(expression)
    return tuple(found)


def symbols_of(arguments: Any) -> tuple[sp.Symbol, ...]:
    """Return symbols, all different; there may be none."""
    if not isinstance(arguments, (list, tuple)):
        raise invalid("arguments", "a list of symbols", arguments, FIX)
    if not all(isinstance(symbol, sp.Symbol) for symbol in arguments):
        raise invalid("arguments", "symbols of SymPy", arguments, FIX)
    if len(set(arguments)) < len(arguments):
        raise invalid("arguments", "symbols that are all different", arguments, FIX)
    return tuple(arguments)
