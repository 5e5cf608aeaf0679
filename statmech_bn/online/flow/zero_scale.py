r"""Where the flow goes from γ = 0, the one state at which every field of a student is a kink's.

At γ = 0 all φ vanish, so that δ_m = g'(0)(y_m − g(0)). Without a kink at zero nothing is special.
With one, g'(0) is the slope c₀ of least magnitude (`statmech_bn.activations`), while at γ → 0±
the slope is that of the side of γu. So

    c₀ = 0    no sample moves w or γ:  R = R₀,  γ = 0,  log L = log L₀ − λ∫η dt    for ever;
    c₀ ≠ 0    the first step leaves γ = 0, and A₂ at γ → 0± says where to:
              A₂(0+) > 0 < A₂(0−)  to γ > 0,      A₂(0+) < 0 > A₂(0−)  to γ < 0,
              A₂(0+) < 0 < A₂(0−)  back: within O(1/N) it rests as with c₀ = 0.

Where A₂ leads away on both sides, N → ∞ has no single limit: the samples of the first step choose
the side. A trajectory that comes to γ = 0 later passes or rests by the same signs, whatever c₀ is:
it comes to the neighbourhood of zero, never to zero (`statmech_bn.online.flow.trajectory`). It does
not leave again, since R rests too and A₂(0±) depends on R alone. That is the sliding solution of
A. F. Filippov, Differential Equations with Discontinuous Righthand Sides (Kluwer, 1988).
"""

from __future__ import annotations

import numpy as np

from statmech_bn.activations import z
from statmech_bn.errors import invalid
from statmech_bn.online.flow.trajectory import NEAREST
from statmech_bn.online.rates.states import averages
from statmech_bn.online.schedules.pieces import integral_until
from statmech_bn.online.schedules.schedule import Pieces
from statmech_bn.teacher_student import OrderParameters, TeacherStudent


def jumps_at_zero(setup: TeacherStudent) -> bool:
    """Return whether γ = 0 puts every field at a kink."""
    return setup.normalizer.has_scale and 0.0 in setup.activation.kinks


def leaving(setup: TeacherStudent, start: OrderParameters) -> float | None:
    """Return the γ from which the flow of a start is integrated; None if the start rests.

    Raises
    ------
    InvalidSetup
        The start is at a kink and N → ∞ has no single limit.
    """
    if start.gamma != 0 or not jumps_at_zero(setup):
        return start.gamma
    if setup.activation.derivative.subs(z, 0) == 0:
        return None
    pulls = averages(setup, np.full(2, start.overlap), np.array([NEAREST, -NEAREST]))[1]
    if (pulls > 0).all():
        return NEAREST
    if (pulls < 0).all():
        return -NEAREST
    if pulls[0] <= 0 <= pulls[1]:
        return None
    raise invalid(
        "start.gamma",
        "a number other than 0 where g has a kink at 0 and γ is drawn away on both sides",
        start.gamma,
        f"dγ/dt is η_γ times {pulls[0]:.3g} just above 0 and {pulls[1]:.3g} just below, and the "
        "samples of the first step decide. Start at a small γ ≠ 0, or use mesoscopic, whose "
        "replicas part.",
    )


def check_scale(setup: TeacherStudent, start: OrderParameters) -> None:
    """Refuse scales at which a flow of blocks or of several units jumps.

    Raises
    ------
    InvalidSetup
        γ = 0 at the start of an activation with a kink there.
    """
    if jumps_at_zero(setup) and not np.all(start.gamma):
        raise invalid(
            "start.gamma", "numbers other than 0 where g has a kink at 0", start.gamma,
            "Start at a small γ ≠ 0.",
        )  # fmt: skip


def resting(
    setup: TeacherStudent, rates: np.ndarray, first: np.ndarray, schedule: Pieces, time: np.ndarray
) -> np.ndarray:
    """Return (R, log L, γ) of students that only weight decay moves, shape (rates, 3, times)."""
    states = np.broadcast_to(first[:, None], (len(rates), 3, time.size)).copy()
    passed = np.array([integral_until(*schedule, moment) for moment in time.tolist()])
    states[:, 1] -= setup.weight_decay * rates[:, :1] * passed
    return states
