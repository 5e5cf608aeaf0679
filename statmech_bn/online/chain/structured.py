r"""Chains of blocks: their start, their replicas, and what is recorded of them.

A start that is given block by block has these b_i and r_i exactly. One that is given by a cosine R
has a random direction: x = L(R τ + √(1−R²) ŵ) with ŵ ⟂ τ uniform on the sphere in N dimensions,
of which a block of N_i components shows N(0, 1) along the teacher and χ(N_i−1) across.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from statmech_bn.errors import invalid
from statmech_bn.interrupts import Watch, in_threads
from statmech_bn.online.arguments import COST, Run, check_work
from statmech_bn.online.chain.blocks import Components, Students, learn
from statmech_bn.online.chain.samples import error_function
from statmech_bn.online.problem import Pace, Problem
from statmech_bn.online.schedules.schedule import Pieces
from statmech_bn.online.start import directions
from statmech_bn.random.streams import stream
from statmech_bn.spectrum import Spectrum
from statmech_bn.teacher_student import OrderParameters, TeacherStudent

PIECE = 2**24
"""So many numbers are computed between two looks at Ctrl-C, which takes a tenth of a second."""


@dataclass(frozen=True)
class Chain:
    """One replica at its start.

    Attributes
    ----------
    components : Components
    block : ndarray of int, (components,)
        Block of each component.
    first : ndarray, (components,)
        x at the start.
    """

    components: Components
    block: np.ndarray
    first: np.ndarray


def chain_of_blocks(
    spectrum: Spectrum, start: OrderParameters, dimension: int, generator: np.random.Generator
) -> Chain:
    """Lay out a chain of d blocks, with its start.

    Raises
    ------
    InvalidSetup
        The start is none of N weights: a block of one component has Q_i ≠ ρ_i²/T_i.
    """
    counts = spectrum.counts(dimension)
    wide = counts > 1
    block = np.concatenate([np.arange(counts.size), np.flatnonzero(wide)])
    components = Components.of(spectrum, dimension)
    rho, q = start.blocks(spectrum)
    if start.block_student_student is None:
        return Chain(components, block, _random(components, counts.size, start, generator))
    along = np.divide(rho, np.sqrt(spectrum.teacher), np.zeros(rho.size), where=rho != 0)
    lone_without_teacher = ~wide & (spectrum.teacher == 0)
    along[lone_without_teacher] = np.sqrt(q[lone_without_teacher])
    rest = np.maximum(q - along**2, 0.0)
    _check_lone(rest, rho, q, ~wide)
    return Chain(components, block, np.concatenate([along, np.sqrt(rest[wide])]))


def chain_of_weights(
    spectrum: Spectrum,
    start: OrderParameters,
    dimension: int,
    direction: np.ndarray | None,
    generator: np.random.Generator,
) -> Chain:
    """Lay out N weights in the eigenbasis, each along the sign of the teacher's, with its start.

    The teacher has a random direction in each block, or the one that is given.
    """
    counts = spectrum.counts(dimension)
    block = np.repeat(np.arange(counts.size), counts)
    teacher, other = generator.standard_normal((2, dimension))
    if direction is not None:
        teacher = direction
    other = np.copysign(1.0, teacher) * other
    teacher = np.abs(teacher) * np.sqrt(spectrum.teacher / _sums(block, teacher**2))[block]
    roots = np.sqrt(spectrum.eigenvalues)[block]
    components = Components(roots, teacher, np.zeros(0))
    if start.block_student_student is None:
        first = start.length * directions(start, teacher, other)[1]
        return Chain(components, block, first)
    rho, q = start.blocks(spectrum)
    share = np.divide(rho, spectrum.teacher, np.zeros(rho.size), where=spectrum.teacher > 0)
    norm = np.where(spectrum.teacher > 0, spectrum.teacher, 1.0)
    other -= (_sums(block, other * teacher) / norm)[block] * teacher
    rest = np.maximum(q - share * rho, 0.0)
    square = _sums(block, other**2)
    parallel = (counts == 1) & (spectrum.teacher > 0)
    _check_lone(rest, rho, q, parallel)
    rest[parallel] = 0.0  # what is left is rounding
    across = np.sqrt(rest / np.where(square > 0, square, 1.0))
    return Chain(components, block, share[block] * teacher + across[block] * other)


def simulate(
    setup: TeacherStudent,
    run: Run,
    factors: Pieces,
    chain_of: Callable[[np.random.Generator], Chain],
    gamma: float,
    size: tuple[int, int, int, int],
    key: tuple[int, int],
    threads: int,
    progress: bool | None = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Run all replicas.

    Parameters
    ----------
    setup : TeacherStudent
    run : Run
    factors : tuple of ndarray
        The schedule.
    chain_of : callable
        Lays out a replica, by a generator.
    gamma : float
        γ at the start.
    size : tuple of int
        N, replicas, blocks, and at most so many components of a chain.
    key : tuple of int
        The seed and the level's part of the keys of random streams.
    threads : int
    progress : bool or None

    Returns
    -------
    student_teacher, student_student : ndarray, (learners, replicas, times, blocks)
    gamma : ndarray, (learners, replicas, times)
    diverged_at : ndarray, (learners, replicas)
        The others are infinite from then on; NaN without a divergence.
    """
    dimension, replicas, blocks, components = size
    steps, learners = run.record_steps(dimension), run.learning_rate.size
    check_size(setup, run, size, min(threads, replicas))
    problem, signal = Problem.of(setup, dimension), error_function(setup.activation)
    pace = Pace(run.learning_rate, run.gamma_learning_rate, *factors)
    rho = np.full((learners, replicas, steps.size, blocks), np.inf)
    q, scale = np.full_like(rho, np.inf), np.full(rho.shape[:3], np.inf)
    diverged_at = np.full((learners, replicas), np.nan)

    longest = max(1, int(PIECE / ((setup.batch_size + components) * (1 + learners))))

    def one(index: int, watch: Watch) -> None:
        seed, level = key
        chain, samples = chain_of(stream(seed, level, index, 0)), stream(seed, level, index, 1)
        teacher, done = chain.components.teacher, 0
        students = Students.at(chain.components, chain.first, gamma, learners)
        for recorded, target in enumerate(steps.tolist()):
            while done < target:
                until = min(done + longest, target)
                learn(samples, signal, problem, pace, chain.components, students, done, until)
                watch.done[0] = done = until
            for k in np.flatnonzero(np.isnan(students.diverged_at)).tolist():
                rho[k, index, recorded] = _sums(chain.block, students.weights[k] * teacher, blocks)
                q[k, index, recorded] = _sums(chain.block, students.weights[k] ** 2, blocks)
                scale[k, index, recorded] = students.scale[k]
        diverged_at[:, index] = students.diverged_at

    total = float(replicas) * float(steps[-1])
    in_threads(one, range(replicas), threads, total, progress, "replicas")
    return rho, q, scale, diverged_at


