"""What the page draws of learning, computed from its state by the levels of the package.

`theory` gives R, L, γ and ε_g against time for each student that is shown, `chain` the replicas of
the chain at the same times, and `final_error` the error at the last time against the learning
rate. A student that cannot be, such as batch normalization of groups that do not divide the batch,
has a message in its place.

The sizes are bounded: times and learning rates are as many as stand below, and the chain draws no
more samples than `MOST_SAMPLES`. A number that a slider can take is within the limits of `state`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr

from statmech_bn.errors import StatmechError, invalid
from statmech_bn.explore import typed
from statmech_bn.explore.state import SLIDERS, State
from statmech_bn.normalization import normalization
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
MOST_SAMPLES = 5e7
"""The chain of one student draws at most so many samples, N t M replicas: a few seconds."""

Students = dict[str, xr.Dataset | str]
"""Normalization → its result, or what is wrong with it."""


def theory(state: State) -> Students:
    """Integrate the order parameters of each student."""
    return _each(
        state,
        lambda setup, start: macroscopic(
            setup, state.learning_rate, times(state), start, inputs=inputs(state)
        ),
    )


def final_error(state: State) -> Students:
    """Integrate to the last time at each of `RATES`."""
    return _final_error(state.changed(learning_rate=RATES[0]))


def chain(state: State) -> Students:
    """Simulate the chain of each student, if it is asked for and not too long."""

    def simulate(setup: TeacherStudent, start: OrderParameters) -> xr.Dataset:
        samples = state.dimension * state.duration * state.batch_size * REPLICAS
        if samples > MOST_SAMPLES:
            raise invalid(
                "chain", f"at most {MOST_SAMPLES:.0e} samples, N t M × {REPLICAS} replicas",
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
    )  # fmt: skip


def gamma_decay(state: State, name: str) -> float:
    """Return ζ of one student."""
    return state.gamma_decay if normalization(name).has_scale else 0.0


def start(state: State, name: str) -> OrderParameters:
    """Return where one student starts; without a scale γ is 1."""
    scale = state.gamma if normalization(name).has_scale else 1.0
    return OrderParameters(state.overlap, state.length, scale)


def inputs(state: State) -> Spectrum | None:
    """Return the spectrum of the inputs, None if they are isotropic."""
    return Spectrum.power_law(state.exponent, BLOCKS) if state.exponent else None


def _each(state: State, compute: Callable[[TeacherStudent, OrderParameters], Any]) -> Students:
    """Compute something of each student, or say why it cannot be."""
    found: Students = {}
    for name in state.normalizations:
        try:
            found[name] = compute(setup(state, name), start(state, name))
        except StatmechError as error:
            found[name] = f"{name}: {error}"
    return found


@lru_cache(maxsize=64)
def _final_error(state: State) -> Students:
    last = times(state)[-1:]
    rates = RATES[::4] if state.exponent else RATES  # the flow of blocks is not compiled
    return _each(
        state, lambda setup, start: macroscopic(setup, rates, last, start, inputs=inputs(state))
    )


@lru_cache(maxsize=64)
def _activation(text: str) -> Any:
    return typed.checked(text)
