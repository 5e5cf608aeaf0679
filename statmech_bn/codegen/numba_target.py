"""Compiled scalar and array functions: Python source for Numba, whose machine code is kept on disk.

A generated module is called by the checksum of its source, under which `statmech_bn.compile_cache`
finds the machine code again: the second process that asks for an activation compiles nothing. No
source is read from a file.
"""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache, reduce
from pathlib import Path
from types import ModuleType
from typing import Any

import sympy as sp
from sympy.printing.pycode import PythonCodePrinter

from statmech_bn.codegen import elementary
from statmech_bn.codegen.arguments import expressions_of, symbols_of
from statmech_bn.codegen.program import Program, prepare, printed
from statmech_bn.codegen.rewriting import ErfComplement
from statmech_bn.compile_cache import GENERATED

_IMPORT = threading.Lock()
HEADER = "import math\n\nfrom numba import cfunc, njit, types\n\n\n"
# Numba does not see when a function that its machine code contains has changed: its name does.
ARRAY_HEADER = (
    f"# {hashlib.sha256(Path(elementary.__file__).read_bytes()).hexdigest()}\nimport math\n\n"
    "from numba import cfunc, types\n\n"
    "from statmech_bn.codegen.elementary import erf, erfc, exp, expm1, log, log1p, tanh\n\n\n"
)
ARRAY_OPTIONS = 'cache=True, error_model="numpy", fastmath={"contract"}'


class NumbaPrinter(PythonCodePrinter):
    """Prints scalar Python with the `math` module, which Numba compiles."""

    def _print_Max(self, expr: sp.Max) -> str:
        return reduce(lambda a, b: f"max({a}, {b})", map(self._number, expr.args))

    def _print_Min(self, expr: sp.Min) -> str:
        return reduce(lambda a, b: f"min({a}, {b})", map(self._number, expr.args))

    def _print_Heaviside(self, expr: sp.Heaviside) -> str:
        return f"(1.0 if {self._print(expr.args[0])} > 0.0 else 0.0)"

    def _print_ErfComplement(self, expr: sp.Function) -> str:
        return f"math.erfc{self._number(expr.args[0])}"

    def _print_Integer(self, expr: sp.Integer) -> str:
        return f"{int(expr)}.0"  # integer powers of integers overflow in compiled code

    def _print_Pow(self, expr: sp.Pow, rational: bool = False) -> str:
        if expr.exp.is_Integer and 2 <= int(expr.exp) <= 4:
            base = self.parenthesize(expr.base, 60)
            return "(" + "*".join([base] * int(expr.exp)) + ")"
        return super()._print_Pow(expr, rational=rational)

    def _number(self, expr: sp.Expr) -> str:
        return f"({self._print(expr)})"


class ArrayPrinter(NumbaPrinter):
    """Prints the functions of `elementary` instead of those of the C library."""

    def _print_exp(self, expr: sp.Expr) -> str:
        return f"exp{self._number(expr.args[0])}"

    def _print_log(self, expr: sp.Expr) -> str:
        return f"log{self._number(expr.args[0])}"

    def _print_expm1(self, expr: sp.Expr) -> str:
        return f"expm1{self._number(expr.args[0])}"

    def _print_log1p(self, expr: sp.Expr) -> str:
        return f"log1p{self._number(expr.args[0])}"

    def _print_tanh(self, expr: sp.Expr) -> str:
        return f"tanh{self._number(expr.args[0])}"

    def _print_ErfGivenGauss(self, expr: sp.Expr) -> str:
        return f"erf({', '.join(map(self._print, expr.args))})"

    def _print_ErfcGivenGauss(self, expr: sp.Expr) -> str:
        return f"erfc({', '.join(map(self._print, expr.args))})"


class ErfGivenGauss(sp.Function):
    """The function erf(a, exp(−a²)) of `elementary`."""


class ErfcGivenGauss(sp.Function):
    """The function erfc(a, exp(−a²)) of `elementary`."""


def _printed(expr: sp.Expr, printer: type[NumbaPrinter] = NumbaPrinter) -> str:
    return printed(printer({"fully_qualified_modules": True}), expr)


