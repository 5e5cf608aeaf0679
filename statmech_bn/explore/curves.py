"""What the page draws of learning, computed from its state by the levels of the package.

`theory` gives R, L, γ and ε_g against time for each student that is shown, `chain` the replicas of
the chain at the same times, and `final_error` the error at the last time against the learning
rate. A student that cannot be, such as batch normalization of groups that do not divide the batch,
has a message in its place.

Several hidden units have a curve for each pair of them (`pairs`). Unit k of the student starts at
the cosine R to unit k mod K* of the teacher, across all others, with w_k⊥ orthonormal:

    w_k = L (R w*_n + √(1−R²) w_k⊥),      n = k mod K*

The sizes are bounded: times and learning rates are as many as stand below, and the chain draws no
more samples than `MOST_SAMPLES`. A number that a slider can take is within the limits of `state`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from statmech_bn.errors import NoClosedForm, StatmechError, invalid
from statmech_bn.explore import typed
from statmech_bn.explore.state import SLIDERS, State
from statmech_bn.normalization import BatchNormalization, normalization
from statmech_bn.online.flow.committee import closed_system
from statmech_bn.online.flow.derivatives import compiled_flow
from statmech_bn.online.macroscopic import macroscopic
from statmech_bn.online.mesoscopic import mesoscopic
from statmech_bn.spectrum import Spectrum
from statmech_bn.teacher_student import OrderParameters, TeacherStudent

TIMES = 201
"""Times of a curve, evenly from 0 to the last."""
RATES = SLIDERS["learning_rate"].values[::2]
"""Learning rates of the final error."""
BLOCKS = 8
"""Blocks of a spectrum that is a power law."""
REPLICAS = 16
"""Replicas of the chain."""
OF_BATCH = BatchNormalization.kind
"""The student whose averages depend on the batch size."""
DIGITS = 12
"""Decimals of the matrices at the start, so that they can be copied."""
MOST_SAMPLES = 5e7
"""The chain of one student draws at most so many samples, N t M replicas: a few seconds."""
SLOW = (
    "Flows of several units take minutes where their averages are not closed, as with statistics "
    "of the batch or with tanh: they are not drawn here, but the copied Python computes them."
)

Students = dict[str, xr.Dataset | str]
"""Normalization → its result, or what is wrong with it."""


def theory(state: State) -> Students:
    """Integrate the order parameters of each student."""
    return _each(
        state,
        lambda setup, start: _flow(state, setup, state.learning_rate, times(state), start),
    )


def final_error(state: State) -> Students:
    """Integrate to the last time at each of `RATES`."""
    return _final_error(state.changed(learning_rate=RATES[0]))


def chain(state: State) -> Students:
    """Simulate the chain of each student, if it is asked for and not too long."""

    def simulate(setup: TeacherStudent, start: OrderParameters) -> xr.Dataset:
        units = state.student_units + state.teacher_units - 1
        samples = state.dimension * state.duration * state.batch_size * REPLICAS * units
        if samples > MOST_SAMPLES:
            raise invalid(
                "chain",
                f"at most {MOST_SAMPLES:.0e} samples, N t M (K + K* − 1) × {REPLICAS} replicas",
                f"{samples:.1e}", "Lower the dimension, the time or the batch size.",
            )  # fmt: skip
        return mesoscopic(
            setup, state.learning_rate, times(state), start, state.dimension, REPLICAS,
            inputs=inputs(state),
        )  # fmt: skip

    return _each(state, simulate) if state.chain else {}


def tree(state: State) -> xr.DataTree:
    """Return what is drawn against time as a tree: normalization, then level."""
    groups = {}
    for found in (theory(state), chain(state)):
        for name, result in found.items():
            if isinstance(result, xr.Dataset):
                groups[f"{name.strip(')').replace('(', '_')}/{result.attrs['level']}"] = result
    if not groups:
        raise invalid("state", "a student that can be", state.normalizations, "See the page.")
    return xr.DataTree.from_dict(groups)


def times(state: State) -> np.ndarray:
    """Return the times of a state's curves."""
    return np.linspace(0, state.duration, TIMES)


