"""Pullback and scale of a step (`statmech_bn.symbolic.step`) for compiled loops over samples."""

from __future__ import annotations

from statmech_bn.codegen import numba_inline_function
from statmech_bn.compile_cache import numba
from statmech_bn.symbolic import step as s

passed = numba_inline_function([s.passed_back()], [s.delta, s.average, s.normalized, s.along])
"""P δ of one sample, from the means of δ and δû over its group."""
grown = numba_inline_function([s.scale_step()], s.SCALE)
"""γ after a step."""


@numba.njit(error_model="numpy", fastmath={"reassoc", "contract"}, forceinline=True)
def means(delta, normalized):
    """Return the means of δ and δû over a group, summed in any order."""
    total, along = 0.0, 0.0
    for m in range(delta.size):
        total += delta[m]
        along += delta[m] * normalized[m]
    return total / delta.size, along / delta.size
