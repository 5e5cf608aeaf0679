r"""Lower triangular factors of products of rows, by Householder reflections of columns.

A matrix X and its lower triangular factor C have the same products of rows, X Xᵀ = C Cᵀ, as C = X O
with orthogonal O. Row by row, the reflection along v takes the rest of a row to a multiple of its
first column. No product of rows is formed, so that small parts beside large ones keep their digits.
"""

from __future__ import annotations

import numpy as np

from statmech_bn.compile_cache import numba

SMALLEST_SQUARE = 1e-290
"""A square below this is rounding beside any length that a student may have."""


@numba.njit(error_model="numpy", fastmath={"contract"})
def triangularize(x):
    """Turn a matrix of at least as many columns as rows into its factor, of a diagonal ≥ 0."""
    rows, columns = x.shape
    for k in range(rows):
        first, rest = x[k, k], 0.0
        for j in range(k + 1, columns):
            rest += x[k, j] * x[k, j]
        if rest < SMALLEST_SQUARE:
            if first < 0.0:
                for i in range(k, rows):
                    x[i, k] = -x[i, k]
            for j in range(k + 1, columns):
                x[k, j] = 0.0
            continue
        length = np.sqrt(first * first + rest)
        # v = (first − length, rest of the row), without cancellation (Parlett 1971)
        along = first - length if first <= 0.0 else -rest / (first + length)
        share = 2.0 / (along * along + rest)
        for i in range(k + 1, rows):
            inner = along * x[i, k]
            for j in range(k + 1, columns):
                inner += x[k, j] * x[i, j]
            inner *= share
            x[i, k] -= inner * along
            for j in range(k + 1, columns):
                x[i, j] -= inner * x[k, j]
        x[k, k] = length
        for j in range(k + 1, columns):
            x[k, j] = 0.0
