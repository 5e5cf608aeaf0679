"""The averages that have no closed form, as one function of (R, γ) for each setup.

Whatever the normalization, the flow needs four numbers of a state: the drive D, the pull A₂, the
noise B at Δ = 0 and the coefficient of Δ² in it. `statmech_bn.averages.quadrature` integrates them
for population statistics, `statmech_bn.averages.batch` for batches of finite size. As they
depend on (R, γ) alone, a Chebyshev series stands in for the integrals where it reproduces them. It
is kept between processes (`statmech_bn.averages.kept`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from statmech_bn.activations import Activation, z
from statmech_bn.averages.batch import batch_averages
from statmech_bn.averages.chebyshev import ChebyshevSeries, chebyshev_series
from statmech_bn.averages.closed import SCALE, closed_averages
from statmech_bn.averages.kept import kept
from statmech_bn.averages.quadrature import (
    FARTHEST,
    REACH,
    STEEP,
    Pairs,
    conditional_moments,
    field_averages,
    pair_averages,
)
from statmech_bn.codegen import numba_array_function, numba_function
from statmech_bn.errors import NoClosedForm, NotConverged
from statmech_bn.symbolic.symbols import L, R
from statmech_bn.teacher_student import TeacherStudent

Averages = Callable[[float, float], Any]
AGREEMENT = 1e-6
"""Largest relative difference of two successive rules; the finer one is off by far less."""
POWERS = 0.05
"""A rate below this is that of a power up to the tenth, at several hundred."""
SMALLEST_RANGE = 2.0
"""A series reaches at least to this |γ|."""


@dataclass(frozen=True)
class Quadrature:
    """What the quadrature kernels take besides the state."""

    value_and_slope: Any
    kinks: np.ndarray
    refinement: float
    growth: float
    largest: float

    @classmethod
    def for_activation(cls, activation: Activation) -> Quadrature:
        """Compile the activation and choose how fine its nodes must be.

        Raises
        ------
        NotConverged
            No refinement up to 16 is accurate; the activation varies too fast.
        """
        return _quadrature(activation)

    def averages(self, overlap: float, gamma: float) -> tuple[float, float, float, float]:
        """Integrate (D, A₂, B, B_Δ) for population statistics."""
        self._check(gamma)
        return field_averages(
            self.value_and_slope, self.kinks, overlap, gamma, self.refinement, self.growth
        )

    def batch_averages(
        self, overlap: float, gamma: float, batch_size: int
    ) -> tuple[float, float, float, float]:
        """Integrate (D, A₂, B, B_Δ) for batch statistics of M ≥ 4 samples."""
        fineness = max(1.0, self.refinement / 2)  # its rules are finer than those of quadrature
        return batch_averages(
            self.value_and_slope, self.kinks, overlap, gamma, batch_size, fineness
        )

    def errors(
        self, overlap: np.ndarray, gamma: np.ndarray, bias: np.ndarray | float = 0.0
    ) -> np.ndarray:
        """Integrate ε_g = ½E[(g(h*) − g(γu + β))²] for arrays of states of one dimension."""
        self._check(gamma)
        return self._pairs(overlap, gamma, bias, 1.0)[1]

    def products(self, correlation: Any, first: Any, second: Any) -> np.ndarray:
        """Integrate E[g(a u) g(b v)] for u, v of a correlation, a ≥ 0 and b ≥ 0."""
        self._check(first)
        self._check(second)
        return self._pairs(correlation, first, 0.0, second)[0]

    def moments(self, centres: np.ndarray, width: float) -> np.ndarray:
        """Integrate g, g² and g' over N(centre, width²); returns a row for each centre."""
        activated = self.value_and_slope, self.kinks
        return conditional_moments(*activated, centres, width, self.refinement, self.growth)

    def _pairs(self, *pairs: Any) -> tuple[np.ndarray, np.ndarray]:
        """Integrate both averages of pairs of fields, which are broadcast."""
        arrays = np.broadcast_arrays(*pairs)
        fields = Pairs(*(np.asarray(x, dtype=float).flatten() for x in arrays))
        found = np.empty((2, fields.bias.size))
        rule = self.refinement, self.growth
        pair_averages(self.value_and_slope, self.kinks, fields, *rule, found[0], found[1])
        products, differences = found.reshape(2, *arrays[0].shape)
        return products, differences

    def _check(self, scale: Any) -> None:
        """Refuse scales at which the rules in u miss what the activation does."""
        size = float(np.abs(scale).max(initial=0.0))
        if not size <= self.largest:
            raise NotConverged(
                f"Averages at the scale {size:g} are out of reach: the activation does not settle "
                "away from zero (it oscillates, or grows exponentially), and its quadrature holds "
                f"up to {self.largest:g}. Start at a smaller scale, or bound the activation."
            )