def check_size(
    setup: TeacherStudent,
    run: Run,
    size: tuple[int, int, int, int],
    at_once: int,
    device: str = "cpu",
) -> None:
    """Refuse a call that takes too long or too much memory, of so many replicas at once."""
    dimension, replicas, blocks, components = size
    steps, learners = run.record_steps(dimension), run.learning_rate.size
    check_work(
        replicas,
        float(steps[-1]),
        COST * (2 + learners) * (setup.batch_size + float(components)),
        (4 + 2 * blocks) * float(replicas) * learners * steps.size
        + (7 * setup.batch_size + float(components) * (5 + learners)) * at_once,
        device,
    )


def _check_lone(rest: np.ndarray, rho: np.ndarray, q: np.ndarray, lone: np.ndarray) -> None:
    """Refuse a start with a rest across the teacher in blocks of one component."""
    if (rest[lone] > 1e-9 * q[lone]).any():
        raise invalid(
            "start", "student_student = student_teacher²/teacher in blocks of one component",
            f"student_student = {q[lone]}, student_teacher = {rho[lone]}",
            "One weight has no direction across the teacher. Start from a cosine, "
            "OrderParameters(overlap, length), which draws the weights.",
        )  # fmt: skip


def _sums(block: np.ndarray, values: np.ndarray, blocks: int = 0) -> np.ndarray:
    """Sum over the components of each block."""
    return np.bincount(block, values, blocks)


def _random(
    components: Components, blocks: int, start: OrderParameters, generator: np.random.Generator
) -> np.ndarray:
    """Draw a start of random direction; the rest of a block has N_i − 1 components."""
    other = generator.standard_normal(components.teacher.size)
    other[blocks:] = np.sqrt(2 * generator.standard_gamma((components.others + 1) / 2))
    return start.length * directions(start, components.teacher, other)[1]
