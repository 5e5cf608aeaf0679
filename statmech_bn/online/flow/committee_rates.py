r"""Derivatives of a committee's state, from the averages over the fields of a step.

The state is one vector, (ρ row by row, the upper triangle of Q row by row, γ, v). The entries'
rates are SymPy's (`statmech_bn.symbolic.committee_flow`); the loops over units are here.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from statmech_bn.codegen import numba_inline_function
from statmech_bn.compile_cache import numba
from statmech_bn.symbolic import committee_flow as s

compiled = numba.njit(cache=True, nogil=True, error_model="numpy")
_RHO, _Q, _GAMMA, _V = s.committee_rates()
teacher_rate = numba_inline_function([_RHO], s.TEACHER)
student_rate = numba_inline_function([_Q], s.STUDENT)
scale_rate = numba_inline_function([_GAMMA], s.SCALE)
readout_rate = numba_inline_function([_V], s.READOUT)


class Learning(NamedTuple):
    """Numbers of a setup that the rates of a state need.

    Attributes
    ----------
    has_scale, by_length : bool
        What the normalization does (`statmech_bn.normalization.base`).
    batch_size : float
        M.
    label_noise, gamma_decay, weight_decay : float
        Δ, ζ and λ.
    overlaps : ndarray, (K*, K*)
        T.
    readout : ndarray, (K*,)
        v*.
    """

    has_scale: bool
    by_length: bool
    batch_size: float
    label_noise: float
    gamma_decay: float
    weight_decay: float
    overlaps: np.ndarray
    readout: np.ndarray


class Averages(NamedTuple):
    """Averages over the fields of a step.

    Attributes
    ----------
    along : ndarray, (K, K* + K)
        F_kj = E[Σ_m c_km x_jm], x = (h*, h).
    noise : ndarray, (K, K)
        N_kl = E[Σ_m c_km c_lm].
    pull, readout : ndarray, (K,)
        P_k and E_k.
    """

    along: np.ndarray
    noise: np.ndarray
    pull: np.ndarray
    readout: np.ndarray


def empty_averages(students: int, teachers: int) -> Averages:
    """Allocate for K and K* units."""
    square = np.zeros((students, students))
    along = np.zeros((students, teachers + students))
    return Averages(along, square, np.zeros(students), np.zeros(students))


def pack(rho: np.ndarray, q: np.ndarray, gamma: np.ndarray, readout: np.ndarray) -> np.ndarray:
    """Return the vector of a state."""
    return np.concatenate([rho.ravel(), q[np.triu_indices(len(q))], gamma, readout])


def unpack(
    states: np.ndarray, students: int, teachers: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return ρ, Q, γ and v of vectors along the last axis."""
    ends = np.cumsum([students * teachers, students * (students + 1) // 2, students])
    rho, triangle, gamma, readout = np.split(states, ends, axis=-1)
    q = np.empty((*states.shape[:-1], students, students))
    rows, columns = np.triu_indices(students)
    q[..., rows, columns] = q[..., columns, rows] = triangle
    return rho.reshape(*states.shape[:-1], students, teachers), q, gamma, readout


@compiled
def diagonal(k, students, teachers):
    """Return where Q_kk stands in a state."""
    return students * teachers + k * students - k * (k - 1) // 2


@compiled
def gram_of(state, learning, gram):
    """Fill the covariance of x = (h*, h)."""
    teachers = learning.readout.size
    students = gram.shape[0] - teachers
    for n in range(teachers):
        for j in range(teachers):
            gram[n, j] = learning.overlaps[n, j]
    for k in range(students):
        own = diagonal(k, students, teachers)
        for n in range(teachers):
            gram[teachers + k, n] = gram[n, teachers + k] = state[k * teachers + n]
        for m in range(k, students):
            gram[teachers + k, teachers + m] = gram[teachers + m, teachers + k] = state[own + m - k]


@compiled
def arguments_of(state, learning, gram, factors, weights):
    """Fill the factors of z_j = factor_j x_j, and ω; the covariance of x is there already."""
    teachers = learning.readout.size
    students = gram.shape[0] - teachers
    scale = state.size - 2 * students
    for n in range(teachers):
        factors[n], weights[n] = 1.0, learning.readout[n]
    for k in range(students):
        factors[teachers + k] = 1.0
        if learning.has_scale:
            square = gram[teachers + k, teachers + k]
            factors[teachers + k] = state[scale + k] / math.sqrt(square)
        weights[teachers + k] = -state[scale + students + k]


@compiled
def rates_of(state, learning, averages, rates, found):
    """Fill the derivatives of a state; `rates` are η, η_γ and η_v."""
    students, d = averages.along.shape
    teachers = d - students
    scale = state.size - 2 * students
    eta, decay = rates[0], learning.weight_decay
    turn = np.zeros(students)
    if learning.by_length:
        for k in range(students):
            square = state[diagonal(k, students, teachers)]
            turn[k] = averages.along[k, teachers + k] / square
    for k in range(students):
        for n in range(teachers):
            i = k * teachers + n
            found[i] = teacher_rate(state[i], averages.along[k, n], turn[k], eta, decay)
        for m in range(k, students):
            i = diagonal(k, students, teachers) + m - k
            found[i] = student_rate(
                state[i], averages.along[k, teachers + m], averages.along[m, teachers + k],
                turn[k], turn[m], averages.noise[k, m], eta, decay,
            )  # fmt: skip
        i = scale + k
        found[i] = 0.0
        if learning.has_scale:
            found[i] = scale_rate(state[i], averages.pull[k], rates[1], learning.gamma_decay)
        found[i + students] = readout_rate(averages.readout[k], rates[2])
