"""CUDA source: functions that run on the device and, compiled by a C++ compiler, on the host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy as sp
from sympy.printing.c import C99CodePrinter

from statmech_bn.codegen.names import identifier
from statmech_bn.codegen.program import prepare, printed


class CUDAPrinter(C99CodePrinter):
    """Prints C99 expressions in double precision that CUDA accepts.

    Constants are printed as numbers: code compiled at run time (NVRTC) has no M_PI and the like.
    """

    def __init__(self) -> None:
        super().__init__({"math_macros": {}})

    def _print(self, expr: sp.Basic, **settings: Any) -> str:
        if isinstance(expr, sp.NumberSymbol):
            return repr(float(expr))
        return super()._print(expr, **settings)

    def _print_Heaviside(self, expr: sp.Heaviside) -> str:
        return f"(({self._print(expr.args[0])}) > 0.0 ? 1.0 : 0.0)"

    def _print_ErfComplement(self, expr: sp.Function) -> str:
        return f"erfc({self._print(expr.args[0])})"

    def _print_Integer(self, expr: sp.Integer) -> str:
        return f"{int(expr)}.0"

    def _print_Pow(self, expr: sp.Pow) -> str:
        if expr.exp.is_Integer and 2 <= int(expr.exp) <= 4:
            return "(" + "*".join([self.parenthesize(expr.base, 60)] * int(expr.exp)) + ")"
        return super()._print_Pow(expr)


def cuda_source(
    expressions: Sequence[sp.Expr], arguments: Sequence[sp.Symbol], name: str = "generated"
) -> str:
    """Print expressions as one CUDA function.

    Parameters
    ----------
    expressions : sequence of sympy.Expr
    arguments : sequence of sympy.Symbol
        Every free symbol of the expressions, in the order of the generated function's parameters.
    name : str
        What the function is called.

    Returns
    -------
    str
        ``__host__ __device__ inline void name(double a0, ..., double* out)``, which fills one
        element of `out` for each expression.

    Raises
    ------
    InvalidSetup
        The name is not an identifier.
    NotPrintable
        An expression has a function that C99 does not have.

    Examples
    --------
    >>> x = sp.Symbol("x")
    >>> print(cuda_source([sp.Max(x, x / 10)], [x], "leaky"), end="")
    __host__ __device__ inline void leaky(double a0, double* out) {
        out[0] = fmax(a0, (1.0/10.0)*a0);
    }
    """
    name = identifier(name)
    program = prepare(expressions, arguments)
    printer = CUDAPrinter()
    parameters = ", ".join(f"double {argument}" for argument in program.arguments)
    lines = [f"    const double {a} = {printed(printer, e)};" for a, e in program.assignments]
    lines += [f"    out[{i}] = {printed(printer, e)};" for i, e in enumerate(program.results)]
    return "\n".join(
        [
            f"__host__ __device__ inline void {name}({parameters}, double* out) {{",
            *lines,
            "}\n",
        ]
    )
