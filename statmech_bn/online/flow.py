r"""The flow as a compiled function: SymPy's derivatives of (R, log L, γ), printed for Numba.

The form of the flow in terms of the averages D, A₂ and B is SymPy's. Where the averages have a
closed form it is substituted, and one compiled function gives the derivatives; elsewhere the
averages are integrated for each state and handed to the compiled rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import sympy as sp

from statmech_bn import symbolic as s
from statmech_bn.codegen import numba_function
from statmech_bn.errors import NoClosedForm
from statmech_bn.online.averages import field_average_function
from statmech_bn.teacher_student import TeacherStudent

LARGEST_LOG_LENGTH = math.log(1e150)
"""A student longer than this has diverged; the flow goes on as if it were no longer."""

Flow = Callable[..., tuple[float, ...]]
LABEL_NOISE = sp.Symbol("B_Delta", nonnegative=True)
LOG_LENGTH = sp.Symbol("ell", real=True)
SCALE = sp.Symbol("scale", real=True)  # γ of either sign; symbolic.gamma is positive
AVERAGES = (s.D, s.A, s.B, LABEL_NOISE)
STATE = {
    s.R: sp.Max(-1, sp.Min(1, s.R)),  # a trial step of the solver may leave [−1, 1]
    s.L: sp.exp(sp.Min(LOG_LENGTH, LARGEST_LOG_LENGTH)),
    s.gamma: SCALE,
}
ARGUMENTS = (s.R, LOG_LENGTH, SCALE, s.eta, s.eta_gamma)


@lru_cache(maxsize=256)
def flow_function(setup: TeacherStudent, scale: float) -> Flow:
    """Compile (R, log L, γ, η, η_γ) ↦ time derivatives of (R, log L, γ).

    Parameters
    ----------
    setup : TeacherStudent
    scale : float
        γ at the start (L for "none"), around which integrated averages are made fast.

    Returns
    -------
    callable
    """
    flow = s.order_parameter_flow(setup.normalization)
    constants = {
        s.B: s.B + setup.label_noise**2 * LABEL_NOISE,
        s.M: setup.batch_size,
        s.zeta: setup.gamma_decay,
        s.lamda: setup.weight_decay,
    }
    derivatives = [
        rate.subs(constants) for rate in (flow[s.R], flow[s.L] / s.L, flow.get(s.gamma, sp.S.Zero))
    ]
    try:
        averages = closed_averages(setup)
    except NoClosedForm:
        return _integrated_flow(setup, scale, derivatives)
    return numba_function([e.subs(averages).subs(STATE) for e in derivatives], ARGUMENTS)


def closed_averages(setup: TeacherStudent) -> dict[sp.Symbol, sp.Expr]:
    """Closed D, A₂, B and B_Δ of a setup, for γ of either sign."""
    if setup.normalization == "batch":
        # Γ(M/2) overflows a double at M > 340, so SymPy evaluates what depends on M.
        batch_size = sp.Float(setup.batch_size, 30)
        closed = s.batch_field_averages(setup.activation)
        closed = tuple(e.subs(s.M, batch_size).evalf(17) for e in closed)
    else:
        closed = s.field_averages(setup.activation)
    if setup.normalization == "none":
        return dict(zip(AVERAGES, (e.subs(s.gamma, s.L) for e in closed), strict=True))
    # Derived for γ > 0; (u, γ, R) and (−u, −γ, −R) are one system, and only A₂ is odd in u.
    sign = sp.Piecewise((1, SCALE >= 0), (-1, True))
    mirror = {s.R: sign * s.R, s.gamma: sp.Abs(SCALE)}
    drive, pull, noise, label_noise = (e.subs(mirror, simultaneous=True) for e in closed)
    return dict(zip(AVERAGES, (drive, sign * pull, noise, label_noise), strict=True))


def _integrated_flow(setup: TeacherStudent, scale: float, derivatives: list[sp.Expr]) -> Flow:
    """Flow whose averages are integrated for each state."""
    averages = field_average_function(setup, scale)
    compiled = numba_function([e.subs(STATE) for e in derivatives], [*ARGUMENTS, *AVERAGES])
    of_length = setup.normalization == "none"

    def flow(overlap: float, log_length: float, gamma: float, *rates: float) -> tuple[float, ...]:
        size = math.exp(min(log_length, LARGEST_LOG_LENGTH)) if of_length else gamma
        values = averages(min(1.0, max(-1.0, overlap)), size)
        return compiled(overlap, log_length, gamma, *rates, *values)

    return flow
