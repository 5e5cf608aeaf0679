r"""The loops that a user would write without this package: NumPy and SciPy, nothing compiled by us.

They state the same physics in the plainest way (`statmech_bn.online.microscopic`, `.mesoscopic`
and `.macroscopic` give the equations) and serve the benchmarks as what ours is compared with.
`agreement` checks, before anything is timed, that both compute the same.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import erf

import statmech_bn as sbn

Array = np.ndarray
ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "linear": (lambda z: z, np.ones_like),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(float)),
    "erf": (lambda z: erf(z / np.sqrt(2)), lambda z: np.sqrt(2 / np.pi) * np.exp(-(z**2) / 2)),
    "softplus": (lambda z: np.logaddexp(0, z), lambda z: 1 / (1 + np.exp(-z))),
    "tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
}
"""g and g', as functions of arrays."""


def error_signal(
    setup: sbn.TeacherStudent, field: Array, label: Array, gamma: float, length: float
) -> tuple[Array, float]:
    """Return the coefficients c of one step, w ← κw + (η/√N) Σ c x, and the gradient in γ.

    Parameters
    ----------
    setup : TeacherStudent
        "none", "weight" or "batch".
    field, label : ndarray
        h and y of the batch, shape (M,).
    gamma, length : float
        State of the student.
    """
    g, slope = ACTIVATIONS[setup.activation.name]
    size = field.size
    if setup.normalization == "none":
        return slope(field) * (label - g(field)) / size, 0.0
    if setup.normalization == "weight":
        spread, normalized = length, field / length
    else:
        spread = field.std()
        normalized = (field - field.mean()) / spread
    phi = gamma * normalized
    delta = slope(phi) * (label - g(phi))
    pull = (delta * normalized).mean()
    if setup.normalization == "batch":
        delta = delta - delta.mean() - normalized * pull
    return gamma / (size * spread) * delta, pull - 2 * setup.gamma_decay * gamma


def microscopic(
    setup: sbn.TeacherStudent,
    learning_rate: float,
    steps: int,
    start: sbn.OrderParameters,
    dimension: int,
    generator: np.random.Generator,
) -> tuple[float, float, float]:
    """Train N weights for some steps of M fresh samples; returns (R, L, γ)."""
    size, N = setup.batch_size, dimension
    g, _ = ACTIVATIONS[setup.activation.name]
    teacher, other = generator.standard_normal((2, N))
    teacher /= np.linalg.norm(teacher)
    other -= (other @ teacher) * teacher
    other /= np.linalg.norm(other)
    weights = start.overlap * teacher + np.sqrt(1 - start.overlap**2) * other
    weights *= np.sqrt(N) * start.length
    teacher *= np.sqrt(N)
    gamma = start.gamma
    for _ in range(steps):
        x = generator.standard_normal((size, N))
        field = x @ weights / np.sqrt(N)
        label = g(x @ teacher / np.sqrt(N))
        if setup.label_noise > 0:
            label = label + setup.label_noise * generator.standard_normal(size)
        square = weights @ weights if setup.normalization == "weight" else N
        c, push = error_signal(setup, field, label, gamma, np.sqrt(square / N))
        change = c @ x
        if setup.normalization == "weight":  # no step along w
            change -= (c @ field) * np.sqrt(N) / square * weights
        if setup.weight_decay > 0:
            weights *= 1 - learning_rate * setup.weight_decay / N
        weights += learning_rate / np.sqrt(N) * change
        gamma += learning_rate / N * push
    norm = np.linalg.norm(weights)
    return float(weights @ teacher / (norm * np.sqrt(N))), float(norm / np.sqrt(N)), float(gamma)


