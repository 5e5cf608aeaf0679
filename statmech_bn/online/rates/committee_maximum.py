r"""The largest learning rate at which a committee improves.

Along the flow at the learning rate η the weights' products move by

    d(ρ, Q)/dt = η f₁ + η² f₂,

f₁ the mean gradient (and decay), f₂ the noise of steps of M samples, in Q alone. At the scales and
the second layer of the state, the error then changes by dε_g/dt = η ∇ε_g·f₁ + η² ∇ε_g·f₂, which is
negative below

    η_max = −∇ε_g·f₁/∇ε_g·f₂.

For K = K* = 1 this is the η at which dR/dt changes sign with a scale, and dε_g/dt without one
(`statmech_bn.rates.maximum`). Derivatives along f₁ and f₂ are central differences.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from statmech_bn.averages.pairs import committee_error
from statmech_bn.checks import instance
from statmech_bn.online.flow.committee_rates import pack, unpack
from statmech_bn.online.rates.states import State, as_array
from statmech_bn.teacher_student import OrderParameters, TeacherStudent

if TYPE_CHECKING:
    from statmech_bn.online.flow.committee import CommitteeFlow

STEP = 1e-4
"""Differences are of states so far apart, in units of the largest Q_kk."""
STATE = ("student_teacher", "student_student", "gamma", "readout")


def committee_maximum(setup: TeacherStudent, state: State) -> Any:
    """Find the learning rate below which committees improve.

    Parameters
    ----------
    setup : TeacherStudent
    state : OrderParameters or xarray.Dataset
        Matrices, or a result of any level.

    Returns
    -------
    float or xarray.DataArray
        η_max ≥ 0: inf where every learning rate improves, 0 where none does or the run has
        diverged.
    """
    if isinstance(state, OrderParameters):
        return _of_state(setup, *state.matrices(setup))
    instance("state", state, xr.Dataset, "sbn.OrderParameters(student_teacher=…, …)")
    template = state["generalization_error"]
    parts = [state[name].transpose(*template.dims, ...).values for name in STATE]
    flat = [a.reshape(template.size, *a.shape[template.ndim :]) for a in parts]
    found = [_of_state(setup, *row) for row in zip(*flat, strict=True)]
    return as_array(np.array(found).reshape(template.shape), template, "maximum_rate")


def _of_state(
    setup: TeacherStudent, rho: np.ndarray, q: np.ndarray, gamma: np.ndarray, readout: np.ndarray
) -> float:
    """Return η_max of one state."""
    from statmech_bn.online.flow.committee import CommitteeFlow  # it needs this room's averages

    if not all(np.isfinite(a).all() for a in (rho, q, gamma, readout)):
        return 0.0
    own = np.abs(gamma) if setup.normalizer.has_scale else np.sqrt(np.diag(q))
    largest = float(max(own.max(), np.sqrt(np.diag(setup.teacher_gram)).max()))
    flow: CommitteeFlow = CommitteeFlow(setup, largest)
    first = pack(rho, q, gamma, readout)
    once, twice = (flow(first, np.array([rate, 0.0, 0.0])) for rate in (1.0, 2.0))
    noise = (twice - 2 * once) / 2
    drive = once - noise
    improves, disturbs = -_slope(setup, first, drive), _slope(setup, first, noise)
    if not improves > 0:
        return 0.0
    return improves / disturbs if disturbs > 0 else np.inf


def _slope(setup: TeacherStudent, state: np.ndarray, direction: np.ndarray) -> float:
    """Return ∇ε_g·direction, at the state's γ and v."""
    units, teachers = setup.student_units, setup.teacher_units
    rho, q, gamma, readout = unpack(state, units, teachers)
    d_rho, d_q, _, _ = unpack(direction, units, teachers)
    size = max(np.abs(d_rho).max(), np.abs(d_q).max())
    if size == 0:
        return 0.0
    step = STEP * np.diag(q).max() / size
    ahead, back = (
        committee_error(setup, *(a[None] for a in (rho + h * d_rho, q + h * d_q, gamma, readout)))
        for h in (step, -step)
    )
    return float((ahead - back).item() / (2 * step))
