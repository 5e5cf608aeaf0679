r"""The exact chain of a committee: O(D M + D³) a step for D = K* + K units, whatever N is.

The rows of (w*, w) have the Gram matrix N C Cᵀ with C lower triangular, the teacher's K* rows first
(`statmech_bn.teacher_student.gram`). For Gaussian inputs a step needs

    Z ~ N(0, 1), D × M         the inputs along the D directions, so that (h*, h) = C Z,
    A, lower triangular        A_ii² ~ χ²(N − D − i), A_ij ~ N(0, 1) (Bartlett 1933),

where A has min(K, M) rows. From the fields follow e = Σ v* g(h*) + noise − Σ v g(φ),
δ_km = v_k g'(φ_km) e_m and c_km as for one unit, with the γ_k and the spread of each unit. In the
span of the D directions, and with c = B O (O orthonormal rows, B lower triangular; B = c if K > M)
in all others, the student moves to

    S = (1 − ηλ/N − (η/N) s_k) C_k + (η/N) Σ_m c_km Z_m,      (η/N) P = (η/N) B A,

s_k = Σ_m c_km h_km/Q_kk for weight and population and 0 otherwise, as P Pᵀ has the law
Wishart_K(c cᵀ, N − D). The new factor is that of the rows [S, (η/N) P], whose first K* columns
stay. Neither Q nor a sum of squares is formed but for the lengths √Q_kk, so that nothing cancels
when students are close to the teacher or to each other. Then

    γ_k ← γ_k + (η_γ/N)(mean δ_k û_k − 2ζγ_k),        v_k ← v_k + (η_v/N) mean e g(φ_k).

The law is that of N-dimensional vectors at every N ≥ D + min(K, M). Learning rates share Z, A and
the noise.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from statmech_bn.activations import Activation, z
from statmech_bn.codegen import numba_table_function, stable
from statmech_bn.interrupts import Watch
from statmech_bn.online.arguments import Run
from statmech_bn.online.chain.committee_step import simulate
from statmech_bn.online.chain.shares import in_shares
from statmech_bn.online.problem import Pace, Problem
from statmech_bn.online.schedules.schedule import Pieces
from statmech_bn.random.streams import stream
from statmech_bn.teacher_student import OrderParameters, TeacherStudent
from statmech_bn.teacher_student.gram import factor


class Signals(NamedTuple):
    """The activation, as C callbacks on the rows of a table.

    Attributes
    ----------
    value, value_and_slope : Numba C callbacks
    """

    value: Any
    value_and_slope: Any

    @classmethod
    def of(cls, activation: Activation) -> Signals:
        """Compile g and (g, g')."""
        g, slope = stable(activation.expression), stable(activation.derivative)
        return cls(numba_table_function([g], [z]), numba_table_function([g, slope], [z]))


class Committee(NamedTuple):
    """What the students of a call share.

    Attributes
    ----------
    signals : Signals
    teacher : ndarray, (K*, K*)
        The teacher's rows of C.
    teacher_readout : ndarray, (K*,)
        v*.
    readout_learning_rate : ndarray, (learners,)
        η_v; 0 for a second layer that is fixed.
    first, scale, readout : ndarray, (K, D), (K,) and (K,)
        The student's rows of C, γ and v at the start.
    """

    signals: Signals
    teacher: np.ndarray
    teacher_readout: np.ndarray
    readout_learning_rate: np.ndarray
    first: np.ndarray
    scale: np.ndarray
    readout: np.ndarray

    @classmethod
    def of(cls, setup: TeacherStudent, start: OrderParameters, run: Run) -> Committee:
        """Read a setup, its start and the learning rates."""
        rho, q, scale, readout = start.matrices(setup)
        rows, units = factor(setup.teacher_gram, rho, q), setup.teacher_units
        learns = float(setup.readout == "learned")
        return cls(
            Signals.of(setup.activation),
            np.ascontiguousarray(rows[:units, :units]),
            np.array(setup.teacher_readout),
            learns * run.readout_learning_rate,
            np.ascontiguousarray(rows[units:]),
            scale,
            readout,
        )


class Drawn(NamedTuple):
    """The random numbers of a step, and what follows for all learners.

    Attributes
    ----------
    inputs : ndarray, (D, M)
        Z.
    labels : ndarray, (M,)
    others : ndarray, (min(K, M), min(K, M))
        A.
    table, parts : ndarray, (2, K* M) and (2, K*, M)
        Room for the teacher's fields and what g makes of them, in two forms.
    """

    inputs: np.ndarray
    labels: np.ndarray
    others: np.ndarray
    table: np.ndarray
    parts: np.ndarray

    @classmethod
    def room(cls, setup: TeacherStudent) -> Drawn:
        """Make room for a step."""
        units, teachers, samples = setup.student_units, setup.teacher_units, setup.batch_size
        across = min(units, samples)
        parts = np.zeros((2, teachers, samples))
        return cls(
            np.zeros((units + teachers, samples)),
            np.zeros(samples),
            np.zeros((across, across)),
            parts.reshape(2, -1),
            parts,
        )


class Student(NamedTuple):
    """Room for the step of one learner.

    Attributes
    ----------
    table, parts : ndarray, (3, K M) and (3, K, M)
        φ, g and g', in two forms.
    normalized, gradient : ndarray, (K, M)
        û, or h/√Q, and c times η/N.
    error : ndarray, (M,)
        e.
    spread, narrowing, turn : ndarray, (K,), (K, groups) and (K,)
        √Q_kk, 1/σ of each group and (η/N) s_k.
    inner, moved : ndarray, (K, M) and (K, K + min(K, M))
        c on the way to B, and the rows [S, (η/N) P] without their first K* columns.
    """

    table: np.ndarray
    parts: np.ndarray
    normalized: np.ndarray
    gradient: np.ndarray
    error: np.ndarray
    spread: np.ndarray
    narrowing: np.ndarray
    turn: np.ndarray
    inner: np.ndarray
    moved: np.ndarray

    @classmethod
    def room(cls, setup: TeacherStudent) -> Student:
        """Make room for a step."""
        units, samples = setup.student_units, setup.batch_size
        groups = samples // (setup.group or samples)
        parts = np.zeros((3, units, samples))
        return cls(
            table=parts.reshape(3, -1),
            parts=parts,
            normalized=np.zeros((units, samples)),
            gradient=np.zeros((units, samples)),
            error=np.zeros(samples),
            spread=np.zeros(units),
            narrowing=np.ones((units, groups)),
            turn=np.zeros(units),
            inner=np.zeros((units, samples)),
            moved=np.zeros((units, units + min(units, samples))),
        )


class Records(NamedTuple):
    """What is recorded of a replica, infinite from a divergence on; learners and times come first.

    Attributes
    ----------
    student_teacher, student_student, gamma, readout : ndarray
    diverged_at : ndarray, (learners,)
    """

    student_teacher: np.ndarray
    student_student: np.ndarray
    gamma: np.ndarray
    readout: np.ndarray
    diverged_at: np.ndarray

    @classmethod
    def empty(
        cls, replicas: int, learners: int, times: int, units: int, teachers: int, *blocks: int
    ) -> Records:
        """Make room for some replicas, which are the first axis, and for blocks if there are."""
        shape = (replicas, learners, times, units)
        return cls(
            np.full((*shape[:3], *blocks, units, teachers), np.inf),
            np.full((*shape[:3], *blocks, units, units), np.inf),
            np.full(shape, np.inf),
            np.full(shape, np.inf),
            np.full(shape[:2], np.nan),
        )

    def of_replica(self, index: int) -> Records:
        """Return the part of one replica."""
        return Records(*(values[index] for values in self))


def simulate_committee(
    setup: TeacherStudent,
    run: Run,
    start: OrderParameters,
    dimension: int,
    replicas: int,
    seed: int,
    schedule: Pieces,
    threads: int,
    progress: bool | None = False,
) -> Records:
    """Simulate all chains in threads.

    Parameters
    ----------
    setup : TeacherStudent
    run : Run
    start : OrderParameters
    dimension, replicas, seed : int
        N, independent runs, and the seed.
    schedule : tuple of ndarray
        Factors of the learning rates.
    threads : int
    progress : bool, optional
        Whether to show a bar; None is on a terminal alone.

    Returns
    -------
    Records
        Shapes (learners, replicas, times, …), and (learners, replicas) for `diverged_at`.
    """
    problem = Problem.of(setup, dimension)
    pace = Pace(run.learning_rate, run.gamma_learning_rate, *schedule)
    committee = Committee.of(setup, start, run)
    steps, learners = run.record_steps(dimension), run.learning_rate.size

    def some_replicas(indices: np.ndarray, watch: Watch) -> Records:
        units = setup.student_units, setup.teacher_units
        records = Records.empty(indices.size, learners, steps.size, *units)
        room = Drawn.room(setup), Student.room(setup)
        generator = stream(seed, 1, 0)  # one for all: compiled code is slow to take a new one
        for place, index in enumerate(indices.tolist()):
            generator.bit_generator.state = stream(seed, 1, index).bit_generator.state
            part = records.of_replica(place)
            simulate(generator, problem, pace, committee, steps, watch, room, part)
        return records

    found = in_shares(some_replicas, replicas, float(steps[-1]), threads, progress)
    return Records(*(np.concatenate(parts).swapaxes(0, 1) for parts in zip(*found, strict=True)))
