r"""The gamma decay that batch statistics are worth in a committee, which couples its units.

Normalized over a batch of M samples instead of the population, a committee's loss on fresh samples
grows by

    P = ½ Σ_kl v_kv_l {E[g(γ_kû_k) g(γ_lû_l)] − E[g(γ_ku_k) g(γ_lu_l)]}
        − Σ_kn v_kv*_n {E[g(γ_kû_k) g(h*_n)] − E[g(γ_ku_k) g(h*_n)]},

a function of γ that adds −∂P/∂γ_k to the pull P_k. For linear units E[û_kû_l] is the mean E[r] of a
sample correlation (`statmech_bn.symbolic.coupled_decay`) and E[û_kh*_n] = s_M E[u_kh*_n], exactly;
with the correlation q of the units' fields E[r] − q ≃ −q(1−q²)/(2M), so that units are drawn to the
correlation 1/√3. For other units P is known to order 1/M, from c₁ = E[û − u | u],
c₂ = M E[(û − u)² | u] and c_kl = q + ½q²u_ku_l of two units: with f = g(γ_k·) and w = g(γ_l·)

    E[f(û_k) w(û_l) − f w] = E[f'c₁w + ½f''c₂w] + E[f w'c₁ + ½f w''c₂] + E[f'w'c_kl]/M,

where f'' goes by parts, so that kinks do no harm.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr

from statmech_bn.activations import Activation, z
from statmech_bn.averages.choice import Quadrature
from statmech_bn.averages.quadrature import REACH, SPACING, panels, trapezoid
from statmech_bn.checks import instance
from statmech_bn.codegen import numpy_function
from statmech_bn.dataset import describe
from statmech_bn.errors import invalid
from statmech_bn.symbolic import coupled_decay as s
from statmech_bn.symbolic.flow import spread_moment
from statmech_bn.symbolic.symbols import M
from statmech_bn.teacher_student import OrderParameters, TeacherStudent

ALIKE = 1e-6
"""Fields with a smaller 1 − q² count as the same."""

Function = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def coupled_gamma_decay(setup: TeacherStudent, state: OrderParameters) -> xr.Dataset:
    """Average what batch statistics add to the loss of a committee at a state.

    Parameters
    ----------
    setup : TeacherStudent
        With "batch" or ghost batches, whose size is then that of a group.
    state : OrderParameters
        ρ, Q, γ and v.

    Returns
    -------
    xarray.Dataset
        ``pair_penalty`` over (student_unit, other_student_unit) and ``teacher_penalty`` over
        (student_unit, teacher_unit): the terms of P, which is the sum of all. They are exact for
        linear units, and of order 1/M for others.

    Raises
    ------
    InvalidSetup
        The setup has other statistics, or the state other units.

    Examples
    --------
    >>> import statmech_bn as sbn
    >>> setup = sbn.TeacherStudent("linear", "batch", 8, student_units=2, teacher_units=2)
    >>> state = sbn.OrderParameters(student_teacher=[[0, 0], [0, 0]],
    ...                             student_student=[[1, 0.5], [0.5, 1]])
    >>> found = coupled_gamma_decay(setup, state)
    >>> found["pair_penalty"].values.round(4)
    array([[ 0.    , -0.0138],
           [-0.0138,  0.    ]])
    """
    instance("setup", setup, TeacherStudent)
    instance("state", state, OrderParameters)
    if setup.group is None:
        raise invalid("setup", "statistics of the batch", setup.normalization)
    rho, q, gamma, readout = state.matrices(setup)
    length, spread = np.sqrt(np.diag(q)), np.sqrt(np.diag(setup.teacher_gram))
    mutual = np.clip(q / np.outer(length, length), -1, 1)
    np.fill_diagonal(mutual, 1.0)
    cosine = np.clip(rho / np.outer(length, spread), -1, 1)
    target = np.array(setup.teacher_readout)
    pairs, teacher = np.empty_like(mutual), np.empty_like(cosine)
    change = _linear if _is_linear(setup.activation) else _first_order
    for k in range(len(gamma)):
        for m in range(k + 1):
            pairs[k, m] = pairs[m, k] = change(setup, mutual[k, m], gamma[k], gamma[m], k == m)
        for n in range(len(target)):
            teacher[k, n] = change(setup, cosine[k, n], gamma[k], spread[n], None)
    data = {
        "pair_penalty": (
            ("student_unit", "other_student_unit"), 0.5 * np.outer(readout, readout) * pairs
        ),
        "teacher_penalty": (
            ("student_unit", "teacher_unit"), -np.outer(readout, target) * teacher
        ),
    }  # fmt: skip
    return describe(xr.Dataset(data, attrs=setup.to_attrs()))


def _is_linear(g: Activation) -> bool:
    return bool(g.expression == z)


@lru_cache(maxsize=128)
def _spread(group: int) -> float:
    """Return s_M."""
    return float(spread_moment(1).subs(M, group).evalf(20))


def _linear(
    setup: TeacherStudent, q: float, first: float, second: float, same: bool | None
) -> float:
    """Return the change of E[φ_kφ_l], or with `same` None of E[φ_k h*_n]."""
    group: Any = setup.group
    if same:
        return 0.0
    if same is None:
        return first * second * q * (_spread(group) - 1)
    found = float(s.sample_correlation().subs({s.q: q, M: group}).evalf(20))
    return first * second * (found - q)


@lru_cache(maxsize=1024)  # units that are alike have the same
def _first_order(
    setup: TeacherStudent, q: float, first: float, second: float, same: bool | None
) -> float:
    """Return the change of E[g(γ_kû_k) g(γ_lû_l)], or with `same` None of that with h*_n."""
    f, w = _scaled(setup.activation, first), _scaled(setup.activation, second)
    rule = Quadrature.for_activation(setup.activation)
    sharp = max(1.0, abs(first), abs(second)) * rule.refinement
    a, b, weight = _nodes(rule.kinks, q, (first, second), sharp)
    (f0, f1), (w0, w1) = f(a), f(b) if same else w(b)
    if 1 - q * q < ALIKE:
        sign = 1.0 if q > 0 else -1.0
        total = _along(a, f0, f1, w0, sign * w1)
        if same is not None:
            total = total + _along(a, w0, sign * w1, f0, f1)
    else:
        total = _beside(a, b, q, f1, w0)
        if same is not None:
            total = total + _beside(b, a, q, w1, f0)
    if same is not None:
        total = total + f1 * w1 * (q + q * q * a * b / 2)
    group: Any = setup.group
    return float(weight @ total) / group


@lru_cache(maxsize=64)
def _value_and_slope(g: Activation) -> Callable[..., Any]:
    """Compile g and g'."""
    return numpy_function([g.expression, g.derivative], [z])


