"""What NumPy and SciPy evaluate elementwise: SymPy's printer with broadcasting Max, Min, steps."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import scipy.special
import sympy as sp
from sympy.printing.numpy import SciPyPrinter

LARGEST_INTEGER = 2**53
"""Integers below this are exact as floats."""


class NumPyPrinter(SciPyPrinter):
    """Prints expressions of arrays, which may hold single or double precision."""

    def _print_Integer(self, expr: sp.Integer) -> str:
        # NumPy has no functions of integers beyond 64 bits; rational coefficients make such.
        text = str(super()._print_Integer(expr))
        return text if abs(int(expr)) < LARGEST_INTEGER else f"{float(expr)!r}"

    def _print_Max(self, expr: sp.Max) -> str:
        return reduce(lambda a, b: f"numpy.maximum({a}, {b})", map(self._print, expr.args))

    def _print_Min(self, expr: sp.Min) -> str:
        return reduce(lambda a, b: f"numpy.minimum({a}, {b})", map(self._print, expr.args))

    def _print_Heaviside(self, expr: sp.Heaviside) -> str:
        return f"numpy.heaviside({self._print(expr.args[0])}, 0.0)"

    def _print_ErfComplement(self, expr: sp.Function) -> str:
        return f"scipy.special.erfc({self._print(expr.args[0])})"

    def _print_ErfGivenGauss(self, expr: sp.Function) -> str:
        return f"scipy.special.erf({self._print(expr.args[0])})"

    def _print_ErfcGivenGauss(self, expr: sp.Function) -> str:
        return f"scipy.special.erfc({self._print(expr.args[0])})"

    def _print_Pow(self, expr: sp.Pow, **settings: Any) -> str:
        text = super()._print_Pow(expr, **settings)
        # A number of NumPy's own, such as numpy.sqrt(2), would make arrays of float32 float64.
        return f"float({text})" if expr.is_number else text


def in_floats(expression: sp.Expr, *symbols: sp.Symbol) -> Callable[..., np.ndarray]:
    """Return a function of arrays of one shape without warnings; every branch is evaluated.

    Raises
    ------
    NameError, TypeError, AttributeError
        The function it returns does so where NumPy and SciPy have none of that name.
    """
    modules = [{"numpy": np, "scipy": scipy}, "scipy", "numpy"]
    called = sp.lambdify(symbols, expression, modules=modules, printer=NumPyPrinter, cse=True)

    def evaluate(*values: Any) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.broadcast_to(called(*values), values[0].shape)

    return evaluate
