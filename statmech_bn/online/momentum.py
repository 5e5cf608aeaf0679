r"""Learning with momentum (heavy ball), by the exact chain or by N weights.

With the gradient step G of `statmech_bn.online.microscopic` (the scale γ alike, with β_γ),

    p ← βp + s_k G − (ηλ/N) w,    w ← w + p,    s_k = growth^k at step k,

as PyTorch's SGD does. The rows (w*, w, p)/√N are all that a step needs of the N-dimensional space:
fields are products of the first two with the inputs' components z, and Σ c x is (Σ c z) in their
span and |c| times a vector of length χ_{N−3} out of it. The chain therefore is the step of the N
weights in three coordinates and one new one, which a rotation (LQ) brings back to three; it has
the law of the N weights at every N ≥ 4 (this project's).

N → ∞ is the flow at the rates η/(1−β). With weight decay the root mean square angle by which a
normalized student turns in a step goes to √(2ηλ/(N(1+β))) (Wan et al. 2021), and Q² to its
equilibrium like exp(−4ηλt/(1−β)).

Growing rates equal weight decay (Li & Arora 2020): a normalized student does not feel its length,
so that w̃_k = α^{−k} w_k with λ = 0 has the same outputs if α is the larger root of

    α² − (1 + β − ηλ/N) α + β = 0,   β̃ = β/α²,   η̃_k = η α^{−2k−1},   p̃(0) = (1−α) w(0).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from statmech_bn.activations import z
from statmech_bn.averages.generalization import generalization_error
from statmech_bn.checks import choice, real
from statmech_bn.codegen import numpy_function
from statmech_bn.dataset import describe, order_parameter_dataset, provenance
from statmech_bn.errors import invalid
from statmech_bn.normalization import project
from statmech_bn.online.arguments import (
    LARGEST_LENGTH,
    check_finite_dimension,
    check_no_blocks,
    check_run,
    check_work,
)
from statmech_bn.online.start import directions
from statmech_bn.random.streams import stream
from statmech_bn.teacher_student import OrderParameters, TeacherStudent

__all__ = ["equilibrium_angle", "growth_for_decay", "heavy_ball"]

LEVELS = ("mesoscopic", "microscopic")
MOST = np.nextafter(1.0, 0.0)
PYTHON = 1e5
"""Steps in Python cost as much as so many numbers."""


def heavy_ball(
    setup: TeacherStudent,
    learning_rate: float,
    momentum: float,
    time: ArrayLike,
    start: OrderParameters,
    dimension: int,
    replicas: int = 1,
    seed: int = 0,
    level: str = "mesoscopic",
    gamma_learning_rate: float | None = None,
    gamma_momentum: float | None = None,
    growth: float = 1.0,
    velocity: float = 0.0,
) -> xr.Dataset:
    """Let students learn with momentum.

    Parameters
    ----------
    setup : TeacherStudent
        All samples of a step share their statistics, if any.
    learning_rate : float
        η > 0.
    momentum : float
        β in [0, 1).
    time : array_like
        Increasing, in units of steps/N.
    start : OrderParameters
    dimension : int
        N ≥ 4.
    replicas, seed : int
        Independent students, and where their random numbers come from.
    level : {"mesoscopic", "microscopic"}
        The exact chain, or N weights.
    gamma_learning_rate, gamma_momentum : float, optional
        η_γ and β_γ; by default those of the weights.
    growth : float
        Factor > 0 on the weights' rate from each step to the next.
    velocity : float
        The weights begin with p = velocity · w.

    Returns
    -------
    xarray.Dataset
        As from `mesoscopic`, and ``angle``, the root mean square angle of a step since the time
        before, over (learning_rate, replica, time).

    Raises
    ------
    InvalidSetup
        An argument is outside of its range, or only some samples share statistics.

    Examples
    --------
    >>> import statmech_bn as sbn
    >>> setup, start = sbn.TeacherStudent("linear", "batch", 8), sbn.OrderParameters(0.2)
    >>> run = heavy_ball(setup, 0.2, 0.9, [0, 5], start, dimension=100, replicas=4)
    >>> run["overlap"].mean("replica").values.round(1)
    array([[0.2, 1. ]])
    """
    run = check_run(setup, learning_rate, gamma_learning_rate, time, start)
    dimension, replicas, seed = check_finite_dimension(dimension, replicas, seed)
    if dimension < 4:
        raise invalid("dimension", "at least 4", dimension, "Momentum is one more direction.")
    if run.learning_rate.size > 1:
        raise invalid("learning_rate", "one number", learning_rate, "Call it once for each.")
    if setup.group not in (None, setup.batch_size):
        raise invalid("setup", "statistics of the whole batch, or none", setup.normalization)
    check_no_blocks(start)
    choice("level", level, LEVELS)
    beta = real("momentum", momentum, 0.0, MOST)
    beta_gamma = beta if gamma_momentum is None else real("gamma_momentum", gamma_momentum, 0, MOST)
    growth = real("growth", growth, np.finfo(float).tiny)
    velocity = real("velocity", velocity, -1e6, 1e6)
    steps = run.record_steps(dimension)
    whole = level == "microscopic"
    size = dimension if whole else 3
    held = replicas * (size * (setup.batch_size + 6) + 5 * steps.size)
    check_work(1, float(steps[-1]), PYTHON + replicas * setup.batch_size * size, held)
    if float(steps[-1]) * abs(np.log(growth)) > 300:
        raise invalid("growth", "rates that stay floats until the last time", growth)
    generator = stream(seed, 6, whole, setup.batch_size)
    rows = np.zeros((replicas, 3, size))
    for r in range(replicas):
        drawn = generator.standard_normal((2, size)) if whole else np.eye(2, size)
        rows[r, 0], rows[r, 1] = directions(start, *drawn)
        rows[r, 1] *= start.length
    rows[:, 2] = velocity * rows[:, 1]
    g = setup.activation
    unit, unit_gamma = run.learning_rate[0] / dimension, run.gamma_learning_rate[0] / dimension
    students = _Students(
        setup, numpy_function([g.expression, g.derivative], [z]), rows,
        np.full(replicas, float(start.gamma)), np.zeros(replicas), 0 if whole else dimension - 3,
    )  # fmt: skip
    found = np.full((4, replicas, steps.size), np.inf)
    diverged, square, since, k = np.full(replicas, np.nan), np.zeros(replicas), 0, 0
    for column, last in enumerate(steps.tolist()):
        while k < last:
            with np.errstate(over="ignore", invalid="ignore"):  # a student may diverge
                turned = students.step(
                    generator, unit, growth**k, unit_gamma, beta, beta_gamma
                )  # fmt: skip
            square, since, k = square + turned**2, since + 1, k + 1
            lost = ~students.alive & np.isnan(diverged)
            diverged[lost] = k / dimension
        teacher, student = students.rows[:, 0], students.rows[:, 1]
        length = np.linalg.norm(student, axis=1)
        cosine = np.clip(np.sum(teacher * student, axis=1) / length, -1.0, 1.0)
        angle = np.sqrt(square / since) if since else square
        found[:, :, column] = cosine, length, students.gamma, angle
        found[:, ~students.alive, column] = np.inf
        square, since = np.zeros(replicas), 0
    overlap, length, gamma, angle = found[:, None]
    variables = {
        "overlap": overlap, "length": length, "gamma": gamma,
        "generalization_error": generalization_error(setup, overlap, length, gamma),
        "diverged_at": diverged[None], "angle": angle,
    }  # fmt: skip
    more = {"dimension": dimension, "seed": seed, "momentum": beta, "growth": growth}
    attributes = provenance(setup, start, level, **more)
    return describe(
        order_parameter_dataset(
            variables, run.learning_rate, run.gamma_learning_rate, run.time, attributes
        )
    )


class _Students:
    """Replicas of students, as rows (w*, w, p)/√N and scales."""

    def __init__(
        self, setup: TeacherStudent, function: Callable[..., tuple[np.ndarray, ...]],
        rows: np.ndarray, gamma: np.ndarray, gamma_velocity: np.ndarray, rest: int,
    ) -> None:  # fmt: skip
        self.setup, self.function, self.rows = setup, function, rows
        self.gamma, self.gamma_velocity, self.rest = gamma, gamma_velocity, rest
        self.alive: np.ndarray = np.ones(gamma.size, bool)

    def step(
        self, generator: np.random.Generator, unit: float, factor: float, unit_gamma: float,
        beta: float, beta_gamma: float,
    ) -> np.ndarray:  # fmt: skip
        """Make a step, and return by which angle each student turned."""
        setup, rule, rows = self.setup, self.setup.normalizer, self.rows
        replicas, _, size = rows.shape
        x = generator.standard_normal((replicas, size, setup.batch_size))
        fields = rows[:, :2] @ x
        noise = setup.label_noise * generator.standard_normal((replicas, setup.batch_size))
        length = np.linalg.norm(rows[:, 1], axis=1, keepdims=True)
        c, pull = self.gradients(fields[:, 0], fields[:, 1], noise, length)
        change = unit * factor * np.einsum("rnm,rm->rn", x, c)
        if rule.by_length:
            along = np.sum(c * fields[:, 1], axis=1, keepdims=True) / length**2
            change -= unit * factor * along * rows[:, 1]
        before, velocity = rows[:, 1], beta * rows[:, 2] + change
        velocity -= unit * setup.weight_decay * before
        new = np.stack([rows[:, 0], before + velocity, velocity], axis=1)
        if self.rest:
            out = unit * factor * np.linalg.norm(c, axis=1)
            out *= np.sqrt(generator.chisquare(self.rest, replicas))
            side = np.stack([np.zeros(replicas), out, out], axis=1)
            new = np.concatenate([new, side[..., None]], axis=2)
            before = np.concatenate([before, np.zeros((replicas, 1))], axis=1)
        along = np.sum(new[:, 1] * before, axis=1) / length[:, 0]
        across = new[:, 1] - along[:, None] * before / length
        angle = np.arctan2(np.linalg.norm(across, axis=1), along)
        if self.rest:
            triangle: Any = np.linalg.qr(np.swapaxes(new, 1, 2), mode="r")
            new = np.swapaxes(triangle, 1, 2)
        gamma, gamma_velocity = self.gamma, self.gamma_velocity
        if rule.has_scale:
            gamma_velocity = beta_gamma * gamma_velocity
            gamma_velocity += unit_gamma * (pull - 2 * setup.gamma_decay * gamma)
            gamma = gamma + gamma_velocity
        fine = (np.abs(new) < LARGEST_LENGTH).all(axis=(1, 2)) & (np.abs(gamma) < LARGEST_LENGTH)
        self.alive &= fine  # what has diverged stays where it was, and is not recorded
        kept = self.alive
        self.rows = np.where(kept[:, None, None], new, rows)
        self.gamma = np.where(kept, gamma, self.gamma)
        self.gamma_velocity = np.where(kept, gamma_velocity, self.gamma_velocity)
        return angle

    def gradients(
        self, teacher: np.ndarray, field: np.ndarray, noise: np.ndarray, length: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return c and the mean of δû over each batch."""
        rule, samples = self.setup.normalizer, self.setup.batch_size

        def mean(values: np.ndarray) -> np.ndarray:
            return values.mean(axis=1, keepdims=True)

        spread, centre = np.ones_like(length), np.zeros_like(length)
        if rule.of_batch:
            centre = mean(field)
            spread = np.sqrt(mean((field - centre) ** 2))
        elif rule.by_length:
            spread = length
        shown = (field - centre) / spread
        scale = self.gamma[:, None] if rule.has_scale else 1.0
        output, slope = self.function(scale * shown)
        delta = slope * (self.function(teacher)[0] + noise - output)
        pull = np.mean(delta * shown, axis=1)
        if rule.of_batch:
            delta = project(delta, shown, mean)
        return scale * delta / (samples * spread), pull


