"""What the page is asked for: every choice with its limits, and the address that holds them all.

An address may come from a stranger. Each value of it is held against the table below, an activation
against the safe parser; what does not fit is named, and the usual value takes its place. Nothing
of an address is ever a path or code.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple
from urllib.parse import urlencode

import numpy as np

from statmech_bn.checks import choice, integer, real
from statmech_bn.errors import InvalidSetup, invalid
from statmech_bn.explore import typed
from statmech_bn.geometry.clouds import CLOUDS
from statmech_bn.normalization import NAMED

NORMALIZATIONS = (*NAMED, "ghost(8)")
"""Students that can be shown side by side."""
TABS = ("learning", "partition")


class Slider(NamedTuple):
    """The values that a slider stops at; any number between the first and the last is allowed."""

    title: str
    values: tuple[float, ...]

    def nearest(self, value: float) -> int:
        """Return the index of the stop that is nearest to a value."""
        return int(np.argmin(np.abs(np.array(self.values) - value)))

    def with_stop(self, value: float) -> tuple[float, ...]:
        """Return the stops with one more where a value is none of them."""
        return tuple(sorted({*self.values, value}))


def _decades(low: float, high: float, each: int) -> tuple[float, ...]:
    """Return numbers of three digits, so many in each decade."""
    number = round(each * math.log10(high / low)) + 1
    return tuple(float(f"{value:.3g}") for value in np.geomspace(low, high, number))


def _even(low: float, high: float, step: float) -> tuple[float, ...]:
    number = round((high - low) / step) + 1
    return tuple(round(low + k * step, 6) for k in range(number))


SLIDERS = {
    "learning_rate": Slider("learning rate η", _decades(0.01, 100, 20)),
    "batch_size": Slider(
        "batch size M",
        (4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 192, 256),
    ),
    "label_noise": Slider("label noise Δ", _even(0, 2, 0.05)),
    "gamma_decay": Slider("gamma decay ζ", _even(0, 1, 0.01)),
    "weight_decay": Slider("weight decay λ", _even(0, 1, 0.01)),
    "exponent": Slider("power law a of the inputs' spectrum", _even(0, 2, 0.25)),
    "student_units": Slider("hidden units K of the student", (1, 2, 3)),
    "teacher_units": Slider("hidden units K* of the teacher", (1, 2, 3)),
    "overlap": Slider("overlap R at the start", _even(-0.95, 0.95, 0.05)),
    "length": Slider("length L at the start", _decades(0.1, 10, 20)),
    "gamma": Slider("scale γ at the start", _even(0.05, 3, 0.05)),
    "duration": Slider("time t until", (1, 2, 5, 10, 20, 30, 50, 75, 100, 150, 200)),
    "dimension": Slider("dimension N of the chain", (10, 30, 100, 300, 1000, 3000, 10000)),
    "data_batch": Slider("batch size M", (*range(2, 21), 25, 30, 40, 50, 75, 100, 150, 200)),
    "units": Slider("units of each layer", (4, 8, 12, 16, 20, 24)),
    "shift": Slider("distance of the data from the origin", _even(0, 4, 0.25)),
    "network": Slider("network", tuple(range(50))),
}
"""Numbers of a state, by the name of the field."""
ONE_OR_OTHER = "Theory knows several hidden units for isotropic inputs alone."
"""Why a power law and several units exclude each other."""
INTEGERS = {
    "batch_size", "student_units", "teacher_units", "dimension", "data_batch", "units", "network"
}  # fmt: skip


@dataclass(frozen=True)
class State:
    """What is shown.

    Raises
    ------
    InvalidSetup
        A value is beyond its limits; the message names it.
    """

    activation: str = "relu"
    normalizations: tuple[str, ...] = ("none", "weight", "batch")
    learning_rate: float = 1.0
    batch_size: int = 32
    label_noise: float = 0.5
    gamma_decay: float = 0.0
    weight_decay: float = 0.0
    exponent: float = 0.0
    student_units: int = 1
    teacher_units: int = 1
    overlap: float = 0.05
    length: float = 1.0
    gamma: float = 1.0
    duration: float = 20.0
    chain: bool = False
    dimension: int = 300
    data: str = "moons"
    data_batch: int = 20
    units: int = 16
    shift: float = 2.0
    network: int = 1
    tab: str = "learning"

    def __post_init__(self) -> None:
        typed.read(self.activation)
        object.__setattr__(self, "activation", self.activation.strip())
        choice("tab", self.tab, TABS)
        choice("data", self.data, CLOUDS)
        names = self.normalizations
        if not names or len(set(names)) < len(names) or not set(names) <= set(NORMALIZATIONS):
            expected = f"different ones of {', '.join(NORMALIZATIONS)}"
            raise invalid("normalizations", expected, names, "Choose one at least.")
        for name, slider in SLIDERS.items():
            value, low, high = getattr(self, name), slider.values[0], slider.values[-1]
            if name in INTEGERS:
                value = integer(name, value, int(low), maximum=int(high))
            else:
                value = real(name, value, low, high)
            object.__setattr__(self, name, value)
        if self.is_committee and self.exponent:
            raise invalid("exponent", "0 with several hidden units", self.exponent, ONE_OR_OTHER)

    @property
    def is_committee(self) -> bool:
        """Whether student or teacher has several hidden units."""
        return (self.student_units, self.teacher_units) != (1, 1)

    def address(self) -> str:
        """Return the part of the address behind the question mark."""
        return urlencode({name: _text(value) for name, value in vars(self).items()})

    def changed(self, **changes: Any) -> State:
        """Return a state with other values."""
        return replace(self, **changes)


def from_address(
    arguments: Mapping[str, Sequence[bytes | str]],
) -> tuple[State, tuple[str, ...]]:
    """Read the state of an address, and what is wrong with it.

    Parameters
    ----------
    arguments : mapping
        Name → the values that the address gives it.

    Returns
    -------
    state : State
        With the usual value wherever the address has none that fits.
    messages : tuple of str
        One for each value that does not fit.

    Examples
    --------
    >>> state, messages = from_address({"batch_size": ["8"], "label_noise": ["-1"]})
    >>> state.batch_size, state.label_noise, messages
    (8, 0.5, ('label_noise: expected a finite number ≥ 0 and ≤ 2, got -1.0.',))
    """
    state, messages = State(), []
    known = {field.name: getattr(state, field.name) for field in fields(State)}
    for name, values in list(arguments.items())[: 2 * len(known)]:
        if name not in known:
            messages.append(f"The address has an unknown part {name[:40]!r}.")
            continue
        try:
            state = replace(state, **{name: _value(name, values[-1], known[name])})
        except InvalidSetup as error:
            messages.append(str(error))
    return state, tuple(messages)


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return str(int(value)) if isinstance(value, bool) else str(value)


def _value(name: str, given: bytes | str, usual: Any) -> Any:
    """Read one value of an address in the type of the usual one."""
    try:
        text = given.decode() if isinstance(given, bytes) else given
    except UnicodeDecodeError as error:
        raise invalid(name, "a text", given[:40]) from error
    if len(text) > 2 * typed.LONGEST:
        raise invalid(name, f"at most {2 * typed.LONGEST} characters", f"{text[:40]}…")
    if isinstance(usual, bool):
        return choice(name, text, ("0", "1")) == "1"
    if isinstance(usual, tuple):
        return tuple(_in_order(text.split(",")))
    if isinstance(usual, str):
        return text
    try:
        return float(text)
    except ValueError as error:
        raise invalid(name, "a number", text) from error


def _in_order(names: Iterable[str]) -> list[str]:
    """Put known normalizations into their usual order, so that their colours are the same."""
    return sorted(names, key=lambda n: NORMALIZATIONS.index(n) if n in NORMALIZATIONS else -1)