def _scaled(g: Activation, scale: float) -> Function:
    """Return u ↦ g(γu) and its derivative."""
    compiled = _value_and_slope(g)

    def evaluate(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, slope = compiled(scale * u)
        return value, scale * slope

    return evaluate


def _nodes(
    kinks: np.ndarray, q: float, scales: tuple[float, float], refinement: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return nodes of two fields of the correlation q, and their weights."""
    width = np.sqrt(max(0.0, 1 - q * q))
    breaks = [kinks / scale if scale else np.zeros(0) for scale in scales]
    if kinks.size:
        b, weight = panels(breaks[1], refinement, REACH)
    else:
        b, weight = v, inner = trapezoid(SPACING / refinement, REACH)
    if 1 - q * q < ALIKE:
        return np.sign(q) * b, b, weight
    rows = []
    for centre, share in zip(b, weight, strict=True):
        if kinks.size:
            v, inner = panels((breaks[0] - q * centre) / width, refinement, REACH)
        rows.append((q * centre + width * v, np.full(v.size, centre), share * inner))
    a, b, weight = (np.concatenate(part) for part in zip(*rows, strict=True))
    return a, b, weight


def _beside(a: np.ndarray, b: np.ndarray, q: float, slope: np.ndarray, other: np.ndarray) -> Any:
    """Return the integrand of M E[(f'c₁ + ½f''c₂) w], f'' by parts in a at given b."""
    square = 1 + a * a / 2
    shift = -(a**3) / 2 + 3 * a / 4
    return slope * other * (shift + ((a - q * b) / (1 - q * q) * square - a) / 2)


def _along(
    a: np.ndarray, value: np.ndarray, slope: np.ndarray, other: np.ndarray, bend: np.ndarray
) -> Any:
    """Return that integrand for w a function of a too; `bend` is its derivative by a."""
    square = 1 + a * a / 2
    shift = -(a**3) / 2 + 3 * a / 4
    return slope * (other * shift + (a * other * square - bend * square - other * a) / 2)