def setup(state: State, name: str) -> TeacherStudent:
    """Return one student of a state; without a scale ζ is 0."""
    return TeacherStudent(
        _activation(state.activation), name, state.batch_size, state.label_noise,
        gamma_decay(state, name), state.weight_decay,
        student_units=state.student_units, teacher_units=state.teacher_units,
    )  # fmt: skip


def gamma_decay(state: State, name: str) -> float:
    """Return ζ of one student."""
    return state.gamma_decay if normalization(name).has_scale else 0.0


def scale(state: State, name: str) -> float:
    """Return γ at the start of one student; without a scale it is 1."""
    return state.gamma if normalization(name).has_scale else 1.0


def start(state: State, name: str) -> OrderParameters:
    """Return where one student starts."""
    gamma = scale(state, name)
    if not state.is_committee:
        return OrderParameters(state.overlap, state.length, gamma)
    cosines = np.zeros((state.student_units, state.teacher_units))
    for k, row in enumerate(cosines):
        row[k % row.size] = state.overlap
    across = (1 - state.overlap**2) * np.eye(state.student_units)
    return OrderParameters(
        student_teacher=(state.length * cosines).round(DIGITS),
        student_student=(state.length**2 * (cosines @ cosines.T + across)).round(DIGITS),
        gamma=gamma,
    )


def pairs(d: xr.Dataset) -> list[xr.Dataset]:
    """Return a result for each pair of units k and n, with what one unit has; R_kn = ρ_kn/L_k."""
    if "student_unit" not in d.dims:
        return [d]
    found = []
    for k in range(d.sizes["student_unit"]):
        own = d.isel(student_unit=k)
        length = np.sqrt(own["student_student"].isel(other_student_unit=k))
        for n in range(d.sizes["teacher_unit"]):
            with np.errstate(invalid="ignore"):  # of a run that has diverged
                overlap = own["student_teacher"].isel(teacher_unit=n) / length
            found.append(own.assign(length=length, overlap=overlap))
    return found


def inputs(state: State) -> Spectrum | None:
    """Return the spectrum of the inputs, None if they are isotropic."""
    return Spectrum.power_law(state.exponent, BLOCKS) if state.exponent else None


def other_batches(state: State) -> list[State]:
    """Return the state at the other stops of the batch size, the nearest first.

    None are returned where the averages do not depend on it, or are no series.
    """
    if OF_BATCH not in state.normalizations or state.is_committee or state.exponent:
        return []
    stops = SLIDERS["batch_size"].values
    at = SLIDERS["batch_size"].nearest(state.batch_size)
    near = sorted(range(len(stops)), key=lambda k: abs(k - at))
    return [state.changed(batch_size=stops[k]) for k in near if stops[k] != state.batch_size]


def prepare(state: State) -> None:
    """Make the averages that the flow of batch normalization reads, but not the flow."""
    compiled_flow(setup(state, OF_BATCH), state.gamma)


def _each(state: State, compute: Callable[[TeacherStudent, OrderParameters], Any]) -> Students:
    """Compute something of each student, or say why it cannot be."""
    found: Students = {}
    for name in state.normalizations:
        try:
            found[name] = compute(setup(state, name), start(state, name))
        except StatmechError as error:
            found[name] = f"{name}: {error}"
    return found


def _flow(
    state: State, setup: TeacherStudent, rate: ArrayLike, time: np.ndarray, start: OrderParameters
) -> xr.Dataset:
    """Integrate one student; the flow of several units only where that does not take minutes."""
    if state.is_committee:
        try:
            closed_system(setup)
        except NoClosedForm as error:
            raise invalid(
                "student_units, teacher_units", "1 where averages of several are not closed",
                (state.student_units, state.teacher_units), SLOW,
            ) from error  # fmt: skip
    return macroscopic(setup, rate, time, start, inputs=inputs(state))


@lru_cache(maxsize=64)
def _final_error(state: State) -> Students:
    last = times(state)[-1:]
    fewer = 4 if state.exponent else 2 if state.is_committee else 1  # for flows that are slower
    rates = RATES[::fewer]
    return _each(state, lambda setup, start: _flow(state, setup, rates, last, start))


@lru_cache(maxsize=64)
def _activation(text: str) -> Any:
    return typed.checked(text)
