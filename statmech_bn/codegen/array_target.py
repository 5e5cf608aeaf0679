"""Elementwise functions of one array library: a fused kernel on a GPU, NumPy's functions elsewhere.

A kernel computes in double precision whatever the arrays hold, as the CUDA target prints it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.special
import sympy as sp
from array_api_compat import is_cupy_namespace, is_numpy_namespace

from statmech_bn.arrays import to_numpy
from statmech_bn.checks import choice
from statmech_bn.codegen.arguments import expressions_of, symbols_of
from statmech_bn.codegen.cuda_target import cuda_source
from statmech_bn.codegen.numpy_target import numpy_source
from statmech_bn.codegen.program import prepare
from statmech_bn.errors import invalid

Function = Callable[..., tuple[Any, ...]]
DOUBLE = np.dtype(float)


def array_function(
    xp: Any, expressions: Sequence[sp.Expr], arguments: Sequence[sp.Symbol], dtype: str = "float64"
) -> Function:
    """Compile expressions to a function of arrays where a library computes.

    Parameters
    ----------
    xp : module
        NumPy, CuPy, or any library of the array API standard, whose arrays pass through NumPy.
    expressions : sequence of sympy.Expr
    arguments : sequence of sympy.Symbol
        Every free symbol of the expressions, in the order of the function's parameters.
    dtype : {"float64", "float32"}
        Type of the results.

    Returns
    -------
    callable
        Takes one array or number for each argument, broadcasts them, and returns a tuple with one
        array for each expression. On a CPU a constant expression gives an array of no dimension.

    Raises
    ------
    InvalidSetup
        An expression has a symbol that is not an argument, or there is no such `dtype`.
    NotPrintable
        The device has no such function.
    """
    if not callable(getattr(xp, "asarray", None)):
        raise invalid("xp", "an array library, such as numpy", xp)
    choice("dtype", dtype, ("float64", "float32"))
    return _array_function(xp, expressions_of(expressions), symbols_of(arguments), dtype)


@lru_cache(maxsize=256)
def _array_function(
    xp: Any, expressions: tuple[sp.Expr, ...], arguments: tuple[sp.Symbol, ...], dtype: str
) -> Function:
    if is_cupy_namespace(xp):
        return fused_kernel(xp, expressions, arguments, dtype)
    namespace: dict[str, Any] = {"numpy": np, "scipy": scipy}
    exec(numpy_source(prepare(expressions, arguments)), namespace)  # source is our own printing
    generated = namespace["generated"]

    def evaluate(*values: Any) -> tuple[np.ndarray, ...]:
        with np.errstate(all="ignore"):  # NumPy evaluates every branch, also what is not chosen
            return tuple(np.asarray(result, dtype) for result in generated(*values))

    def through_numpy(*values: Any) -> tuple[Any, ...]:
        return tuple(xp.asarray(result) for result in evaluate(*map(to_numpy, values)))

    return evaluate if is_numpy_namespace(xp) else through_numpy


def fused_kernel(
    cupy: Any, expressions: Sequence[sp.Expr], arguments: Sequence[sp.Symbol], dtype: str
) -> Function:
    """Make one elementwise CUDA kernel of all expressions; CuPy compiles it at the first call."""
    count = len(expressions)
    called = f"generated({', '.join(f'v{i}' for i in range(len(arguments)))}, out);"
    stores = "".join(f" r{i} = out[{i}];" for i in range(count))

    @lru_cache(maxsize=8)
    def kernel(kinds: tuple[np.dtype[Any], ...]) -> Function:
        made: Function = cupy.ElementwiseKernel(
            ", ".join(f"{kind} v{i}" for i, kind in enumerate(kinds)),
            ", ".join(f"{dtype} r{i}" for i in range(count)),
            f"double out[{count}]; {called}{stores}",
            "statmech_bn_fused",
            preamble=cuda_source(expressions, arguments),
            return_tuple=True,
        )
        return made

    def evaluate(*values: Any) -> tuple[Any, ...]:
        # CuPy cannot tell the type of a parameter from a Python number
        return kernel(tuple(getattr(value, "dtype", DOUBLE) for value in values))(*values)

    return evaluate
