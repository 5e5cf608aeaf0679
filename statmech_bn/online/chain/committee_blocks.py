r"""The exact chain of a committee on inputs with a covariance: O(D M + d D³) a step for d blocks.

In block i of the eigenvalue λ_i and the multiplicity N_i, the weights of the D = K* + K units have
components along F_i = min(N_i, D) orthonormal directions, the teacher's first: its units have the
products T_i T there, with the shares T_i of the spectrum and T the Gram matrix. All components of a
unit are one row x of F = Σ F_i numbers, x_k·x_l = w_k·w_l/N. Fields are what the inputs n ~ N(0, 1)
along these directions make of

    Y = √λ x = Λ O,     (h*, h) = Y n = Λ Z,     Z = O n ~ N(0, 1), D × M,

Λ lower triangular, O orthonormal rows (Gram and Schmidt). So a step draws Z, which gives fields and
c, and needs Σ_m c_km n_m given O n = Z. With c = B × (orthonormal rows) (LQ; B = c if K > M) and
G ~ N(0, 1), min(K, M) × F, that sum is (Matheron's rule)

    S = B G + (c Zᵀ − B G Oᵀ) O,

moved to where the fields are what was drawn. In the N_i − F_i other directions of a block the sum
has the law of P_i = B A_i, A_i lower triangular with A_jj² ~ χ²(N_i − F_i − j) (Bartlett 1933), or
N(0, 1) itself, where there are fewer than min(K, M) of them. Therefore

    x_k ← (1 − ηλ_w/N − (η/N) s_k) x_k + (η/N) √λ S_k,

and in each block the factor of the rows [x, (η/N) √λ_i P_i] without their first K* columns stays.
s_k = Σ_m c_km h_km/Q_kk for weight, λ_i Σ_m c_km h_km/σ_k² for population, 0 otherwise, σ_k² the
variance of the field, Y_k·Y_k. No square is subtracted. γ and v learn as they do on isotropic
inputs (`statmech_bn.online.chain.committee`), which are the case of one block.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from statmech_bn.errors import invalid
from statmech_bn.interrupts import Watch
from statmech_bn.online.arguments import Run
from statmech_bn.online.chain.committee import Committee, Drawn, Records, Student
from statmech_bn.online.chain.committee_blocks_step import simulate
from statmech_bn.online.chain.shares import in_shares
from statmech_bn.online.problem import Pace, Problem
from statmech_bn.online.schedules.schedule import Pieces
from statmech_bn.random.streams import stream
from statmech_bn.spectrum import Spectrum
from statmech_bn.teacher_student import OrderParameters, TeacherStudent
from statmech_bn.teacher_student.gram import factor, in_frame, random_rows


class Blocks(NamedTuple):
    """The components of all units, block by block.

    Attributes
    ----------
    root : ndarray, (F,)
        √λ of each component.
    begin : ndarray of int, (d + 1,)
        Where the components of each block begin.
    others : ndarray, (d,)
        N_i − F_i.
    teacher : ndarray, (K*, F)
    """

    root: np.ndarray
    begin: np.ndarray
    others: np.ndarray
    teacher: np.ndarray

    @classmethod
    def of(cls, setup: TeacherStudent, spectrum: Spectrum, dimension: int) -> Blocks:
        """Lay out the components."""
        counts = spectrum.counts(dimension)
        held = np.minimum(counts, setup.teacher_units + setup.student_units)
        begin = np.concatenate([[0], np.cumsum(held)])
        teacher = np.zeros((setup.teacher_units, begin[-1]))
        for first, share in zip(begin, spectrum.teacher, strict=False):
            part = np.sqrt(share) * np.linalg.cholesky(setup.teacher_gram)
            teacher[:, first : first + setup.teacher_units] = part
        root = np.sqrt(np.repeat(spectrum.eigenvalues, held))
        return cls(root, begin, (counts - held).astype(float), teacher)

    def students(
        self, setup: TeacherStudent, start: OrderParameters, generator: np.random.Generator
    ) -> np.ndarray:
        """Draw students of exactly the products of a start, of random directions, (K, F)."""
        teachers, units = setup.teacher_units, setup.student_units
        numbers = np.zeros((units, self.root.size))
        for i, others in enumerate(self.others):
            first, last = self.begin[i], self.begin[i + 1]
            if last - first == teachers + units:
                held = int(others) + teachers + units
                numbers[:, first:last] = random_rows(generator, teachers, units, held)
            else:
                numbers[:, first:last] = generator.standard_normal((units, last - first))
        rho, q, _, _ = start.matrices(setup)
        rows = factor(setup.teacher_gram, rho, q)
        return in_frame(rows, np.concatenate([self.teacher, numbers]))[teachers:]


class Numbers(NamedTuple):
    """Random numbers of a step beside those of an isotropic one, and room for a learner's.

    Attributes
    ----------
    along : ndarray, (min(K, M), F)
        G.
    across : ndarray, (d, min(K, M), min(K, M))
        A_i.
    orthonormal, triangle : ndarray, (D, F) and (D, D)
        O and Λ.
    sums : ndarray, (F,)
        S of a unit.
    """

    along: np.ndarray
    across: np.ndarray
    orthonormal: np.ndarray
    triangle: np.ndarray
    sums: np.ndarray

    @classmethod
    def room(cls, setup: TeacherStudent, blocks: Blocks) -> Numbers:
        """Make room for a step."""
        across, size = min(setup.student_units, setup.batch_size), blocks.root.size
        d = setup.teacher_units + setup.student_units
        return cls(
            np.zeros((across, size)),
            np.zeros((blocks.others.size, across, across)),
            np.zeros((d, size)),
            np.zeros((d, d)),
            np.zeros(size),
        )


def check_blocks(setup: TeacherStudent, spectrum: Spectrum, dimension: int) -> None:
    """Refuse blocks in which the teacher's units do not fit.

    Raises
    ------
    InvalidSetup
        A block has fewer components than the teacher has units.
    """
    counts = spectrum.counts(dimension)
    if counts.min() < setup.teacher_units:
        raise invalid(
            "inputs", f"at least {setup.teacher_units} components in each block, one for each unit "
            "of the teacher", counts,
            "Merge blocks by spectrum.merged(tolerance); microscopic takes any covariance as "
            "sbn.Inputs(source).",
        )  # fmt: skip


def simulate_blocks(
    setup: TeacherStudent,
    spectrum: Spectrum,
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
    spectrum : Spectrum
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
        As of `statmech_bn.online.chain.committee.simulate_committee`, with an axis of blocks before
        the units in ρ and Q.
    """
    problem = Problem.of(setup, dimension)
    pace = Pace(run.learning_rate, run.gamma_learning_rate, *schedule)
    blocks = Blocks.of(setup, spectrum, dimension)
    steps, learners = run.record_steps(dimension), run.learning_rate.size
    common: Any = Committee.of(setup, start, run)

    def some_replicas(indices: np.ndarray, watch: Watch) -> Records:
        units = setup.student_units, setup.teacher_units
        records = Records.empty(indices.size, learners, steps.size, *units, spectrum.blocks)
        room = Drawn.room(setup), Student.room(setup), Numbers.room(setup, blocks)
        generator = stream(seed, 1, 0)  # one for all: compiled code is slow to take a new one
        for place, index in enumerate(indices.tolist()):
            own = common._replace(first=blocks.students(setup, start, stream(seed, 1, index, 0)))
            generator.bit_generator.state = stream(seed, 1, index, 1).bit_generator.state
            part = records.of_replica(place)
            simulate(generator, problem, pace, own, blocks, steps, watch, room=room, records=part)
        return records

    found = in_shares(some_replicas, replicas, float(steps[-1]), threads, progress)
    return Records(*(np.concatenate(parts).swapaxes(0, 1) for parts in zip(*found, strict=True)))