def _prepare_for_arrays(expressions: Sequence[sp.Expr], arguments: Sequence[sp.Symbol]) -> Program:
    """Prepare expressions such that erf a, erfc a and their derivative share exp(−a²)."""

    def translated(expression: sp.Expr) -> sp.Expr:
        return expression.replace(sp.erf, lambda a: ErfGivenGauss(a, sp.exp(-(a**2)))).replace(
            ErfComplement, lambda a: ErfcGivenGauss(a, sp.exp(-(a**2)))
        )

    return prepare(expressions, arguments, translated)


def scalar_source(program: Program) -> str:
    """Print a program as a jitted function of floats that returns a tuple of floats."""
    results = "".join(f"float({_printed(result)}), " for result in program.results)
    return _function_source(program, 'cache=True, nogil=True, error_model="numpy"', f"({results})")


def inline_source(program: Program) -> str:
    """Print a program as a jitted function that is part of the machine code of its callers."""
    results = ", ".join(f"float({_printed(result)})" for result in program.results)
    options = 'error_model="numpy", fastmath={"contract"}, forceinline=True'
    return _function_source(program, options, results)


def _function_source(program: Program, options: str, returned: str) -> str:
    """Print a jitted function of floats."""
    return "\n".join(
        [
            HEADER + f"@njit({options})",
            f"def generated({', '.join(map(str, program.arguments))}):",
            *(f"    {left} = {_printed(right)}" for left, right in program.assignments),
            f"    return {returned}\n",
        ]
    )


def array_source(program: Program) -> str:
    """Print a program of one argument as a C callback over arrays: f(x, out0, out1, ...)."""
    outputs = [f"out{i}" for i in range(len(program.results))]
    array = "types.float64[::1]"
    return "\n".join(
        [
            ARRAY_HEADER + f"@cfunc(types.void({', '.join([array] * (1 + len(outputs)))}), "
            f"{ARRAY_OPTIONS})",
            f"def generated(x, {', '.join(outputs)}):",
            "    for i in range(x.size):",
            *_loop(program, ["x[i]"], [f"{out}[i]" for out in outputs]),
        ]
    )


def table_source(program: Program) -> str:
    """Print a program as a C callback on the rows of a table, arguments and results: f(table)."""
    rows = [f"table[{i}, i]" for i in range(len(program.arguments) + len(program.results))]
    return "\n".join(
        [
            ARRAY_HEADER + f"@cfunc(types.void(types.float64[:, ::1]), {ARRAY_OPTIONS})",
            "def generated(table):",
            "    for i in range(table.shape[1]):",
            *_loop(program, rows[: len(program.arguments)], rows[len(program.arguments) :]),
        ]
    )


def _loop(program: Program, inputs: Sequence[str], outputs: Sequence[str]) -> list[str]:
    """Print the body of a loop over samples."""
    lines = [f"{name} = {read}" for name, read in zip(program.arguments, inputs, strict=True)]
    lines += [f"{left} = {_printed(right, ArrayPrinter)}" for left, right in program.assignments]
    lines += [
        f"{out} = float({_printed(result, ArrayPrinter)})"
        for out, result in zip(outputs, program.results, strict=True)
    ]
    return [*(f"        {line}" for line in lines), ""]


def vector_source(program: Program) -> str:
    """Print a program as a C callback from a vector of arguments to one of results: f(x, out)."""
    array = "types.float64[::1]"
    body = [f"    {name} = x[{i}]" for i, name in enumerate(program.arguments)]
    body += [f"    {left} = {_printed(right)}" for left, right in program.assignments]
    body += [f"    out[{i}] = float({_printed(e)})" for i, e in enumerate(program.results)]
    return "\n".join(
        [
            HEADER + f'@cfunc(types.void({array}, {array}), cache=True, error_model="numpy")',
            "def generated(x, out):",
            *body,
            "",
        ]
    )


