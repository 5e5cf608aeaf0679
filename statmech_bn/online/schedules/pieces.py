r"""A function of time as polynomials on pieces, for compiled code.

A learning-rate schedule is Python; the steps of a simulation and the solver of the flow are not.
Here a schedule becomes Chebyshev polynomials on the pieces between its breakpoints. A piece on
which `DEGREE` does not reach `ACCURACY` is halved, so a jump or a kink that nobody declared ends up
in a piece that is too short to matter. A piece holds from its left edge on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from statmech_bn.compile_cache import numba
from statmech_bn.errors import invalid

DEGREE = 16
ACCURACY = 1e-12
"""A fit is accepted if its last coefficients are below this part of the piece's largest value."""
SHORTEST = 1e-10
"""Part of the whole at which halving stops."""
MOST_PIECES = 10_000
_NODES = np.cos(np.pi * (np.arange(DEGREE + 1) + 0.5) / (DEGREE + 1))
_FIT = np.polynomial.chebyshev.chebvander(_NODES, DEGREE).T * 2 / (DEGREE + 1)
_FIT[0] /= 2


def pieces(
    function: Callable[[float], float],
    end: float,
    breakpoints: Sequence[float],
    probes: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Approximate a function on [0, end].

    Parameters
    ----------
    function : callable
        t ↦ float.
    end : float
        ≥ 0.
    breakpoints : sequence of float
        Where it may jump or bend; those outside of (0, end) are ignored.
    probes : ndarray
        Times at which the pieces must agree with the function.

    Returns
    -------
    edges, coefficients : ndarray
        Shapes (pieces + 1,) and (pieces, terms).

    Raises
    ------
    InvalidSetup
        The function jumps or bends everywhere.
    """
    inner = sorted({float(t) for t in breakpoints if 0 < t < end})
    edges, rows = [0.0], []
    waiting = list(zip([0.0, *inner], [*inner, end], strict=True))[::-1]
    while waiting:
        left, right = waiting.pop()
        row = _fit(function, left, right, probes[(left <= probes) & (probes < right)])
        middle = (left + right) / 2
        if row is None and right - left > SHORTEST * end:
            waiting += [(middle, right), (left, middle)]
            continue
        if row is None:  # a jump: the value where the piece begins to hold
            row = np.eye(1, DEGREE + 1)[0] * function(middle)
        edges.append(right)
        rows.append(row)
        if len(rows) > MOST_PIECES:
            raise invalid(
                "schedule",
                "a function that is smooth but for a few jumps and bends",
                function,
                "Use a table of its values.",
            )
    table = np.array(rows)
    used = np.flatnonzero((table != 0).any(axis=0))
    return np.array(edges), np.ascontiguousarray(table[:, : used[-1] + 1 if used.size else 1])


def _fit(
    function: Callable[[float], float], left: float, right: float, probes: np.ndarray
) -> np.ndarray | None:
    """Coefficients on one piece; None if they do not decay, or if a probe disagrees."""
    values = np.array([function(t) for t in (left + right + _NODES * (right - left)) / 2])
    wanted = np.array([function(t) for t in probes])
    if (values == values[0]).all() and (wanted == values[0]).all():
        return np.eye(1, DEGREE + 1)[0] * values[0]
    row = _FIT @ values
    size = np.abs(values).max()
    if np.abs(row[-3:]).max() > ACCURACY * size:
        return None
    found = np.polynomial.chebyshev.chebval((2 * probes - left - right) / (right - left), row)
    if (np.abs(found - wanted) > 100 * ACCURACY * size).any():
        return None
    return np.where(np.abs(row) > 0.01 * ACCURACY * size, row, 0.0)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def piece_at(edges, time):
    """Return the index of the piece that holds at a time; the last one holds for ever."""
    low, high = 0, edges.size - 1
    while high - low > 1:
        middle = (low + high) // 2
        if time < edges[middle]:
            high = middle
        else:
            low = middle
    return low


@numba.njit(cache=True, nogil=True, error_model="numpy")
def value_on(edges, coefficients, piece, time):
    """Evaluate one piece (Clenshaw), also beyond its edges."""
    terms = coefficients.shape[1]
    if terms == 1:
        return coefficients[piece, 0]
    left, right = edges[piece], edges[piece + 1]
    x = (2.0 * time - left - right) / (right - left)
    ahead, beyond = 0.0, 0.0
    for n in range(terms - 1, 0, -1):
        ahead, beyond = coefficients[piece, n] + 2.0 * x * ahead - beyond, ahead
    return coefficients[piece, 0] + x * ahead - beyond


@numba.njit(cache=True, nogil=True, error_model="numpy")
def value_at(edges, coefficients, time):
    """Evaluate at one time ≥ 0; after the end, the value at the end."""
    time = min(time, edges[-1])
    return value_on(edges, coefficients, piece_at(edges, time), time)


def integral_until(edges: np.ndarray, coefficients: np.ndarray, time: float) -> float:
    """Integrate from 0 to a time within the pieces."""
    total = 0.0
    for left, right, row in zip(edges[:-1], edges[1:], coefficients, strict=True):
        if left < time:
            series = np.polynomial.Chebyshev(row, domain=[left, right]).integ(lbnd=left)
            total += float(series(min(time, right)))
    return total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def value_at_step(edges, coefficients, step, dimension):
    """Evaluate at time step/N; returns also a step before which the value does not change."""
    time = step / dimension
    value = value_at(edges, coefficients, time)
    piece = piece_at(edges, time)
    for n in range(1, coefficients.shape[1]):
        if coefficients[piece, n] != 0.0:
            return value, step + 1.0
    if piece == edges.size - 2:
        return value, np.inf
    return value, max(step + 1.0, np.floor(edges[piece + 1] * dimension) - 1.0)
