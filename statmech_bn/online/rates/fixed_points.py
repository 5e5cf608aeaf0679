r"""Where a student stops: fixed points, their stability, and the equilibrium with weight decay.

The equations are SymPy's (`statmech_bn.symbolic.rates`): the flow's zeros, and its Jacobian in
terms of the averages D, A₂ and B and their slopes. With weight decay λ a normalized student rests
where

    A₂ = 2ζγ,    η_eff = √(2Mηλ/B),    D = R η_eff B/(2M),    L² = ηγ/η_eff,

so that R, γ and η_eff depend on the product ηλ alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, lru_cache

import numpy as np
import sympy as sp
import xarray as xr
from numpy.typing import ArrayLike
from scipy.optimize import brentq, root
from scipy.special import expit

from statmech_bn import symbolic as s
from statmech_bn.checks import positive, real
from statmech_bn.codegen import numpy_function
from statmech_bn.dataset import describe
from statmech_bn.errors import NotConverged, invalid
from statmech_bn.normalization import Unnormalized
from statmech_bn.online.arguments import one_unit
from statmech_bn.online.rates.states import averages
from statmech_bn.symbolic import rates as derived
from statmech_bn.teacher_student import TeacherStudent

NO_NOISE = 1e-12
"""B below which a fixed point has no noise."""
FARTHEST = 34.0
"""Largest |ln(R/(1 − R))| of an equilibrium; beyond it R is 1 or 0 but for rounding."""
CLOSEST = 1e-8
"""Angle to the teacher that stands for 0, where dR/dt over its sine is 0/0."""
STEP = 0.02
"""Differences for the Jacobian move arccos R and log γ by this; their error is of order STEP⁴."""
SMALLEST_GAMMA, LARGEST_GAMMA = 2.0**-20, 2.0**20
LARGEST_PRODUCT = 1e100
"""Largest ηλ, and inverse of the smallest, of which the square is a number."""
LOG_LENGTHS = np.array([-300.0, 300.0])
"""A solver's trial steps are cut to this range of log L."""


def fixed_point(
    setup: TeacherStudent, learning_rate: ArrayLike = 1.0, length: float = 1.0
) -> xr.Dataset:
    """Find where a student stops, and whether it stays there.

    Parameters
    ----------
    setup : TeacherStudent
    learning_rate : float or sequence
        η > 0; η_γ is the same.
    length : float
        L₀ of a normalized student without noise at R = 1, which has a line of fixed points.

    Returns
    -------
    xarray.Dataset
        Over learning_rate: overlap, length, gamma, effective_rate; eigenvalue (over mode) of the
        Jacobian, the largest real part first; stable. ``maximum_rate`` is the η below which R is
        stable at this point. A normalized student with noise and without weight decay has no
        fixed point: its length is inf, its effective rate is 0, and R₀ = 1 and γ₀ are approached
        by the power law of `late_time`.

    Raises
    ------
    InvalidSetup
        An argument is outside of its range.
    NotConverged
        A student without normalization has no fixed point near its teacher at this η.

    Examples
    --------
    >>> import statmech_bn as sbn
    >>> setup = sbn.TeacherStudent("linear", "weight", 8, label_noise=0.3, weight_decay=0.1)
    >>> found = sbn.rates.fixed_point(setup, 1.0)
    >>> bool(found["stable"].all())
    True
    """
    one_unit(setup)
    rates = positive("learning_rate", learning_rate)
    if real("length", length) <= 0:
        raise invalid("length", "a number > 0", length)
    if not setup.normalizer.has_scale:
        points = np.array([_unnormalized(setup, rate) for rate in rates])
        overlaps, lengths = points.T
        gammas = np.ones(rates.size)
    elif setup.weight_decay > 0:
        rest = equilibrium(setup, rates)
        overlaps, lengths, gammas = (rest[name].values for name in ("overlap", "length", "gamma"))
    else:
        scale = resting_gamma(setup, 1.0)
        noise = averages(setup, np.array(1.0), np.array(scale))[2]
        overlaps, gammas = np.ones(rates.size), np.full(rates.size, scale)
        lengths = np.full(rates.size, float(length) if noise < NO_NOISE else np.inf)
    modes, turning = [], []
    for rate, *state in zip(rates, overlaps, lengths, gammas, strict=True):
        eigenvalues, largest = stability(setup, rate, *state)
        modes.append(eigenvalues)
        turning.append(largest)
    eigenvalue = np.array(modes)
    data = {
        "overlap": ("learning_rate", overlaps),
        "length": ("learning_rate", lengths),
        "gamma": ("learning_rate", gammas),
        "eigenvalue": (("learning_rate", "mode"), eigenvalue),
        "stable": ("learning_rate", (eigenvalue.real <= 0).all(axis=1)),
        "maximum_rate": ("learning_rate", np.array(turning)),
    }
    found = xr.Dataset(data, {"learning_rate": rates}, setup.to_attrs())
    expression = derived.effective_learning_rate(setup.normalization)
    effective = numpy_function([expression], [s.eta, s.L, s.gamma])(rates, lengths, gammas)[0]
    found["effective_rate"] = ("learning_rate", effective)
    return describe(found)


