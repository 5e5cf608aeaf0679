r"""Learning-rate schedules: a factor s(t) ≥ 0 that multiplies the learning rates of a call.

At every level η becomes η s(t) and η_γ becomes η_γ s(t), in weight decay's κ = 1 − η s λ/N too.
The step of a simulation that leads from t to t + 1/N takes s at the step's beginning t = step/N, so
that a jump at t₀ acts first on the step that begins at t₀; the flow is integrated up to t₀ and on.

    constant          s = c
    step              s = cⁿ after n of the given times
    cosine            s = c + (1 − c)(1 + cos πt/T)/2 until T, then c
    inverse_time      s = 1/(1 + t/τ)
    warm_up           s = c + (1 − c) t/T until T, then another schedule that begins there
    table             linear between given values, constant outside of them

Any callable t ↦ s does as well. It becomes polynomials on pieces
(`statmech_bn.online.schedules.pieces`), which find a jump or a bend of it if it shows at the
recorded times or at a hundredth of the duration; what is shorter should be a `table` or a
`Schedule` with breakpoints.
"""

from __future__ import annotations

import inspect
import json
import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from statmech_bn.checks import instance, real, vector
from statmech_bn.errors import invalid
from statmech_bn.online.schedules.pieces import pieces

__all__ = ["Schedule", "constant", "cosine", "inverse_time", "step", "table", "warm_up"]


