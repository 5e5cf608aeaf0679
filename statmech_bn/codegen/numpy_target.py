"""Vectorised functions on arrays of NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.special
import sympy as sp

from statmech_bn.codegen.names import identifier
from statmech_bn.codegen.numpy_printer import NumPyPrinter
from statmech_bn.codegen.program import Program, prepare, printed

LARGEST_INTEGER = 2**53
"""Integers below are exact as floats."""


def numpy_source(program: Program, name: str = "generated") -> str:
    """Print a program as a Python function of arrays that returns a tuple."""
    printer = NumPyPrinter({"fully_qualified_modules": True})
    lines = [f"def {identifier(name)}({', '.join(map(str, program.arguments))}):"]
    lines += [f"    {left} = {printed(printer, right)}" for left, right in program.assignments]
    results = "".join(f"{printed(printer, result)}, " for result in program.results)
    return "\n".join([*lines, f"    return ({results})"]) + "\n"


def numpy_function(
    expressions: Sequence[sp.Expr], arguments: Sequence[sp.Symbol]
) -> Callable[..., tuple[np.ndarray, ...]]:
    """Compile expressions to a function of arrays.

    Parameters
    ----------
    expressions : sequence of sympy.Expr
    arguments : sequence of sympy.Symbol
        Every free symbol of the expressions, in the order of the generated function's parameters.

    Returns
    -------
    callable
        Takes one array for each argument, broadcasts them, and returns a tuple with one float64
        array of the common shape for each expression.

    Examples
    --------
    >>> x = sp.Symbol("x")
    >>> value, slope = numpy_function([x**2, 2 * x], [x])([1.0, 3.0])
    >>> value, slope
    (array([1., 9.]), array([2., 6.]))
    """
    namespace: dict[str, Any] = {"numpy": np, "scipy": scipy}
    exec(numpy_source(prepare(expressions, arguments)), namespace)  # source is our own printing
    generated = namespace["generated"]

    def evaluate(*values: Any) -> tuple[np.ndarray, ...]:
        arrays = np.broadcast_arrays(*(np.asarray(value, dtype=float) for value in values))
        shape = arrays[0].shape if arrays else ()
        # NumPy evaluates every branch: 1/(1 + exp(1000)) is 0, and what is not chosen counts not
        with np.errstate(all="ignore"):
            return tuple(np.broadcast_to(result, shape) for result in generated(*arrays))

    return evaluate