def equilibrium(setup: TeacherStudent, learning_rate: ArrayLike) -> xr.Dataset:
    """Find where weight decay balances the noise of a normalized student.

    Parameters
    ----------
    setup : TeacherStudent
        Normalized, with weight decay.
    learning_rate : float or sequence
        η > 0.

    Returns
    -------
    xarray.Dataset
        Over learning_rate: overlap, length, gamma, effective_rate.

    Raises
    ------
    InvalidSetup
        The student is not normalized or has no weight decay.
    NotConverged
        No overlap in (0, 1) balances.

    Examples
    --------
    >>> import statmech_bn as sbn
    >>> setup = sbn.TeacherStudent("linear", "weight", 8, label_noise=0.3, weight_decay=0.1)
    >>> found = sbn.rates.equilibrium(setup, [1, 4])
    >>> found["effective_rate"].values.round(2)
    array([3.7 , 6.55])
    """
    one_unit(setup)
    rates = positive("learning_rate", learning_rate)
    if not setup.normalizer.has_scale or setup.weight_decay == 0:
        raise invalid(
            "setup", "a normalized student with weight_decay > 0", setup,
            "Without weight decay the length grows for ever: see rates.late_time.",
        )  # fmt: skip
    states = np.array([_balanced(setup, rate * setup.weight_decay) for rate in rates])
    overlap, gamma, noise = states.T
    effective_rate, length = _balance(setup.normalization)(
        rates, setup.weight_decay, setup.batch_size, noise, gamma
    )
    data = {
        "overlap": overlap,
        "length": length,
        "gamma": gamma,
        "effective_rate": effective_rate,
    }
    data = {name: ("learning_rate", values) for name, values in data.items()}
    return describe(xr.Dataset(data, {"learning_rate": rates}, setup.to_attrs()))


def resting_gamma(setup: TeacherStudent, overlap: float) -> float:
    """Solve A₂ = 2ζγ for γ > 0 at a given overlap.

    Raises
    ------
    NotConverged
        γ has no rest between 2⁻²⁰ and 2²⁰.
    """

    @cache
    def pull(scale: float) -> float:
        found = averages(setup, np.array(overlap), np.array(scale))[1]
        return float(found) - 2 * setup.gamma_decay * scale

    low = high = 1.0
    while pull(high) > 0 and high < LARGEST_GAMMA:
        high *= 2
    while pull(low) <= 0 and low > SMALLEST_GAMMA:
        low /= 2
    if not (pull(low) > 0 >= pull(high)):
        raise NotConverged(
            f"No γ between {SMALLEST_GAMMA:g} and {LARGEST_GAMMA:g} is at rest for the overlap "
            f"{overlap:g}: the output of this student shrinks or grows without end."
        )
    return float(brentq(pull, low, high, xtol=1e-15)) if pull(high) < 0 else high


@lru_cache(maxsize=8)
def _balance(normalization: str) -> Callable[..., tuple[np.ndarray, ...]]:
    law = s.equilibrium(normalization)
    symbols = [s.eta, s.lamda, s.M, s.B, s.gamma]
    return numpy_function([law[s.eta_eff], law[s.L]], symbols)


def _balanced(setup: TeacherStudent, product: float) -> tuple[float, float, float]:
    """Solve D = R √(ηλB/(2M)) and A₂ = 2ζγ; returns R, γ and B."""

    @cache
    def at(logit: float) -> tuple[float, float, float, float]:
        overlap = float(expit(logit))
        scale = resting_gamma(setup, overlap)
        drive, _, noise = averages(setup, np.array(overlap), np.array(scale))
        return overlap, scale, float(drive), float(noise)

    def gap(logit: float) -> float:
        overlap, _, drive, noise = at(logit)
        return drive - overlap * math.sqrt(product * max(noise, 0.0) / (2 * setup.batch_size))

    if not 1 / LARGEST_PRODUCT <= product <= LARGEST_PRODUCT:
        raise NotConverged(f"At ηλ = {product:g} products of averages under- or overflow.")
    low = high = 0.0  # the drive wins at small R, and the noise at large
    while gap(low) < 0 and low > -FARTHEST:
        low -= 2
    while gap(high) > 0 and high < FARTHEST:
        high += 2
    if not gap(low) >= 0 >= gap(high):
        raise NotConverged(f"At ηλ = {product:g} no overlap in (0, 1) balances drive and noise.")
    overlap, scale, _, noise = at(brentq(gap, low, high, xtol=1e-12))
    return overlap, scale, noise


