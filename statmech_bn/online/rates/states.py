"""States in and out of the functions of `rates`, and the averages of arrays of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import sympy as sp
import xarray as xr

from statmech_bn import symbolic as s
from statmech_bn.averages.choice import Quadrature
from statmech_bn.codegen import numpy_function
from statmech_bn.dataset import describe
from statmech_bn.errors import NoClosedForm, invalid
from statmech_bn.online.arguments import one_unit
from statmech_bn.teacher_student import OrderParameters, TeacherStudent

ALIGNED = 1e-8
"""1 − R at which limits R → 1 are taken."""
State = OrderParameters | Mapping[str, Any] | xr.Dataset


@lru_cache(maxsize=128)
def _average_function(setup: TeacherStudent) -> Callable[..., Any]:
    """Return (R, γ) ↦ (D, A₂, B, B_Δ) of arrays for γ > 0; without a scale γ stands for L."""
    group = setup.group
    try:
        if group is None:
            closed = list(s.field_averages(setup.activation))
        else:
            # Γ(M/2) overflows a double at M > 340, so SymPy evaluates what depends on M
            size = sp.Float(group, 30)
            closed = [e.subs(s.M, size).evalf(17) for e in s.batch_field_averages(setup.activation)]
        return numpy_function(closed, [s.R, s.gamma])
    except NoClosedForm:
        rule = Quadrature.for_activation(setup.activation)

    def integrate(overlap: float, gamma: float) -> tuple[float, ...]:
        if group is None:
            return rule.averages(overlap, gamma)
        return rule.batch_averages(overlap, gamma, group)

    elementwise = np.vectorize(integrate, otypes=[float] * 4)

    def evaluate(overlap: np.ndarray, gamma: np.ndarray) -> tuple[np.ndarray, ...]:
        with np.errstate(all="ignore"):  # flags that compiled kernels leave behind
            return elementwise(overlap, gamma)

    return evaluate


def averages(
    setup: TeacherStudent, overlap: np.ndarray, scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return D, A₂ and B with the label noise, for γ of either sign."""
    # (u, γ, R) and (−u, −γ, −R) are one system, and only A₂ is odd in u
    sign = np.where(scale < 0, -1.0, 1.0)
    drive, pull, noise, label_noise = _average_function(setup)(sign * overlap, sign * scale)
    return drive, sign * pull, noise + setup.label_noise**2 * label_noise


def drive_near_teacher(setup: TeacherStudent, scale: float) -> tuple[float, float]:
    """Return D₁ and D_{3/2}: D/(1 − R) is linear in √(1 − R) as R → 1."""
    x = np.array([ALIGNED, ALIGNED / 4])
    near, nearer = averages(setup, 1 - x, np.full(2, scale))[0] / x
    slope = 2 * nearer - near
    kink = float(slope - near) / np.sqrt(ALIGNED)
    # rounding of 1 − R leaves a relative 1e-8 in the ratios
    return float(slope), kink if kink > 1e-3 * slope else 0.0


def read_state(setup: TeacherStudent, state: State) -> tuple[Any, ...]:
    """Return R, L, γ as broadcast arrays, and how to give a result back in the state's form."""
    one_unit(setup)
    if isinstance(state, OrderParameters):
        one_unit(setup, state)
        state = vars(state)
    if not isinstance(state, (Mapping, xr.Dataset)):
        raise invalid("state", "OrderParameters, a mapping or a Dataset", state)
    given: dict[Any, Any] = dict(state)
    if not setup.normalizer.has_scale:
        given.setdefault("gamma", 1.0)
    missing = [name for name in ("overlap", "length", "gamma") if name not in given]
    if missing:
        raise invalid("state", f"entries {', '.join(missing)} as well", sorted(map(str, given)))
    values = [given[name] for name in ("overlap", "length", "gamma")]
    if isinstance(state, xr.Dataset):
        labelled = xr.broadcast(*(xr.DataArray(value) for value in values))
        return *(a.values for a in labelled), lambda found, name: as_array(found, labelled[0], name)
    try:
        arrays = np.broadcast_arrays(*(np.asarray(value, dtype=float) for value in values))
    except (TypeError, ValueError) as error:
        raise invalid("state", "numbers, or arrays that broadcast", state) from error
    overlap, length, _ = arrays
    if np.isnan(arrays).any() or (length <= 0).any():
        raise invalid("state", "numbers, and lengths > 0", state)
    if (np.abs(overlap[np.isfinite(overlap)]) > 1).any():
        raise invalid("overlap", "numbers in [−1, 1]", given["overlap"])
    return *arrays, lambda found, _: float(found) if found.ndim == 0 else found


def as_array(values: np.ndarray, template: xr.DataArray, name: str) -> xr.DataArray:
    """Give values the dimensions and coordinates of another array, and the name's attributes."""
    array = xr.DataArray(values, template.coords, template.dims, name)
    return describe(array.to_dataset())[name]
