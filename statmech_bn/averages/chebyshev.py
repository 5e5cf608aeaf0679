r"""Averages over the fields as Chebyshev series in (arccos R, γ).

The averages that no closed form gives are smooth functions of two numbers only, whatever the
learning rates and the time. A series of a few hundred terms, computed once, then replaces an
integral by a polynomial at each evaluation. In θ = arccos R they are smooth up to R = ±1, where
they behave like √(1−R²) = sin θ. At γ = 0 the average of an activation with kinks jumps, so a
series covers one sign of γ; outside of its range callers integrate.

The series is refined until it agrees with the integrals at points that it was not built from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from statmech_bn.checks import thread_count
from statmech_bn.compile_cache import numba
from statmech_bn.interrupts import in_threads

ACCURACY = 3e-8
"""Largest error at the test points, relative to the largest value of each average."""
HOPELESS = 1e-5
"""A series that is not better than this at its second size is given up."""
SIZES = ((24, 16), (36, 24), (54, 36))
NEGLIGIBLE = 1e-11
"""Terms below this part of the largest are left out where a series of four is summed fast."""


@dataclass(frozen=True)
class ChebyshevSeries:
    """Several functions of (R, γ) on γ in [lower, upper].

    Attributes
    ----------
    coefficients : ndarray
        Shape (functions, terms in θ, terms in γ).
    lower, upper : float
        Range of γ.
    """

    coefficients: np.ndarray
    lower: float
    upper: float

    def covers(self, gamma: float) -> bool:
        """Whether the series holds at this γ."""
        return self.lower <= gamma <= self.upper

    def __call__(self, overlap: float, gamma: float) -> np.ndarray:
        """Evaluate at one state."""
        return evaluate(self.coefficients, self.lower, self.upper, overlap, gamma)

    def packed(self) -> tuple[np.ndarray, np.ndarray]:
        """Return what `four_averages` takes: a row for each term in θ, and the length of each."""
        size = np.abs(self.coefficients).max(axis=(1, 2), keepdims=True)
        matters = (np.abs(self.coefficients) > NEGLIGIBLE * size).any(axis=0)
        count = np.arange(1, matters.shape[1] + 1)
        table = np.moveaxis(self.coefficients, 0, -1)
        lengths = table.shape[2] * (matters * count).max(axis=1)
        return np.ascontiguousarray(table.reshape(len(table), -1)), lengths

    def at(self, overlap: np.ndarray, gamma: np.ndarray) -> np.ndarray:
        """Evaluate at arrays of states of one shape; returns (functions, *shape)."""
        values = np.empty((self.coefficients.shape[0], overlap.size))
        evaluate_all(
            self.coefficients, self.lower, self.upper, overlap.ravel(), gamma.ravel(), values
        )
        return values.reshape(len(self.coefficients), *overlap.shape)


def chebyshev_series(
    function: Callable[[float, float], tuple[float, ...]], lower: float, upper: float
) -> ChebyshevSeries | None:
    """Interpolate `function` of (R, γ), or return None if it is not smooth enough.

    Parameters
    ----------
    function : callable
        (R, γ) ↦ tuple of floats.
    lower, upper : float
        Range of γ.
    """
    # Points of a low-discrepancy sequence (golden ratio), away from all of the nodes.
    tests = [(np.cos(np.pi * ((k + 0.5) * 0.618034 % 1)), (k + 0.5) / 12) for k in range(12)]
    states = [(overlap, lower + part * (upper - lower)) for overlap, part in tests]
    wanted = np.array([function(*state) for state in states])
    for sizes in SIZES:
        series = ChebyshevSeries(_coefficients(function, lower, upper, *sizes), lower, upper)
        errors = np.abs([series(*state) - row for state, row in zip(states, wanted, strict=True)])
        largest = np.maximum(np.abs(wanted).max(axis=0), np.finfo(float).tiny)
        worst = (errors.max(axis=0) / largest).max()
        if worst <= ACCURACY:
            return series
        if sizes[0] > SIZES[0][0] and worst > HOPELESS:
            return None
    return None


def _coefficients(
    function: Callable[[float, float], tuple[float, ...]],
    lower: float,
    upper: float,
    terms: int,
    gamma_terms: int,
) -> np.ndarray:
    """Sample at Chebyshev nodes; the series follow from discrete orthogonality."""
    x, y = (np.cos(np.pi * (np.arange(n) + 0.5) / n) for n in (terms, gamma_terms))
    overlaps = np.cos(np.pi * (x + 1) / 2)
    gammas = lower + (y + 1) / 2 * (upper - lower)
    rows = in_threads(  # the integrals release the interpreter
        lambda r, _: [function(r, gamma) for gamma in gammas], list(overlaps), thread_count(None)
    )
    values = np.array(rows)
    tx, ty = (np.polynomial.chebyshev.chebvander(nodes, nodes.size - 1) for nodes in (x, y))
    coefficients = np.einsum("in,jm,ijf->fnm", tx, ty, values) * 4 / (terms * gamma_terms)
    coefficients[:, 0, :] /= 2
    coefficients[:, :, 0] /= 2
    return np.ascontiguousarray(coefficients)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def evaluate(coefficients, lower, upper, overlap, gamma):
    """Sum the series at one state; returns one value for each function."""
    functions, terms, gamma_terms = coefficients.shape
    x = 2.0 * np.arccos(min(1.0, max(-1.0, overlap))) / np.pi - 1.0
    y = 2.0 * (gamma - lower) / (upper - lower) - 1.0
    in_gamma = np.empty(gamma_terms)
    in_gamma[0], in_gamma[1] = 1.0, y
    for j in range(2, gamma_terms):
        in_gamma[j] = 2.0 * y * in_gamma[j - 1] - in_gamma[j - 2]
    values = np.zeros(functions)
    last, current = x, 1.0  # T₋₁ = T₁ and T₀
    for i in range(terms):
        for f in range(functions):
            inner = 0.0
            for j in range(gamma_terms):
                inner += coefficients[f, i, j] * in_gamma[j]
            values[f] += inner * current
        last, current = current, 2.0 * x * current - last
    return values


@numba.njit(cache=True, nogil=True, error_model="numpy")
def evaluate_all(coefficients, lower, upper, overlap, gamma, values):
    """Fill values (functions, states)."""
    for state in range(overlap.size):
        found = evaluate(coefficients, lower, upper, overlap[state], gamma[state])
        for f in range(found.size):  # the assignment of a slice takes seconds to compile
            values[f, state] = found[f]


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def four_averages(table, lengths, lower, upper, overlap, gamma, sums, values):
    """Sum a packed series of four functions at one state; `sums` is room for one row."""
    x = 2.0 * np.arccos(min(1.0, max(-1.0, overlap))) / np.pi - 1.0
    y = 2.0 * (gamma - lower) / (upper - lower) - 1.0
    longest = 0
    for length in lengths:
        longest = max(longest, length)
    sums[:longest] = 0.0
    last, current = x, 1.0
    for i in range(lengths.size):
        for j in range(lengths[i]):  # no sum within: the compiler makes vectors of it
            sums[j] += table[i, j] * current
        last, current = current, 2.0 * x * current - last
    values[:4] = 0.0
    last, current = y, 1.0
    for j in range(0, longest, 4):
        for f in range(4):
            values[f] += sums[j + f] * current
        last, current = current, 2.0 * y * current - last
