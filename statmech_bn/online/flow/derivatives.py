r"""The flow as a compiled function: SymPy's derivatives of (R, log L, γ), printed for Numba.

The form of the flow in terms of the averages D, A₂ and B is SymPy's. Where the averages have a
closed form it is substituted; elsewhere a Chebyshev series or an integral gives them for each state
to the compiled rest. What a setup has besides its normalization and its activation (M, Δ², ζ, λ)
are arguments of the compiled function, so that a phase diagram compiles one for each student.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import sympy as sp

from statmech_bn import symbolic as s
from statmech_bn.activations import Activation
from statmech_bn.averages.choice import averages_series, field_average_function, series_range
from statmech_bn.averages.closed import (
    AVERAGES,
    LABEL_NOISE,
    SCALE,
    closed_expressions,
    coefficients_of,
)
from statmech_bn.codegen import numba_function, numba_vector_function
from statmech_bn.errors import NoClosedForm
from statmech_bn.normalization import Normalization
from statmech_bn.online.arguments import LARGEST_LENGTH
from statmech_bn.online.flow.trajectory import CompiledFlow
from statmech_bn.online.flow.zero_scale import jumps_at_zero
from statmech_bn.teacher_student import TeacherStudent

LARGEST_LOG_LENGTH = math.log(LARGEST_LENGTH)
SATURATED_LOG_LENGTH = math.log(1e120)
"""The flow of a longer student is computed at this length, so that η²L² stays a float."""

Flow = Callable[..., tuple[float, ...]]
LOG_LENGTH = sp.Symbol("ell", real=True)
STATE = {
    s.R: sp.Max(-1, sp.Min(1, s.R)),  # a trial step of the solver may leave [−1, 1]
    s.L: sp.exp(sp.Min(LOG_LENGTH, SATURATED_LOG_LENGTH)),
    s.gamma: SCALE,
}
ARGUMENTS = (s.R, LOG_LENGTH, SCALE, s.eta, s.eta_gamma)
CONSTANTS = (s.M, s.Delta, s.zeta, s.lamda)


@lru_cache(maxsize=256)
def compiled_flow(setup: TeacherStudent, scale: float) -> CompiledFlow | None:
    """Compile the flow of a setup; None if its averages must be integrated for each state.

    Parameters
    ----------
    setup : TeacherStudent
    scale : float
        γ at the start (L without a scale), around which a series must hold.
    """
    rule, activation = setup.normalizer, setup.activation
    compiled, tail = _callback(rule, activation), np.array(_tail(setup))
    of_length, kinked = not rule.has_scale, jumps_at_zero(setup)
    if _derivatives(rule, activation)[2]:
        empty = np.empty((0, 0)), np.empty(0, dtype=np.int64)
        return CompiledFlow(compiled, of_length, kinked, tail, *empty)
    series = averages_series(activation, setup.group, series_range(scale))
    if series is None:
        return None
    packed = series.packed()
    return CompiledFlow(compiled, of_length, kinked, tail, *packed, series.lower, series.upper)


@lru_cache(maxsize=64)
def _callback(rule: Normalization, activation: Activation) -> Any:
    return numba_vector_function(*_derivatives(rule, activation)[:2])


@lru_cache(maxsize=256)
def flow_function(setup: TeacherStudent, scale: float) -> Flow:
    """Compile (R, log L, γ, η, η_γ) ↦ time derivatives of (R, log L, γ), for any setup.

    Parameters
    ----------
    setup : TeacherStudent
    scale : float
        γ at the start (L without a scale), around which integrated averages are made fast.

    Returns
    -------
    callable
    """
    derivatives, arguments, closed = _derivatives(setup.normalizer, setup.activation)
    compiled = numba_function(derivatives, arguments)
    numbers = _tail(setup)
    if closed:
        return lambda *point: compiled(*point, *numbers)
    averages = field_average_function(setup, scale)
    of_length = not setup.normalizer.has_scale
    constants = numbers[: len(CONSTANTS)]

    def flow(overlap: float, log_length: float, gamma: float, *rates: float) -> tuple[float, ...]:
        size = math.exp(min(log_length, SATURATED_LOG_LENGTH)) if of_length else gamma
        values = averages(min(1.0, max(-1.0, overlap)), size)
        return compiled(overlap, log_length, gamma, *rates, *constants, *values)

    return flow


@lru_cache(maxsize=64)
def _derivatives(
    rule: Normalization, activation: Activation
) -> tuple[tuple[sp.Expr, ...], tuple[sp.Symbol, ...], bool]:
    """Derivatives of (R, log L, γ), their arguments, and whether the averages are closed."""
    flow = s.order_parameter_flow(rule)
    rates = [flow[s.R], flow[s.L] / s.L, flow.get(s.gamma, sp.S.Zero)]
    rates = [rate.subs(s.B, s.B + s.Delta**2 * LABEL_NOISE) for rate in rates]
    try:
        averages, coefficients = closed_expressions(rule, activation)
    except NoClosedForm:
        arguments = (*ARGUMENTS, *CONSTANTS, *AVERAGES)
        return tuple(rate.subs(STATE) for rate in rates), arguments, False
    arguments = (*ARGUMENTS, *CONSTANTS, *coefficients)
    return tuple(rate.subs(averages).subs(STATE) for rate in rates), arguments, True


def _tail(setup: TeacherStudent) -> list[float]:
    """Return a setup's constants, and the coefficients of its averages if they are closed."""
    constants = [setup.batch_size, setup.label_noise, setup.gamma_decay, setup.weight_decay]
    numbers = [float(constant) for constant in constants]
    try:
        return numbers + [float(value) for value in coefficients_of(setup).values()]
    except NoClosedForm:
        return numbers + [0.0] * len(AVERAGES)
