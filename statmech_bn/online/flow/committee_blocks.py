r"""The flow of committees on inputs with a covariance: ρ_i and Q_i of each block, γ and v.

Block i has the eigenvalue λ_i and the part f_i of all directions, and the teacher the products T_i
there. The fields x = (h*, h) have the covariance G of the matrices Σ λ_i T_i, Σ λ_i ρ_i and
Σ λ_i Q_i; their parts x_i from block i are Gaussian, too, with cov(x_i, x) = V_i of the matrices
λ_i T_i, λ_i ρ_i and λ_i Q_i. A gradient c depends on the inputs by x alone, so that with
F_kj = E[Σ_m c_km x_jm]

    E[Σ_m c_km x_ijm] = (F G⁻¹ V_i)_kj,        E[Σ_m (c_k x)_i·(c_l x)_i]/N = λ_i f_i N_kl,

and the rates are those of isotropic inputs (`statmech_bn.symbolic.committee_flow`) with these in
place of F and N; s_k is λ_i s_k, if the step is orthogonal to w_k in the sense of the fields
("population"). c has γ_k/|w_k| for "weight" and γ_k/σ_k for others, σ_k² = G_kk; averages are
those of the scale γ_kσ_k/|w_k|, or γ_k.

A start has random directions beside the teacher's: with P = ρ T⁻¹, ρ_i = P T_i and
Q_i = P T_i Pᵀ + f_i (Q − P ρᵀ).
"""

from __future__ import annotations

from functools import partial

import numpy as np

from statmech_bn.codegen import numpy_function
from statmech_bn.interrupts import Watch
from statmech_bn.online.arguments import Run
from statmech_bn.online.flow.committee import (
    CommitteeFlow,
    Found,
    Records,
    all_trajectories,
    tolerances_of,
)
from statmech_bn.online.flow.lsoda import ABSOLUTE, RELATIVE, integrate_state
from statmech_bn.online.flow.zero_scale import check_scale
from statmech_bn.online.schedules.schedule import Pieces
from statmech_bn.spectrum import Spectrum
from statmech_bn.symbolic import committee_flow as s
from statmech_bn.teacher_student import OrderParameters, TeacherStudent

SINGULAR = 1e-12
"""Directions in which fields vary by less than this part of the largest do not vary."""


