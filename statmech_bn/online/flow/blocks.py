r"""The flow on inputs with a covariance: 2d + 1 numbers, (ρ_i, Q_i) block by block and γ.

Derivatives are SymPy's (`statmech_bn.symbolic.structured_flow`), printed for a compiled loop over
the blocks; what the fields enter by is in `statmech_bn.averages.field_terms`.

The solver is LSODA (Petzold 1983). Each block relaxes at its own rate, ηλ_i, and all of them are
coupled by a few sums only. For many blocks its Jacobian is taken to be a band: 10³ of them cost no
factorization of a full matrix, and the error of a step is controlled all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from statmech_bn.averages.field_terms import field_terms_of, moments_of
from statmech_bn.averages.structured import scale_of
from statmech_bn.codegen import numba_inline_function
from statmech_bn.compile_cache import numba
from statmech_bn.interrupts import Watch, in_threads
from statmech_bn.normalization import Normalization
from statmech_bn.online.arguments import Run
from statmech_bn.online.flow.lsoda import integrate_state
from statmech_bn.online.flow.zero_scale import check_scale
from statmech_bn.online.schedules.schedule import Pieces
from statmech_bn.spectrum import Spectrum
from statmech_bn.symbolic import structured_flow as s
from statmech_bn.teacher_student import OrderParameters, TeacherStudent

BAND = 1
"""ρ_i and Q_i of a block are neighbours, and only they are within the Jacobian's band."""


def integrate_blocks(
    setup: TeacherStudent,
    spectrum: Spectrum,
    start: OrderParameters,
    run: Run,
    schedule: Pieces,
    progress: bool | None = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Integrate all trajectories.

    Returns
    -------
    student_teacher, student_student : ndarray, (learning rates, times, blocks)
    gamma : ndarray, (learning rates, times)
    diverged_at : ndarray, (learning rates,)

    Raises
    ------
    InvalidSetup
        γ = 0 at the start of an activation with a kink there.
    NotConverged
        The solver gave up.
    """
    check_scale(setup, start)
    flow = _flow(setup, spectrum, start)
    rho, q = start.blocks(spectrum)
    first = np.append(np.stack([rho, q], axis=1).ravel(), start.gamma)
    learners = np.stack([run.learning_rate, run.gamma_learning_rate], axis=1)
    weights = np.stack([np.ones(rho.size), spectrum.eigenvalues / spectrum.teacher_variance])

    def length(states: np.ndarray) -> np.ndarray:
        """Return the larger of L and σ_h/σ_* of states along the first axis."""
        return np.sqrt(np.maximum((weights @ states[1:-1:2]).max(axis=0), 0.0))

    def one(rates: np.ndarray, watch: Watch) -> tuple[np.ndarray, float]:
        return integrate_state(
            flow, rates, first, run.time, schedule, length, BAND, advance=watch.reach
        )

    found = in_threads(  # in one thread: Python's lock is held
        one, list(learners), 1, progress=progress, label="macroscopic", unit="rates"
    )
    states, diverged_at = (np.array(part) for part in zip(*found, strict=True))
    states = np.moveaxis(states, 1, -1)
    return states[..., :-1:2], states[..., 1::2], states[..., -1], diverged_at


def _flow(
    setup: TeacherStudent, spectrum: Spectrum, start: OrderParameters
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return (state, (η, η_γ)) ↦ derivatives."""
    rule, moments = setup.normalizer, moments_of(spectrum)
    move_blocks = _loop(rule)
    spread_at_start = float(np.sqrt(start.blocks(spectrum)[1] @ spectrum.eigenvalues))
    scale = scale_of(rule, spread_at_start, start.length, start.gamma)
    terms_of = field_terms_of(setup, spectrum, scale)

    def flow(state: np.ndarray, rates: np.ndarray) -> np.ndarray:
        rate, gamma_rate = rates
        *terms, gain = terms_of(state)
        found = np.empty_like(state)
        move_blocks(state, moments, (rate, setup.weight_decay), tuple(terms), found)
        found[-1] = gamma_rate * (gain - 2.0 * setup.gamma_decay * state[-1]) * rule.has_scale
        return found

    return flow


@lru_cache(maxsize=8)
def _loop(rule: Normalization) -> Any:
    """Compile the loop over blocks."""
    block = numba_inline_function(s.block_rates(rule), s.BLOCK)

    @numba.njit(nogil=True, error_model="numpy")
    def rates(state, moments, decays, terms, found):
        for i in range(moments.shape[1]):
            found[2 * i], found[2 * i + 1] = block(
                state[2 * i], state[2 * i + 1], moments[1, i], moments[0, i], moments[2, i],
                *decays, *terms,
            )  # fmt: skip

    return rates