@dataclass(frozen=True)
class Schedule:
    """A factor s(t) with a name and parameters that reproduce it.

    Schedules of this module hold nothing but numbers, so they are compared, pickled and described
    by what they are. One with a factor of its own is pickled if that callable can be.

    Parameters
    ----------
    name : str
        A schedule of this module, if there is no factor.
    factor : callable, optional
        t ↦ s(t) ≥ 0, for t ≥ 0 in steps/N.
    breakpoints : tuple of float
        Times at which s jumps or bends; at a jump s is what holds from then on.
    parameters : dict
        What the Dataset's attributes hold besides the name.

    Raises
    ------
    InvalidSetup
        There is no factor, and no schedule of this name and these parameters, or breakpoints are no
        times ≥ 0.
    """

    name: str
    factor: Callable[[float], float] | None = field(default=None, repr=False)
    breakpoints: tuple[float, ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        instance("name", self.name, str)
        instance("parameters", self.parameters, dict)
        if "name" in self.parameters or not all(isinstance(key, str) for key in self.parameters):
            raise invalid("parameters", "texts other than 'name' as keys", self.parameters)
        if self.factor is None and self.name not in FACTORS:
            known = f"one of {', '.join(FACTORS)}, or a factor"
            raise invalid("name", known, self.name, "Write Schedule(name, factor).")
        if self.factor is None:
            wanted = list(inspect.signature(FACTORS[self.name]).parameters)[1:]
            if sorted(self.parameters) != sorted(wanted):
                fix = f"Write schedules.{self.name}(...)."
                raise invalid("parameters", f"values of {', '.join(wanted)}", self.parameters, fix)
        elif not callable(self.factor):
            raise invalid("factor", "a callable t ↦ s(t)", self.factor)
        if not isinstance(self.breakpoints, tuple) or self.breakpoints:
            times = vector("breakpoints", self.breakpoints, minimum=0.0)
            object.__setattr__(self, "breakpoints", tuple(times.tolist()))

    def __call__(self, time: float) -> float:
        """Evaluate s at one time."""
        if self.factor is None:
            return FACTORS[self.name](time, **self.parameters)
        return self.factor(time)

    def to_attrs(self) -> dict[str, Any]:
        """Return what describes the schedule, ready for JSON."""
        parts = self.parameters.items()
        return {
            "name": self.name,
            **{k: v.to_attrs() if isinstance(v, Schedule) else v for k, v in parts},
        }


def _constant(t: float, factor: float) -> float:
    return factor


def _step(t: float, time: list[float], factor: float) -> float:
    return factor ** bisect_right(time, t)


def _cosine(t: float, duration: float, final: float) -> float:
    return final + (1 - final) * (1 + math.cos(math.pi * min(t / duration, 1.0))) / 2


def _inverse_time(t: float, timescale: float) -> float:
    return 1 / (1 + t / timescale)


def _warm_up(t: float, duration: float, initial: float, then: Schedule) -> float:
    if t < duration:
        return initial + (1 - initial) * t / duration
    return then(t - duration)


def _table(t: float, time: list[float], factor: list[float]) -> float:
    return float(np.interp(t, time, factor))


FACTORS: dict[str, Callable[..., float]] = {
    "constant": _constant,
    "step": _step,
    "cosine": _cosine,
    "inverse_time": _inverse_time,
    "warm_up": _warm_up,
    "table": _table,
}
"""Name → s of t and the parameters."""


Pieces = tuple[np.ndarray, np.ndarray]


def constant(factor: float = 1.0) -> Schedule:
    """Multiply the learning rates by a number > 0 at all times.

    Parameters
    ----------
    factor : float
        c > 0.

    Returns
    -------
    Schedule
    """
    factor = _number("factor", factor, above=0.0)
    return Schedule("constant", parameters={"factor": factor})


def step(time: ArrayLike, factor: float = 0.1) -> Schedule:
    """Multiply by another factor ≥ 0 at each of the given times.

    Parameters
    ----------
    time : float or sequence of float
        Increasing, ≥ 0, in steps/N.
    factor : float
        c ≥ 0.

    Returns
    -------
    Schedule

    Examples
    --------
    >>> [step([10, 20], 0.5)(t) for t in (0, 10, 15, 25)]
    [1.0, 0.5, 0.5, 0.25]
    """
    times = _times(time)
    factor = _number("factor", factor)
    steps = times.tolist()
    return Schedule("step", None, tuple(steps), {"time": steps, "factor": factor})


def cosine(duration: float, final: float = 0.0) -> Schedule:
    """Fall from 1 to `final` ≥ 0 along half a period of a cosine (Loshchilov & Hutter 2017).

    Parameters
    ----------
    duration : float
        T > 0, in steps/N.
    final : float
        c ≥ 0, from T on.

    Returns
    -------
    Schedule

    Examples
    --------
    >>> [round(cosine(10)(t), 6) for t in (0, 5, 10, 15)]
    [1.0, 0.5, 0.0, 0.0]
    """
    duration = _number("duration", duration, above=0.0)
    final = _number("final", final)
    return Schedule("cosine", None, (duration,), {"duration": duration, "final": final})


def inverse_time(timescale: float) -> Schedule:
    """Fall like 1/(1 + t/τ), which is τ/t at late times (Robbins & Monro 1951).

    Parameters
    ----------
    timescale : float
        τ > 0, in steps/N.

    Returns
    -------
    Schedule

    Examples
    --------
    >>> [inverse_time(5)(t) for t in (0, 5, 15)]
    [1.0, 0.5, 0.25]
    """
    timescale = _number("timescale", timescale, above=0.0)
    return Schedule("inverse_time", parameters={"timescale": timescale})


def warm_up(duration: float, initial: float = 0.0, then: Schedule | None = None) -> Schedule:
    """Rise linearly from `initial` ≥ 0 to 1, and go on with another schedule from its t = 0.

    Parameters
    ----------
    duration : float
        T > 0, in steps/N.
    initial : float
        c ≥ 0, at t = 0.
    then : Schedule, optional
        By default s stays 1.

    Returns
    -------
    Schedule

    Examples
    --------
    >>> [warm_up(2, then=step([10]))(t) for t in (0, 1, 2, 12)]
    [0.0, 0.5, 1.0, 0.1]
    """
    duration = _number("duration", duration, above=0.0)
    initial = _number("initial", initial)
    after = constant() if then is None else then
    if not isinstance(after, Schedule):
        raise invalid("then", "a Schedule", then)
    breakpoints = (duration, *(duration + t for t in after.breakpoints))
    parameters = {"duration": duration, "initial": initial, "then": after}
    return Schedule("warm_up", None, breakpoints, parameters)


def table(time: ArrayLike, factor: ArrayLike) -> Schedule:
    """Interpolate values linearly between increasing times; constant before and after them.

    Parameters
    ----------
    time : sequence of float
        Increasing, ≥ 0, in steps/N.
    factor : sequence of float
        s ≥ 0 at each of them.

    Returns
    -------
    Schedule

    Examples
    --------
    >>> [table([0, 10], [1, 0])(t) for t in (0, 5, 20)]
    [1.0, 0.5, 0.0]
    """
    times = _times(time)
    factors = vector("factor", factor, minimum=0.0)
    if factors.shape != times.shape:
        raise invalid("factor", f"{times.size} finite numbers ≥ 0, one for each time", factor)
    parameters = {"time": times.tolist(), "factor": factors.tolist()}
    return Schedule("table", None, tuple(times.tolist()), parameters)


def prepare(
    schedule: Schedule | Callable[[float], float] | None, time: np.ndarray
) -> tuple[Pieces, str | None]:
    """Check a schedule and make it ready for compiled code.

    Parameters
    ----------
    schedule : Schedule or callable, optional
    time : ndarray
        Recorded times; s is needed from 0 to the last.

    Returns
    -------
    pieces : tuple of ndarray
        Edges and coefficients, see `statmech_bn.online.schedules.pieces`.
    attribute : str or None
        JSON that describes the schedule.

    Raises
    ------
    InvalidSetup
        s(t) is not a finite number ≥ 0, or is zero at all times, or jumps everywhere, or JSON
        cannot hold the parameters.
    """
    if schedule is None:
        return (np.array([0.0, time[-1]]), np.ones((1, 1))), None

    def factor(t: float) -> float:
        try:
            found = schedule(t)
        except (TypeError, ValueError) as error:
            fix = "See statmech_bn.schedules, e.g. cosine."
            raise invalid("schedule", "a callable t ↦ number", schedule, fix) from error
        return real(f"schedule at t = {t:g}", found, minimum=0.0)

    breakpoints: Sequence[float] = schedule.breakpoints if isinstance(schedule, Schedule) else ()
    probes = np.union1d(time, np.linspace(0, time[-1], 101))
    found = pieces(factor, float(time[-1]), breakpoints, probes)
    if not found[1].any():
        raise invalid("schedule", "a factor that is not zero at all times", schedule)
    if isinstance(schedule, Schedule):
        described = schedule.to_attrs()
    else:
        name = getattr(schedule, "__name__", type(schedule).__name__)
        described = {"name": name, "time": time.tolist(), "factor": [factor(t) for t in time]}
    try:
        return found, json.dumps(described, default=lambda value: value.tolist())
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise invalid("schedule", "parameters that JSON can hold", described) from error


def _number(name: str, value: Any, above: float | None = None) -> float:
    number = real(name, value, minimum=0.0)
    if above is not None and number <= above:
        raise invalid(name, f"a finite number > {above:g}", value)
    return number


def _times(values: ArrayLike) -> np.ndarray:
    times = vector("time", values, minimum=0.0)
    if (np.diff(times) <= 0).any():
        raise invalid("time", "strictly increasing times ≥ 0", values)
    return times