class BlockFlow:
    """The derivatives of a state by blocks, for any setup.

    A state is one vector: ρ_i row by row and the upper triangle of Q_i of each block, γ, v.

    Parameters
    ----------
    setup : TeacherStudent
    spectrum : Spectrum
    largest : float
        Largest standard deviation of g's arguments at the start.
    finer : int
        Averages that are not closed have two to this power times as many points as usual.
    threads : int
        Those over batches are computed in so many threads.
    """

    def __init__(
        self,
        setup: TeacherStudent,
        spectrum: Spectrum,
        largest: float,
        finer: int = 0,
        threads: int = 1,
    ) -> None:
        self.setup, self.spectrum, self.rule = setup, spectrum, setup.normalizer
        self.flow = CommitteeFlow(setup, largest, finer, threads)
        self.triangle = np.triu_indices(setup.student_units)
        self.shares = spectrum.teacher[:, None, None] * setup.teacher_gram
        rho, q, gamma, v = s.committee_rates()
        self.entries = (
            numpy_function([rho], s.TEACHER), numpy_function([q], s.STUDENT),
            numpy_function([gamma], s.SCALE), numpy_function([v], s.READOUT),
        )  # fmt: skip

    @property
    def error(self) -> float:
        """Relative error of the last averages."""
        return self.flow.error

    def pack(self, rho: np.ndarray, q: np.ndarray, gamma: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Return the vector of ρ (blocks, K, K*), Q (blocks, K, K), γ and v."""
        triangles = q[:, *self.triangle]
        blocks = np.concatenate([rho.reshape(len(rho), -1), triangles], axis=1)
        return np.concatenate([blocks.ravel(), gamma, v])

    def unpack(self, states: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return ρ, Q, γ and v of vectors along the last axis."""
        units, teachers = self.setup.student_units, self.setup.teacher_units
        blocks, gamma, v = np.split(states, [-2 * units, -units], axis=-1)
        blocks = blocks.reshape(*states.shape[:-1], self.spectrum.blocks, -1)
        rho, triangles = np.split(blocks, [units * teachers], axis=-1)
        q = np.empty((*triangles.shape[:-1], units, units))
        rows, columns = self.triangle
        q[..., rows, columns] = q[..., columns, rows] = triangles
        return rho.reshape(*q.shape[:-1], teachers), q, gamma, v

    def start(self, start: OrderParameters) -> np.ndarray:
        """Return the state of a start."""
        rho, q, gamma, v = start.matrices(self.setup)
        along = np.linalg.solve(self.setup.teacher_gram, rho.T).T
        part = along @ self.shares
        beside = self.spectrum.fractions[:, None, None] * (q - along @ rho.T)
        return self.pack(part, part @ along.T + beside, gamma, v)

    def covariances(self, rho: np.ndarray, q: np.ndarray) -> np.ndarray:
        """Return V_i, (blocks, D, D)."""
        across = rho.swapaxes(-1, -2)
        found = np.concatenate(
            [np.concatenate([self.shares, across], -1), np.concatenate([rho, q], -1)], -2
        )
        return self.spectrum.eigenvalues[:, None, None] * found

    def __call__(self, state: np.ndarray, rates: np.ndarray) -> np.ndarray:
        """Return the derivatives of a state; `rates` are η, η_γ and η_v."""
        rho, q, gamma, readout = self.unpack(state)
        teachers, decay = self.setup.teacher_units, self.setup.weight_decay
        eigenvalues = self.spectrum.eigenvalues[:, None, None]
        parts = self.covariances(rho, q)
        gram = parts.sum(axis=0)
        variance = np.diag(gram)[teachers:]
        squares = np.diag(q.sum(axis=0)) if self.rule.by_weights else variance
        widening = np.sqrt(variance / squares)
        averages = self.flow.averages(gram, gamma * widening, readout)
        grown = averages.along @ np.linalg.pinv(gram, rcond=SINGULAR, hermitian=True) @ parts
        turn = np.zeros((1, gamma.size, 1))
        if self.rule.by_length:
            turn = np.diag(averages.along[:, teachers:])[None, :, None] / squares[:, None]
        if self.rule.by_covariance:
            turn = turn * eigenvalues
        noise = eigenvalues * self.spectrum.fractions[:, None, None] * averages.noise
        of_rho, of_q, of_gamma, of_v = self.entries
        along, among = grown[..., :teachers], grown[..., teachers:]
        turned = turn, turn.swapaxes(-1, -2)
        moved = (
            of_rho(rho, along, turn, rates[0], decay)[0],
            of_q(q, among, among.swapaxes(-1, -2), *turned, noise, rates[0], decay)[0],
            of_gamma(gamma, averages.pull * widening, rates[1], self.setup.gamma_decay)[0]
            * self.rule.has_scale,
            of_v(averages.readout, rates[2])[0],
        )
        return self.pack(*moved)


def integrate_committee_blocks(
    setup: TeacherStudent,
    spectrum: Spectrum,
    start: OrderParameters,
    run: Run,
    schedule: Pieces,
    threads: int,
    accuracy: float | None = None,
    progress: bool | None = False,
) -> tuple[Records, np.ndarray]:
    """Integrate all trajectories.

    Returns
    -------
    records : tuple of ndarray
        As of `statmech_bn.online.flow.committee.integrate_committee`, with an axis of blocks before
        the units in ρ and Q.
    error : ndarray, (learning rates, times)
        Relative error of the averages; 0 where they are closed.

    Raises
    ------
    InvalidSetup
        γ = 0 at the start of an activation with a kink there.
    NotConverged
        The solver gave up, or the averages do not reach the accuracy that is asked for.
    """
    check_scale(setup, start)
    _, q, gamma, _ = start.matrices(setup)
    mean = spectrum.fractions @ spectrum.eigenvalues
    spread = float(np.sqrt(mean * np.diag(q).max()))
    own = float(np.sqrt(mean) * np.abs(gamma).max()) if setup.normalizer.has_scale else spread
    teacher = float(np.sqrt(spectrum.teacher_variance * np.diag(setup.teacher_gram).max()))
    flow_of = partial(BlockFlow, setup, spectrum, max(own, teacher))

    def integrate(flow: BlockFlow, rates: np.ndarray, watch: Watch) -> Found:
        return _trajectory(flow, rates, start, run, schedule, watch)

    found = all_trajectories(flow_of, integrate, setup, run, threads, accuracy, progress)
    states, diverged_at, error = found
    return (*flow_of().unpack(states), diverged_at), error


def _trajectory(
    flow: BlockFlow,
    rates: np.ndarray,
    start: OrderParameters,
    run: Run,
    schedule: Pieces,
    watch: Watch,
) -> Found:
    """Integrate one trajectory; errors of averages that are closed are 0."""
    first, closed = flow.start(start), flow.flow.system is not None

    def length(states: np.ndarray) -> np.ndarray:
        squares = np.diagonal(flow.unpack(states.T)[1].sum(axis=-3), axis1=-2, axis2=-1)
        return np.sqrt(np.abs(squares).max(axis=-1))

    band = (first.size - 2 * flow.setup.student_units) // flow.spectrum.blocks
    states, diverged_at = integrate_state(
        flow, rates, first, run.time, schedule, length, band=band,
        tolerances=(RELATIVE, ABSOLUTE) if closed else tolerances_of(flow.flow),
        advance=watch.reach,
    )  # fmt: skip
    errors = np.where(np.isfinite(states).all(axis=0), 0.0, np.inf)
    for i in () if closed else np.flatnonzero(errors == 0.0):
        flow(states[:, i], rates)
        errors[i] = flow.error
    return states, diverged_at, errors
