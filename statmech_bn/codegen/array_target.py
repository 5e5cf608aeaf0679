"""Elementwise functions of one array library: a fused kernel on a GPU, NumPy's functions elsewhere.

A kernel computes in double precision whatever the arrays hold, as the CUDA target prints it.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.special
import sympy as sp
from array_api_compat import is_cupy_namespace, is_numpy_namespace

from statmech_bn.arrays import to_numpy
from statmech_bn.codegen.cuda_target import cuda_source
from statmech_bn.codegen.numpy_target import numpy_source
from statmech_bn.codegen.program import prepare

Function = Callable[..., tuple[Any, ...]]


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
        Of the results.

    Returns
    -------
    callable
        Takes one array or number for each argument, broadcasts them, and returns a tuple with one
        array for each expression (of no dimension, if the expression is constant, but on a GPU).

    Raises
    ------
    InvalidSetup
        An expression has a symbol that is not an argument.
    NotPrintable
        The device has no such function.
    """
    return _array_function(xp, tuple(expressions), tuple(arguments), dtype)


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
        return tuple(np.asarray(result, dtype) for result in generated(*values))

    def through_numpy(*values: Any) -> tuple[Any, ...]:
        return tuple(xp.asarray(result) for result in evaluate(*map(to_numpy, values)))

    return evaluate if is_numpy_namespace(xp) else through_numpy


def fused_kernel(
    cupy: Any, expressions: Sequence[sp.Expr], arguments: Sequence[sp.Symbol], dtype: str
) -> Function:
    """Make one elementwise CUDA kernel of all expressions; CuPy compiles it at the first call."""
    values = [f"v{i}" for i in range(len(arguments))]
    results = [f"r{i}" for i in range(len(expressions))]
    inputs = (f"{kind} {v}" for kind, v in zip(string.ascii_uppercase, values, strict=False))
    stores = "".join(f" {result} = out[{i}];" for i, result in enumerate(results))
    kernel: Function = cupy.ElementwiseKernel(
        ", ".join(inputs),
        ", ".join(f"{dtype} {result}" for result in results),
        f"double out[{len(results)}]; generated({', '.join(values)}, out);{stores}",
        "statmech_bn_fused",
        preamble=cuda_source(expressions, arguments),
        return_tuple=True,
    )
    return kernel
