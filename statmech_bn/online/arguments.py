"""What the three levels share: checks, recorded steps, and what has diverged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from statmech_bn.checks import (
    check_memory,
    choice,
    count,
    instance,
    integer,
    positive,
    thread_count,
    vector,
)
from statmech_bn.errors import invalid
from statmech_bn.spectrum import Spectrum
from statmech_bn.teacher_student import OrderParameters, TeacherStudent

MOST_STEPS = 2.0**53
"""A float counts steps exactly up to here."""
NUMBERS_A_SECOND = 1e9
"""A core draws or computes no more numbers than about this in a second."""
COST = 10
"""A normal number, or a sample's error, takes as long as about so many additions."""
CORES_OF_A_GPU = 10_000
"""A GPU is taken to be as fast as this many cores."""
LARGEST_LENGTH = 1e150
"""A student longer than this, or with a γ beyond it, has diverged."""
SHORTEST_START, LONGEST_START = 1e-50, 1e50
"""Lengths between which L⁴, by which noise turns a student, and its products are floats."""


@dataclass(frozen=True)
class Run:
    """Checked arguments of one call: arrays of float64, learning rates pairwise."""

    learning_rate: np.ndarray
    gamma_learning_rate: np.ndarray
    readout_learning_rate: np.ndarray
    time: np.ndarray

    def record_steps(self, dimension: int) -> np.ndarray:
        """Return the steps after which order parameters are recorded: time × dimension, rounded.

        Raises
        ------
        InvalidSetup
            There are more steps than a float can count.
        """
        last = float(self.time[-1]) * float(dimension)
        if not last <= MOST_STEPS:
            raise invalid(
                "time × dimension",
                f"at most {MOST_STEPS:.1e} steps",
                f"{self.time[-1]:g} × {dimension} = {last:.1e}",
                "Time is in units of steps/N: ask for less of it, or for a smaller dimension.",
            )
        return np.rint(self.time * dimension).astype(np.int64)


def check_run(
    setup: TeacherStudent,
    learning_rate: ArrayLike,
    gamma_learning_rate: ArrayLike | None,
    time: ArrayLike,
    start: OrderParameters,
    readout_learning_rate: ArrayLike | None = None,
    committees: bool = False,
) -> Run:
    """Check what every level is given; `committees` says whether it knows several units.

    Raises
    ------
    InvalidSetup
        Learning rates not positive, times not increasing from ≥ 0, a start with γ ≠ 1 for a
        student that has no γ, or one whose numbers are no floats; or a committee.
    """
    several = is_committee(setup, start)
    if several and not committees:
        one_unit(setup, start)
    if not setup.normalizer.has_scale and np.any(np.asarray(start.gamma) != 1):
        raise invalid("start.gamma", f"1 for {setup.normalization!r}, which has no γ", start.gamma)
    if several:
        start.matrices(setup)
    elif not SHORTEST_START <= start.length <= LONGEST_START:
        span = f"a number from {SHORTEST_START:g} to {LONGEST_START:g}"
        fix = "Measure lengths in another unit: with a scale, only η/L² and ηλ count."
        raise invalid("start.length", span, start.length, fix)
    for name in ("gamma", "readout"):
        value = getattr(start, name)
        if value is not None and not (np.abs(value) < LARGEST_LENGTH).all():
            span = f"a number below {LARGEST_LENGTH:g} in size"
            raise invalid(f"start.{name}", span, value, "A student beyond has diverged.")
    if readout_learning_rate is not None and setup.readout == "fixed":
        fix = "Write TeacherStudent(..., readout='learned')."
        raise invalid(
            "readout_learning_rate", "None, as readout is fixed", readout_learning_rate, fix
        )
    rates = positive("learning_rate", learning_rate)
    return Run(
        rates,
        _paired("gamma_learning_rate", gamma_learning_rate, rates),
        _paired("readout_learning_rate", readout_learning_rate, rates),
        _times(time),
    )


def is_committee(setup: Any, start: Any) -> bool:
    """Say whether the several-unit form of a problem is asked for, by the setup or the start."""
    instance("setup", setup, TeacherStudent)
    instance("start", start, OrderParameters, "sbn.OrderParameters(overlap=0.05)")
    return bool(setup.is_committee or start.is_committee)


def one_unit(setup: Any, start: OrderParameters | None = None) -> None:
    """Refuse committees, where one unit only is known.

    Raises
    ------
    InvalidSetup
        Student or teacher have several units, another readout than 1 or a teacher of another
        length, or the start is given by matrices.
    """
    instance("setup", setup, TeacherStudent)
    if setup.is_committee or (start is not None and start.is_committee):
        raise invalid(
            "setup" if setup.is_committee else "start",
            "one unit on each side with a readout of 1, which is all that this function knows",
            setup if setup.is_committee else start,
            "The levels macroscopic, mesoscopic and microscopic know committees.",
        )


def _paired(name: str, values: ArrayLike | None, rates: np.ndarray) -> np.ndarray:
    """Return one number for each learning rate; by default that learning rate."""
    given = rates if values is None else positive(name, values)
    if given.size not in (1, rates.size):
        raise invalid(
            name,
            f"a number, or {rates.size} of them",
            values,
            "There is one for each learning rate.",
        )
    return np.broadcast_to(given, rates.shape).copy()


