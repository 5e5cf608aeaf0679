r"""Lower triangular factors of products of rows, by Householder reflections of columns.

A matrix X and its lower triangular factor C have the same products of rows, X Xᵀ = C Cᵀ, as C = X O
with orthogonal O. Row by row, the reflection along v takes the rest of a row to a multiple of its
first column. No product of rows is formed, so that small parts beside large ones keep their digits.
"""

from __future__ import annotations

import numpy as np

from statmech_bn.compile_cache import numba


@numba.njit(error_model="numpy", fastmath={"contract"})
def triangularize(x):
    """Turn a matrix of at least as many columns as rows into its factor, of a diagonal ≥ 0."""
    for k in range(x.shape[0]):
        row, first, rest = x[k], x[k, k], 0.0
        for j in range(k + 1, row.size):
            rest += row[j] * row[j]
        if rest == 0.0:
            if first < 0.0:
                for i in range(k, x.shape[0]):
                    x[i, k] = -x[i, k]
            continue
        length = np.sqrt(first * first + rest)
        # v = (first − length, rest of the row), without cancellation (Parlett 1971)
        along = first - length if first <= 0.0 else -rest / (first + length)
        share = 2.0 / (along * along + rest)
        for i in range(k + 1, x.shape[0]):
            other = x[i]
            inner = along * other[k]
            for j in range(k + 1, row.size):
                inner += row[j] * other[j]
            inner *= share
            other[k] -= inner * along
            for j in range(k + 1, row.size):
                other[j] -= inner * row[j]
        row[k] = length
        for j in range(k + 1, row.size):
            row[j] = 0.0