def mesoscopic(
    setup: sbn.TeacherStudent,
    learning_rate: float,
    steps: int,
    start: sbn.OrderParameters,
    dimension: int,
    generator: np.random.Generator,
) -> tuple[float, float, float]:
    """Run the exact chain of (ρ, Q, γ) for some steps; returns (R, L, γ)."""
    size, N = setup.batch_size, dimension
    g, _ = ACTIVATIONS[setup.activation.name]
    rho, Q, gamma = start.overlap * start.length, start.length**2, start.gamma
    keep, unit = 1 - learning_rate * setup.weight_decay / N, learning_rate / N
    for _ in range(steps):
        length = np.sqrt(Q)
        cosine = rho / length
        u, v = generator.standard_normal((2, size))
        label = g(cosine * u + np.sqrt(1 - cosine**2) * v)
        if setup.label_noise > 0:
            label = label + setup.label_noise * generator.standard_normal(size)
        c, push = error_signal(setup, length * u, label, gamma, length)
        rest = generator.chisquare(N - 2)
        along, across = c @ u, c @ v
        if setup.normalization == "none":
            rho = keep * rho + unit * (cosine * along + np.sqrt(1 - cosine**2) * across)
            Q = keep**2 * Q + 2 * keep * unit * length * along + unit**2 * along**2
        else:
            rho = keep * rho + unit * np.sqrt(1 - cosine**2) * across
            Q = keep**2 * Q
        Q += unit**2 * (across**2 + rest * (c @ c))
        gamma += unit * push
    return float(rho / np.sqrt(Q)), float(np.sqrt(Q)), float(gamma)


def macroscopic(
    setup: sbn.TeacherStudent,
    learning_rate: float,
    time: Array,
    start: sbn.OrderParameters,
    method: str = "RK45",
    tolerance: float = 1e-8,
) -> Array:
    """Integrate the flow of a ReLU student with weight normalization; returns (R, L, γ)(t)."""
    eta, M, noise = learning_rate, setup.batch_size, setup.label_noise**2 / 2

    def flow(_time: float, state: Array) -> list[float]:
        rho, Q, gamma = state
        R = min(1.0, rho / np.sqrt(Q))
        angle, sine = np.pi - np.arccos(R), np.sqrt(1 - R * R)
        J1 = (sine + R * angle) / (2 * np.pi)
        J2 = (angle + R * sine) / (2 * np.pi)
        B = J2 - 2 * gamma * J1 + gamma**2 / 2 + noise
        drive = sine**2 * angle / (2 * np.pi)
        return [
            eta * gamma * drive / np.sqrt(Q) - eta * setup.weight_decay * rho,
            eta**2 * gamma**2 * B / (M * Q) - 2 * eta * setup.weight_decay * Q,
            eta * (J1 - gamma / 2 - 2 * setup.gamma_decay * gamma),
        ]

    initial = [start.overlap * start.length, start.length**2, start.gamma]
    found = solve_ivp(
        flow, (0.0, time[-1]), initial, method, t_eval=time, rtol=tolerance, atol=1e-3 * tolerance
    )
    rho, Q, gamma = found.y
    return np.array([rho / np.sqrt(Q), np.sqrt(Q), gamma])


def agreement(setup: sbn.TeacherStudent, level: str, runs: int = 40) -> float:
    """Return the largest z-score between our means of (R, L, γ) and the plain loop's.

    Parameters
    ----------
    setup : TeacherStudent
    level : {"microscopic", "mesoscopic"}
    runs : int
        Replicas of ours and runs of the loop; N = 30, to t = 2, at η = 1.
    """
    start, dimension, time = sbn.OrderParameters(0.2, 1.0, 1.0), 30, 2.0
    dataset = getattr(sbn, level)(setup, 1.0, [time], start, dimension, runs, workers=1)
    ours = np.array([dataset[name].values.ravel() for name in ("overlap", "length", "gamma")])
    loop = {"microscopic": microscopic, "mesoscopic": mesoscopic}[level]
    theirs = np.array(
        [
            loop(setup, 1.0, round(time * dimension), start, dimension, np.random.default_rng(seed))
            for seed in range(runs)
        ]
    ).T
    error = np.sqrt((ours.var(axis=1) + theirs.var(axis=1)) / (runs - 1))
    difference = np.abs(ours.mean(axis=1) - theirs.mean(axis=1))
    return float(np.max(difference / np.maximum(error, 1e-12)))