def check_finite_dimension(dimension: Any, replicas: Any, seed: Any) -> tuple[int, int, int]:
    """Check the arguments that only simulations have."""
    return (
        integer("dimension", dimension, 3, "Besides w and w* there must be other directions."),
        count("replicas", replicas),
        integer("seed", seed, 0),
    )


def check_gaussian(inputs: Any, start: OrderParameters) -> None:
    """Refuse inputs of one's own where order parameters alone describe the students.

    Raises
    ------
    InvalidSetup
        The inputs are no spectrum, or the start is given by blocks that there are not.
    """
    if inputs is not None and not isinstance(inputs, Spectrum):
        raise invalid(
            "inputs",
            "None or a Spectrum: this level is for Gaussian inputs",
            inputs,
            "Inputs of one's own need N weights: use `microscopic` or `offline.train`, or their "
            "covariance: `sbn.Spectrum.from_data`.",
        )
    if inputs is None:
        check_no_blocks(start)


def check_no_blocks(start: OrderParameters) -> None:
    """Refuse a start by blocks where there are none.

    Raises
    ------
    InvalidSetup
        The start was made by `OrderParameters.of_blocks`.
    """
    if start.block_student_teacher is not None:
        raise invalid(
            "start", "an overlap and a length, as the inputs are no Spectrum and have no blocks",
            start, "Use OrderParameters(overlap, length, gamma), or inputs=sbn.Spectrum(...).",
        )  # fmt: skip


def check_work(
    runs: int,
    steps: float,
    each: float,
    held: float,
    device: str = "cpu",
    factors: str = "time × dimension",
) -> None:
    """Refuse what would take more than a year, or more memory than there is, before it begins.

    Parameters
    ----------
    runs : int
        Independent runs, each of which one core makes.
    steps : float
        Steps of each.
    each : float
        Numbers that a step draws or computes; a core makes about `NUMBERS_A_SECOND`.
    held : float
        Numbers of 8 bytes that are held at once.
    device : {"cpu", "cuda"}
    factors : str
        Arguments whose product is the number of steps of a run.

    Raises
    ------
    InvalidSetup
        The message says how long it would take, or how much it would hold.
    """
    cores = min(runs, thread_count(None)) if device == "cpu" else CORES_OF_A_GPU
    years = float(runs) * steps * each / (NUMBERS_A_SECOND * cores) / (365.25 * 86400)
    if years > 1:
        raise invalid(
            factors,
            "a run of at most a year",
            f"about {years:.1g} years for {runs} × {steps:.1e} steps",
            f"Lower {factors.replace(' ×', ',')}, or the number of replicas or learning rates.",
        )
    check_memory("replicas, learning rates, times and dimension", held)


def check_units(setup: TeacherStudent, dimension: int) -> None:
    """Refuse inputs of fewer components than there are units.

    Raises
    ------
    InvalidSetup
        N < K* + K.
    """
    units = setup.teacher_units + setup.student_units
    if dimension < units:
        raise invalid("dimension", f"an integer ≥ {units}, a direction for each unit", dimension)


def check_room_for_units(setup: TeacherStudent, dimension: int) -> None:
    """Refuse inputs of so few components that the chain of a committee has no others.

    Raises
    ------
    InvalidSetup
        N < K* + K + min(K, M).
    """
    units = setup.student_units
    least = setup.teacher_units + units + min(units, setup.batch_size)
    if dimension < least:
        raise invalid(
            "dimension", f"an integer ≥ {least} = K* + K + min(K, M)", dimension,
            "Besides the units there must be other directions; or use microscopic.",
        )  # fmt: skip


def check_committee_work(
    setup: TeacherStudent,
    run: Run,
    dimension: int,
    replicas: int,
    threads: int,
    blocks: int = 1,
    device: str = "cpu",
) -> None:
    """Refuse chains of committees that would take more than a year, or too much memory.

    Raises
    ------
    InvalidSetup
        The message says how long it would take, or how much it would hold.
    """
    units, size = setup.student_units, setup.student_units + setup.teacher_units
    steps, learners = run.record_steps(dimension), run.learning_rate.size
    each = COST * setup.batch_size * size + learners * (
        COST * setup.batch_size * units + units * size * (setup.batch_size + 2 * size * blocks)
    )
    held = 2.0 * replicas * learners * steps.size * (units * (size * blocks + 2) + 1)
    held += 8.0 * size * (setup.batch_size + size * blocks) * min(threads, replicas)
    check_work(replicas, float(steps[-1]), float(each), held, device)


def check_dtype(dtype: Any) -> None:
    """Check the precision of weights and samples."""
    choice("dtype", dtype, ("float64", "float32"))


def _times(values: ArrayLike) -> np.ndarray:
    array = vector("time", values)
    if array[0] < 0 or (np.diff(array) <= 0).any():
        raise invalid("time", "strictly increasing times ≥ 0", values, "Use numpy.linspace.")
    return array
