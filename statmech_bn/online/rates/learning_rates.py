r"""Learning rates of a state: maximum and effective; how students anneal themselves; Table 1.

The expressions are SymPy's (`statmech_bn.symbolic`), in terms of the averages D, A₂ and B
over the fields; those are closed where they can be, and integrated for each state elsewhere.

    maximum (normalized)   η_max = 2MQD/(γRB), where dR/dt changes sign
    effective              η_eff = ηγ/Q (none: η/L)
    late time (λ = 0)      η_eff ≃ √(M/(2Bt)),  1 − R ≃ √B/(2D₁√(2Mt)),  L⁴ ≃ 2η²γ₀²Bt/M

with B and D₁, the drive over 1 − R, at R = 1 and the γ₀ at which A₂ = 2ζγ: L alone remembers η.
Inputs with a covariance are in `statmech_bn.online.rates.structured`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import sympy as sp
import xarray as xr
from numpy.typing import ArrayLike

from statmech_bn import symbolic as s
from statmech_bn.checks import array, count, instance, positive, real
from statmech_bn.codegen import numpy_function
from statmech_bn.dataset import describe
from statmech_bn.errors import invalid
from statmech_bn.online.arguments import LONGEST_START, SHORTEST_START, one_unit
from statmech_bn.online.rates.committee_maximum import committee_maximum
from statmech_bn.online.rates.fixed_points import (
    NO_NOISE,
    equilibrium,
    fixed_point,
    resting_gamma,
    stability,
)
from statmech_bn.online.rates.states import (
    ALIGNED,
    State,
    as_array,
    averages,
    drive_near_teacher,
    read_state,
)
from statmech_bn.online.rates.structured import late_setup, structured_maximum
from statmech_bn.spectrum import Spectrum
from statmech_bn.symbolic import rates as derived
from statmech_bn.teacher_student import OrderParameters, TeacherStudent

__all__ = ["effective", "equilibrium", "fixed_point", "late_time", "maximum", "table"]


def maximum(setup: TeacherStudent, state: State, inputs: Spectrum | None = None) -> Any:
    """Find the learning rate below which a state improves.

    Parameters
    ----------
    setup : TeacherStudent
    state : OrderParameters, mapping or xarray.Dataset
        With ``overlap``, ``length`` and (but for "none") ``gamma``; numbers or arrays that
        broadcast, or a result of any level. With `inputs` one OrderParameters. Of committees the
        matrices, as OrderParameters or a result (`statmech_bn.online.rates.committee_maximum`).
    inputs : Spectrum, optional
        Covariance of the Gaussian inputs, by default 1; R is then the correlation of the fields.

    Returns
    -------
    float, ndarray or xarray.DataArray
        η_max ≥ 0 of each state: dR/dt changes sign there, for "none" dε_g/dt, and for committees
        dε_g/dt at the state's γ and v. It is inf where every learning rate improves (R ≤ 0 with a
        scale; without one, where noise improves too), and 0 where none does. For a state that has
        diverged, or is longer than 10⁵⁰ without a scale, it is the η at which length explodes, and
        for a committee 0.

    Raises
    ------
    InvalidSetup
        The state lacks an order parameter, or its arrays do not fit.

    Examples
    --------
    >>> from statmech_bn import OrderParameters
    >>> setup = TeacherStudent("linear", "weight", batch_size=8)
    >>> round(maximum(setup, OrderParameters(overlap=0.5, length=1.0, gamma=1.0)), 6)
    24.0
    """
    instance("setup", setup, TeacherStudent)
    if setup.is_committee or _has_matrices(state):
        if inputs is not None:
            raise invalid("inputs", "None for committees: isotropic inputs", inputs)
        return committee_maximum(setup, state)
    if inputs is not None:
        return structured_maximum(setup, state, inputs)
    overlap, length, gamma, give_back = read_state(setup, state)
    has_scale = setup.normalizer.has_scale
    farthest = np.inf if has_scale else LONGEST_START  # where powers of a length overflow
    diverged = ~(np.isfinite(overlap) & (length < farthest) & np.isfinite(gamma))
    cosine = np.clip(np.where(diverged, 0.5, overlap), ALIGNED - 1, 1 - ALIGNED)
    size = np.where(diverged, 1.0, length)
    scale = np.where(diverged, 1.0, gamma) if has_scale else size
    drive, pull, noise = averages(setup, cosine, scale)
    gain, found = _maximum_function(setup.normalization)(
        drive, pull, noise, cosine, size, scale, setup.batch_size, setup.weight_decay
    )
    found = np.where(gain > 0, np.where(found >= 0, found, np.inf), 0.0)  # noise may improve
    limit = np.inf
    if not has_scale:
        explosion = derived.divergence_learning_rate(setup.activation)
        limit = float(explosion.subs({s.M: setup.batch_size, s.lamda: setup.weight_decay}))
    return give_back(np.where(diverged, limit, found), "maximum_rate")


def _has_matrices(state: Any) -> bool:
    """Say whether a state is of several units."""
    if isinstance(state, xr.Dataset):
        return "student_unit" in state.dims
    return isinstance(state, OrderParameters) and state.is_committee


def effective(setup: TeacherStudent, state: State, learning_rate: Any) -> Any:
    """Return the effective learning rate, ηγ/L² (normalized) or η/L (none).

    Parameters
    ----------
    setup : TeacherStudent
    state : OrderParameters, mapping or xarray.Dataset
        As in `maximum`.
    learning_rate : float, array_like or xarray.DataArray
        η > 0; a DataArray, such as ``result["learning_rate"]``, is matched by its dimension.

    Returns
    -------
    float, ndarray or xarray.DataArray
        η_eff, the coefficient of the drive in dR/dt; 0 for a state that has diverged.

    Examples
    --------
    >>> from statmech_bn import OrderParameters
    >>> setup = TeacherStudent("linear", "weight")
    >>> effective(setup, OrderParameters(length=2.0, gamma=1.0), 3.0)
    0.75
    """
    _, length, gamma, give_back = read_state(setup, state)
    expression = derived.effective_learning_rate(setup.normalization)
    evaluate = numpy_function([expression], [s.eta, s.L, s.gamma])
    if isinstance(state, xr.Dataset):
        states = [give_back(length, "length"), give_back(gamma, "gamma")]
        labelled = xr.broadcast(*states, xr.DataArray(learning_rate))
        labelled = tuple(array.transpose(*states[0].dims, ...) for array in labelled)
        length, gamma, rates = (array.values for array in labelled)
        return as_array(_or_zero(evaluate, rates, length, gamma), labelled[0], "effective_rate")
    rates = array("learning_rate", learning_rate)
    if not (rates > 0).all():
        raise invalid("learning_rate", "numbers > 0", learning_rate)
    found = _or_zero(evaluate, rates, length, gamma)
    return float(found) if found.ndim == 0 else found


def late_time(setup: TeacherStudent, time: ArrayLike, inputs: Spectrum | None = None) -> xr.Dataset:
    """Return how a normalized student anneals itself, as t → ∞ and whatever η is.

    Parameters
    ----------
    setup : TeacherStudent
        Normalized, without weight decay, with noise at its fixed point: label noise, γ₀ ≠ 1, or
        batch statistics of a nonlinear unit.
    time : sequence of float
        Increasing, > 0.
    inputs : Spectrum, optional
        Covariance of the Gaussian inputs, by default 1. The law then holds after the slowest
        direction has followed, t ≫ ``crossover_time``.

    Returns
    -------
    xarray.Dataset
        Over time: effective_rate, misalignment (1 − R), length_per_root_rate (L/√η), and
        correction, the next order of the misalignment, relative to it. It is of order t^(−1/4)
        and positive for an activation with a kink; for a smooth one it is zero, and what is left
        is of order t^(−1/2). ``gamma`` is γ₀.

    Raises
    ------
    InvalidSetup
        The student does not anneal itself, or times are not increasing from > 0.

    Examples
    --------
    >>> import statmech_bn as sbn
    >>> setup = sbn.TeacherStudent("linear", "weight", batch_size=8, label_noise=0.5)
    >>> late_time(setup, [100, 10_000])["misalignment"].values.round(6)
    array([0.003125, 0.000313])
    """
    one_unit(setup)
    times = positive("time", time)
    if (np.diff(times) <= 0).any():
        raise invalid("time", "strictly increasing times", time)
    derived.normalized(setup.normalizer)
    if setup.weight_decay > 0:
        raise invalid("setup.weight_decay", "0", setup.weight_decay, "Use rates.equilibrium.")
    given, size, unit = setup, float(setup.batch_size), 1.0
    if inputs is not None:
        instance("inputs", inputs, Spectrum)
        setup, size, unit = late_setup(setup, inputs)
    scale = resting_gamma(setup, 1.0)
    noise = float(averages(setup, np.array(1.0), np.array(scale))[2])
    if noise < NO_NOISE:
        raise invalid(
            "setup", "noise at R = 1 (label noise, or gamma decay)", given,
            "Without it R = 1 is reached exponentially fast and L stops growing.",
        )  # fmt: skip
    slope, kink = drive_near_teacher(setup, scale)
    rate, length, leading, corrected = _late_time_function(setup.normalization)(
        times, size, noise, scale, slope, kink
    )
    data: dict[str, Any] = {
        "effective_rate": ("time", unit * rate),
        "misalignment": ("time", leading),
        "correction": ("time", corrected / leading - 1),
        "length_per_root_rate": ("time", length),
        "gamma": unit * scale,
    }
    attributes = given.to_attrs()
    if inputs is not None:
        slowest = float(inputs.eigenvalues[inputs.eigenvalues > 0].min() / inputs.teacher_variance)
        crossover = 8 * noise / (size * (slope * slowest) ** 2)
        data["crossover_time"] = ((), crossover, {"long_name": "crossover", "units": "steps / N"})
        attributes |= inputs.to_attrs()
    return describe(xr.Dataset(data, {"time": times}, attributes))


def table(batch_size: int, gamma_decay: float = 0.0, length: float = 1.0) -> xr.Dataset:
    """Evaluate Table 1 of Luo et al. (2019) and the row of exact batch statistics.

    Parameters
    ----------
    batch_size : int
        M ≥ 4.
    gamma_decay : float
        ζ of the student "weight_gamma_decay".
    length : float
        L₀ of the normalized students.

    Returns
    -------
    xarray.Dataset
        Over activation and student (see `statmech_bn.symbolic.learning_rate_table`): overlap,
        length, gamma, maximum_rate and effective_rate, the latter for η = 1.
    """
    batch_size = count("batch_size", batch_size, 4)
    gamma_decay = real("gamma_decay", gamma_decay, minimum=0.0)
    length = real("length", length, SHORTEST_START, LONGEST_START)
    values = {s.M: sp.Float(batch_size, 30), s.zeta: gamma_decay, s.L: length, s.eta: 1}
    names = ("overlap", "length", "gamma", "maximum_rate", "effective_rate")
    columns = ("overlap", "length", "gamma", "maximum", "effective")
    rows = s.learning_rate_table()
    found: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        cells = [getattr(row, column) for column in columns]
        if None in cells:
            setup = TeacherStudent(row.activation, row.student, batch_size)
            scale = resting_gamma(setup, 1.0)
            largest = stability(setup, 1.0, 1.0, length, scale)[1]
            cells = [1.0, np.inf, scale, largest, scale / length**2]  # their statistics are noise
        else:
            cells = [float(sp.N(cell.subs(values))) for cell in cells]
        found[row.activation, row.student] = cells
    units = list(dict.fromkeys(row.activation for row in rows))
    students = list(dict.fromkeys(row.student for row in rows))
    array = np.array([[found[unit, student] for student in students] for unit in units])
    data = {name: (("activation", "student"), array[..., k]) for k, name in enumerate(names)}
    attributes = {"batch_size": int(batch_size), "gamma_decay": float(gamma_decay)}
    return describe(xr.Dataset(data, {"activation": units, "student": students}, attributes))


@lru_cache(maxsize=8)
def _maximum_function(normalization: str) -> Callable[..., tuple[np.ndarray, ...]]:
    symbols = [s.D, s.A, s.B, s.R, s.L, s.gamma, s.M, s.lamda]
    gain = derived.improvement(normalization).coeff(s.eta, 1)
    return numpy_function([gain, derived.maximum_learning_rate(normalization)], symbols)


@lru_cache(maxsize=8)
def _late_time_function(normalization: str) -> Callable[..., tuple[np.ndarray, ...]]:
    law = s.late_time(normalization)
    aligned = law[s.misalignment]
    leading = aligned.subs(s.drive_kink, 0)
    symbols = [s.t, s.M, s.B, s.gamma, s.drive_slope, s.drive_kink]
    return numpy_function([law[s.eta_eff], law[s.L].subs(s.eta, 1), leading, aligned], symbols)


def _or_zero(evaluate: Callable[..., Any], rate: Any, length: Any, gamma: Any) -> np.ndarray:
    """Evaluate η_eff; a student of infinite length does not turn."""
    finite = np.isfinite(length) & np.isfinite(gamma)
    safe = (np.where(finite, length, 1.0), np.where(finite, gamma, 1.0))
    return np.where(finite, evaluate(rate, *safe)[0], 0.0)