def growth_for_decay(
    learning_rate: float, weight_decay: float, momentum: float, dimension: int
) -> tuple[float, float, float, float]:
    """Return the growing rates that equal weight decay in a normalized student.

    Parameters
    ----------
    learning_rate, weight_decay : float
        η > 0 and λ ≥ 0.
    momentum : float
        β in [0, 1).
    dimension : int
        N ≥ 3.

    Returns
    -------
    first_rate, growth, momentum, velocity : float
        η/α, α⁻², β/α² and 1 − α: what `heavy_ball` takes without weight decay, with the scale's
        own rate and momentum left as they were.

    Raises
    ------
    InvalidSetup
        An argument is outside of its range, or the decay is so strong, √(ηλ/N) ≥ 1 − √β, that
        there is no such α, and the weights change sign.

    Examples
    --------
    >>> [round(value, 6) for value in growth_for_decay(1.0, 1.0, 0.0, 10)]
    [1.111111, 1.234568, 0.0, 0.1]
    """
    eta = real("learning_rate", learning_rate, np.finfo(float).tiny)
    decay, beta = real("weight_decay", weight_decay, 0.0), real("momentum", momentum, 0.0, MOST)
    shrinking = eta * decay / check_finite_dimension(dimension, 1, 0)[0]
    middle = (1 + beta - shrinking) / 2
    if shrinking >= (1 - math.sqrt(beta)) ** 2:
        raise invalid("weight_decay", "ηλ/N < (1 − √β)²", shrinking, "Lower ηλ or the momentum.")
    alpha = middle + math.sqrt(middle**2 - beta)
    return eta / alpha, alpha**-2, beta / alpha**2, 1 - alpha


def equilibrium_angle(
    learning_rate: float, weight_decay: float, momentum: float, dimension: int
) -> float:
    """Return the root mean square angle by which a normalized student at rest turns in a step.

    Parameters
    ----------
    learning_rate, weight_decay : float
        η > 0 and λ ≥ 0, to first order in ηλ/N.
    momentum : float
        β in [0, 1).
    dimension : int
        N ≥ 3.

    Returns
    -------
    float
        √(2ηλ/(N(1+β))).

    Examples
    --------
    >>> round(equilibrium_angle(1.0, 0.1, 0.9, 100), 5)
    0.03244
    """
    eta = real("learning_rate", learning_rate, np.finfo(float).tiny)
    decay, beta = real("weight_decay", weight_decay, 0.0), real("momentum", momentum, 0.0, MOST)
    size = check_finite_dimension(dimension, 1, 0)[0]
    return float(np.sqrt(2 * eta * decay / size / (1 + beta)))
