r"""The flow of committees, integrated: K K* + K(K+1)/2 + 2K numbers, (ρ, Q, γ, v)."""

from __future__ import annotations

import numpy as np

from statmech_bn.activations import Activation
from statmech_bn.averages.committee_closed import closed_averages, make_room
from statmech_bn.normalization import Normalization
from statmech_bn.online.flow.committee_rates import Learning, empty_averages
from statmech_bn.online.flow.committee_trajectory import System, committee_trajectory


def closed_system(
    activation: Activation, rule: Normalization, learning: Learning, students: int
) -> System:
    """Return what compiled trajectories need.

    Raises
    ------
    NoClosedForm
        The averages are not closed.
    """
    teachers = learning.readout.size
    d = students + teachers
    room, averages = make_room(students, teachers), empty_averages(students, teachers)
    gram, factors = np.zeros((d, d)), np.ones(d)
    callbacks = closed_averages(activation)
    return System(*callbacks, learning, room, averages, gram, factors)