@lru_cache(maxsize=64)
def _quadrature(activation: Activation) -> Quadrature:
    compiled = numba_array_function([activation.expression, activation.derivative], z)
    kinks = np.array(activation.kinks, dtype=float)
    probes = [(0.6, 1.3), (-0.3, 0.4), (0.9, 2.0)]
    growth = _growth(compiled)
    if REACH + 2 * growth > FARTHEST:
        raise _no_quadrature(activation)
    coarse = np.array([field_averages(compiled, kinks, *p, 1.0, growth) for p in probes])
    for refinement in (1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0):
        fine = np.array([field_averages(compiled, kinks, *p, refinement, growth) for p in probes])
        if np.allclose(coarse, fine, rtol=AGREEMENT, atol=AGREEMENT):
            largest = _largest(compiled, kinks, refinement, growth)
            return Quadrature(compiled, kinks, refinement, growth, largest)
        coarse = fine
    raise _no_quadrature(activation)


def _no_quadrature(activation: Activation) -> NotConverged:
    return NotConverged(
        f"Quadrature of {activation.expression} has not converged to {AGREEMENT:g}: it changes "
        "over lengths much shorter than one, or grows too fast for its Gaussian averages to exist. "
        "Rescale it, or bound it: sympy.Min(g, 10)."
    )


def _growth(compiled: Any) -> float:
    """Exponential rate κ at which (g g')² grows far from zero; 0 if it grows like a power."""
    places = np.array([[1.0, 0.5], [-1.0, -0.5]])
    for far in (600.0, 300.0, 150.0, 75.0, 36.0, 18.0):
        points = (far * places).ravel()
        output, slope = np.empty(4), np.empty(4)
        compiled(points, output, slope)
        logarithms = np.log(np.abs([output, slope]).clip(1e-300)).sum(axis=0).reshape(2, 2)
        if np.isfinite(logarithms).all():
            rate = float((logarithms[:, 0] - logarithms[:, 1]).max() / (far / 2))
            return 2 * rate if rate > POWERS else 0.0
    return np.inf


def _largest(compiled: Any, kinks: np.ndarray, refinement: float, growth: float) -> float:
    """Largest |γ| at which the rules hold: they skip oscillations far from zero."""
    if growth > 0:
        return min(STEEP, (FARTHEST - REACH) / growth)
    far = [(overlap, scale * STEEP) for overlap in (0.6, -0.3) for scale in (-20.0, 3.0, 20.0)]
    rows = [
        np.array(
            [field_averages(compiled, kinks, *state, factor * refinement, growth) for state in far]
        )
        for factor in (1.0, 1.37)
    ]
    size = np.abs(rows[0]).max(axis=0)
    settles = (np.abs(rows[0] - rows[1]) <= 10 * AGREEMENT * size).all()
    return np.inf if settles else STEEP


def average_function(setup: TeacherStudent, scale: float) -> Averages:
    """Return (R, γ) ↦ (D, A₂, B, B_Δ) for a setup, closed where they can be.

    Parameters
    ----------
    setup : TeacherStudent
    scale : float
        γ (or L) at the start; the function is fast around it and below.
    """
    try:
        names = (R, SCALE if setup.normalizer.has_scale else L)
        return numba_function([*closed_averages(setup).values()], names)
    except NoClosedForm:
        return field_average_function(setup, scale)


def field_average_function(setup: TeacherStudent, scale: float) -> Averages:
    """Return (R, γ) ↦ (D, A₂, B, B_Δ) for a setup; without a scale γ stands for L.

    Parameters
    ----------
    setup : TeacherStudent
    scale : float
        γ (or L) at the start; the function is fast around it and below.
    """
    integrate = _integral(setup.activation, setup.group)
    series = averages_series(setup.activation, setup.group, series_range(scale))
    if series is None:
        return integrate
    return lambda overlap, gamma: (
        series(overlap, gamma) if series.covers(gamma) else integrate(overlap, gamma)
    )


def series_range(scale: float) -> float:
    """Return the end (with its sign) of a range of γ from 0 that covers `scale` with room."""
    size = SMALLEST_RANGE
    while size < 1.2 * abs(scale) and size < 1e6:
        size *= 2
    return -size if scale < 0 else size


@lru_cache(maxsize=128)
def averages_series(
    activation: Activation, group: int | None, end: float
) -> ChebyshevSeries | None:
    """Series of (D, A₂, B, B_Δ) for γ between 0 and `end`; None if it does not converge.

    Kinks away from zero make the averages vary without a scale where γu and h* cross them
    together; no series follows that.
    """
    if any(kink != 0 for kink in activation.kinks):
        return None

    def make() -> ChebyshevSeries | None:
        return chebyshev_series(_integral(activation, group), min(0.0, end), max(0.0, end))

    return kept(make, "averages", activation, group, end)


@lru_cache(maxsize=64)
def error_series(activation: Activation, end: float) -> ChebyshevSeries | None:
    """Series of ε_g for γ between 0 and `end`; None if it does not converge."""
    if any(kink != 0 for kink in activation.kinks):
        return None

    def make() -> ChebyshevSeries | None:
        rule = Quadrature.for_activation(activation)

        def error(overlap: float, gamma: float) -> tuple[float, ...]:
            return (float(rule.errors(np.array([overlap]), np.array([gamma]))[0]),)

        return chebyshev_series(error, 0.0, end)

    return kept(make, "error", activation, None, end)


def _integral(activation: Activation, group: int | None) -> Averages:
    rule = Quadrature.for_activation(activation)
    if group is None:
        return rule.averages
    return lambda overlap, gamma: rule.batch_averages(overlap, gamma, group)
