"""From SymPy expressions to functions that run: prepare → print → compile, one printer a target."""

from statmech_bn.codegen.array_target import array_function
from statmech_bn.codegen.cuda_target import cuda_source
from statmech_bn.codegen.latex_target import latex, latex_table
from statmech_bn.codegen.numba_target import (
    numba_array_function,
    numba_function,
    numba_inline_function,
    numba_table_function,
    numba_vector_function,
)
from statmech_bn.codegen.numpy_target import numpy_function
from statmech_bn.codegen.program import Program, prepare
from statmech_bn.codegen.stable import stable

__all__ = [
    "Program",
    "array_function",
    "cuda_source",
    "latex",
    "latex_table",
    "numba_array_function",
    "numba_function",
    "numba_inline_function",
    "numba_table_function",
    "numba_vector_function",
    "numpy_function",
    "prepare",
    "stable",
]