def numba_function(
    expressions: Sequence[sp.Expr], arguments: Sequence[sp.Symbol]
) -> Callable[..., tuple[float, ...]]:
    """Compile expressions to a jitted function of floats that returns a tuple of floats.

    Parameters
    ----------
    expressions : sequence of sympy.Expr
    arguments : sequence of sympy.Symbol
        Every free symbol of the expressions, in the order of the generated function's parameters.

    Returns
    -------
    callable
        One float for each argument to one for each expression.

    Examples
    --------
    >>> x = sp.Symbol("x")
    >>> numba_function([x**2, 2 * x], [x])(3.0)
    (9.0, 6.0)
    """
    return _load(scalar_source(prepare(expressions, arguments))).generated


def numba_inline_function(expressions: Sequence[sp.Expr], arguments: Sequence[sp.Symbol]) -> Any:
    """Compile expressions to a jitted function for use within compiled loops.

    Parameters
    ----------
    expressions : sequence of sympy.Expr
    arguments : sequence of sympy.Symbol
        Every free symbol of the expressions, in the order of the generated function's parameters.

    Returns
    -------
    callable
        One float for each argument to a float, or to a tuple of them for several expressions.
    """
    return _load(inline_source(prepare(expressions, arguments))).generated


def numba_array_function(expressions: Sequence[sp.Expr], argument: sp.Symbol) -> Any:
    """Compile expressions in one symbol to a Numba C callback ``f(x, out0, out1, ...)``.

    Kernels that take such a callback are compiled once for all activations, and the one indirect
    call is paid per array, not per sample.

    Parameters
    ----------
    expressions : sequence of sympy.Expr
    argument : sympy.Symbol
        The only free symbol of the expressions.

    Returns
    -------
    numba.core.ccallback.CFunc
        Fills ``out0, out1, ...`` elementwise; all arrays are contiguous, of float64.
    """
    return _array_function(expressions_of(expressions), *symbols_of([argument]))


@lru_cache(maxsize=256)
def _array_function(expressions: tuple[sp.Expr, ...], argument: sp.Symbol) -> Any:
    return _load(array_source(_prepare_for_arrays(expressions, [argument]))).generated


def numba_table_function(expressions: Sequence[sp.Expr], arguments: Sequence[sp.Symbol]) -> Any:
    """Compile expressions to a Numba C callback ``f(table)`` on rows: arguments, then results.

    It is called faster than one of many arrays, which counts when they are short.

    Parameters
    ----------
    expressions : sequence of sympy.Expr
    arguments : sequence of sympy.Symbol
        Every free symbol of the expressions, in the order of the rows.

    Returns
    -------
    numba.core.ccallback.CFunc
        Takes a contiguous table of float64, and fills its last rows.
    """
    return _table_function(expressions_of(expressions), symbols_of(arguments))


@lru_cache(maxsize=256)
def _table_function(expressions: tuple[sp.Expr, ...], arguments: tuple[sp.Symbol, ...]) -> Any:
    return _load(table_source(_prepare_for_arrays(expressions, arguments))).generated


def numba_vector_function(expressions: Sequence[sp.Expr], arguments: Sequence[sp.Symbol]) -> Any:
    """Compile expressions to a Numba C callback ``f(x, out)``, one result for each expression.

    As with :func:`numba_array_function`, kernels that take it are compiled once for all of them.

    Parameters
    ----------
    expressions : sequence of sympy.Expr
    arguments : sequence of sympy.Symbol
        Every free symbol of the expressions, in the order of the generated function's parameters.

    Returns
    -------
    numba.core.ccallback.CFunc
        Takes contiguous arrays of float64, with one element for each argument and result.
    """
    return _load(vector_source(prepare(expressions, arguments))).generated


def _load(source: str) -> ModuleType:
    """Make a module of generated source, once; its name says what is in it."""
    name = GENERATED + hashlib.sha256(source.encode()).hexdigest()[:20]
    with _IMPORT:
        if name not in sys.modules:
            module = ModuleType(name)
            sys.modules[name] = module  # Numba's cache looks the module up by name
            try:
                exec(compile(source, f"{name}.py", "exec"), vars(module))
            except BaseException:
                del sys.modules[name]
                raise
    return sys.modules[name]