def _unnormalized(setup: TeacherStudent, rate: float) -> tuple[float, float]:
    """Solve dR/dt = dL/dt = 0 of the student without normalization; returns R and L."""
    if setup.label_noise == 0 and setup.weight_decay == 0:
        return 1.0, 1.0
    flow = s.order_parameter_flow(Unnormalized())
    symbols = [s.D, s.A, s.B, s.R, s.L, s.eta, s.M, s.lamda]
    change = numpy_function([flow[s.R], flow[s.L]], symbols)

    def residual(state: np.ndarray) -> list[float]:
        overlap, length = np.array(np.cos(state[0])), np.exp(np.clip(state[1], *LOG_LENGTHS))
        drive, pull, noise = averages(setup, overlap, length)
        turn, growth = change(
            drive, pull, noise, overlap, length, rate, setup.batch_size, setup.weight_decay
        )
        sine = np.sin(state[0])  # dR/dt by it is dθ/dt, odd and smooth through R = 1
        return [float(turn) / (sine or CLOSEST) / rate, float(growth) / rate]

    guess = np.sqrt(rate * setup.label_noise**2 / setup.batch_size) + 0.1
    solution = root(residual, [guess, 0.0], tol=1e-13)
    overlap, length = float(np.cos(solution.x[0])), float(np.exp(solution.x[1]))
    if not solution.success and np.abs(residual(solution.x)).max() > 1e-9:
        raise NotConverged(
            f"No fixed point at learning rate {rate:g}: {solution.message} The student may "
            "diverge; compare statmech_bn.symbolic.divergence_learning_rate."
        )
    return overlap, length


def stability(
    setup: TeacherStudent, rate: float, overlap: float, length: float, gamma: float
) -> tuple[np.ndarray, float]:
    """Eigenvalues of the Jacobian, descending, and the η at which that of R changes sign."""
    unnormalized = not setup.normalizer.has_scale
    if np.isinf(length):  # η_eff = 0: R is marginal, γ relaxes
        slopes = _slopes(setup, overlap, gamma)
        return np.array([0.0, rate * (slopes[s.A][1] - 2 * setup.gamma_decay)]), np.inf
    slopes = _slopes(setup, overlap, length if unnormalized else gamma)
    scale = np.array(length if unnormalized else gamma)
    values = dict(zip((s.D, s.A, s.B), averages(setup, np.array(overlap), scale), strict=True))
    for average, pair in slopes.items():
        values.update(zip(derived.SLOPES[average], pair, strict=True))
    values |= {s.R: overlap, s.L: length, s.gamma: gamma, s.M: setup.batch_size}
    values |= {s.zeta: setup.gamma_decay, s.lamda: setup.weight_decay}
    jacobian = derived.flow_jacobian(setup.normalization)
    turning = sp.expand(jacobian[0, 0].subs(values))
    quadratic = turning.coeff(s.eta, 2)
    largest = -turning.coeff(s.eta, 1) / quadratic if quadratic > 0 else np.inf
    if not unnormalized and setup.weight_decay == 0:  # the length is free: a line of fixed points
        jacobian = jacobian.extract([0, 2], [0, 2])
    matrix = np.array(jacobian.subs({**values, s.eta: rate, s.eta_gamma: rate}), dtype=float)
    eigenvalues = np.linalg.eigvals(matrix).astype(complex)
    return eigenvalues[np.argsort(-eigenvalues.real)], float(largest)


def _slopes(
    setup: TeacherStudent, overlap: float, scale: float
) -> dict[sp.Symbol, tuple[float, float]]:
    """Derivatives of D, A₂ and B by R and by γ.

    In θ = arccos R they are smooth up to R = 1, where they are even but for |θ|³ of a kink.
    """
    steps = np.arange(-2, 3) * STEP
    ones = np.ones(5)
    by_scale = np.array(averages(setup, overlap * ones, scale * np.exp(steps)))
    difference = np.array([1, -8, 0, 8, -1]) / (12 * STEP)
    along_scale = by_scale @ difference / scale
    angle = float(np.arccos(np.clip(overlap, -1, 1)))
    if angle > 3 * STEP:
        by_angle = np.array(averages(setup, np.cos(angle + steps), scale * ones))
        along_overlap = -(by_angle @ difference) / np.sin(angle)
    else:  # f = f₀ + Σ aₖθᵏ, k = 2 … 5, and df/dR = −Σ kaₖθᵏ⁻²/(sin θ/θ)
        angles = np.arange(5) * 2 * STEP
        orders = np.array([0, 2, 3, 4, 5])
        by_angle = np.array(averages(setup, np.cos(angles), scale * ones))
        fit = np.linalg.solve(angles[:, None] ** orders, by_angle.T)[1:]
        slopes = orders[1:] * angle ** (orders[1:] - 2)
        along_overlap = -(slopes @ fit) / np.sinc(angle / np.pi)
    pairs = zip(along_overlap, along_scale, strict=True)
    return dict(zip((s.D, s.A, s.B), ((float(r), float(g)) for r, g in pairs), strict=True))
