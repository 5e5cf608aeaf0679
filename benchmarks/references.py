r"""The loops that a user would write with NumPy and SciPy, nothing compiled by us.

They state the same physics in the plainest way (`statmech_bn.online.microscopic`, `.mesoscopic`
and `.macroscopic` give the equations). Replicas of the chain are rows of arrays, as one would have
it; those of the N weights are runs one after another. `torch_references` has the loops in PyTorch.
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
"""Each activation has g and g', as functions of arrays."""


def error_signal(
    setup: sbn.TeacherStudent, field: Array, label: Array, gamma: Array, length: Array
) -> tuple[Array, Array]:
    """Return the coefficients c of one step, w ← κw + (η/√N) Σ c x, and the gradient in γ.

    Parameters
    ----------
    setup : TeacherStudent
        "none", "weight" or "batch".
    field, label : ndarray
        h and y of the batch, shape (..., M).
    gamma, length : ndarray
        State of the student, shape (..., 1).
    """
    g, slope = ACTIVATIONS[setup.activation.name]
    size = setup.batch_size
    if setup.normalization == "none":
        return slope(field) * (label - g(field)) / size, np.zeros(1)
    if setup.normalization == "weight":
        spread, normalized = length, field / length
    else:
        spread = field.std(axis=-1, keepdims=True)
        normalized = (field - field.mean(axis=-1, keepdims=True)) / spread
    phi = gamma * normalized
    delta = slope(phi) * (label - g(phi))
    pull = (delta * normalized).mean(axis=-1, keepdims=True)
    if setup.normalization == "batch":
        delta = delta - delta.mean(axis=-1, keepdims=True) - normalized * pull
    return gamma / (size * spread) * delta, pull - 2 * setup.gamma_decay * gamma


def microscopic(
    setup: sbn.TeacherStudent,
    learning_rate: float,
    steps: int,
    start: sbn.OrderParameters,
    dimension: int,
    replicas: int = 1,
    dtype: str = "float64",
) -> Array:
    """Train N weights for some steps of M fresh samples; returns (R, L, γ) of each replica."""
    runs = (
        _one_network(setup, learning_rate, steps, start, dimension, seed, dtype)
        for seed in range(replicas)
    )
    return np.array(list(runs)).T


def _one_network(
    setup: sbn.TeacherStudent,
    learning_rate: float,
    steps: int,
    start: sbn.OrderParameters,
    dimension: int,
    seed: int,
    dtype: str,
) -> tuple[float, float, float]:
    generator, size, N = np.random.default_rng(seed), setup.batch_size, dimension
    g, _ = ACTIVATIONS[setup.activation.name]
    teacher, weights = initial(generator.standard_normal((2, N)), start)
    teacher, weights, root = teacher.astype(dtype), weights.astype(dtype), float(np.sqrt(N))
    gamma = np.array([start.gamma])
    for _ in range(steps):
        x = generator.standard_normal((size, N), dtype)
        field = x @ weights / root
        label = g(x @ teacher / root) + setup.label_noise * generator.standard_normal(size)
        square = float(weights @ weights) if setup.normalization == "weight" else N
        c, push = error_signal(setup, field, label, gamma, np.sqrt(square / N))
        change = c.astype(dtype) @ x
        if setup.normalization == "weight":  # no step along w
            change -= float(c @ field) * root / square * weights
        weights *= 1 - learning_rate * setup.weight_decay / N
        weights += learning_rate / root * change
        gamma = gamma + learning_rate / N * push
    norm = np.linalg.norm(weights)
    return float(weights @ teacher / (norm * root)), float(norm / root), float(gamma[0])


def initial(normal: Array, start: sbn.OrderParameters) -> tuple[Array, Array]:
    """Make a teacher of length √N and weights with the overlap and length of `start`."""
    teacher, other = normal
    teacher = teacher / np.linalg.norm(teacher)
    other = other - (other @ teacher) * teacher
    other /= np.linalg.norm(other)
    weights = start.overlap * teacher + np.sqrt(1 - start.overlap**2) * other
    root = np.sqrt(teacher.size)
    return root * teacher, root * start.length * weights


def mesoscopic(
    setup: sbn.TeacherStudent,
    learning_rate: float,
    steps: int,
    start: sbn.OrderParameters,
    dimension: int,
    replicas: int = 1,
    dtype: str = "float64",
) -> Array:
    """Run the exact chain of (ρ, Q, γ) for some steps; returns (R, L, γ) of each replica."""
    generator, N = np.random.default_rng(0), dimension
    g, _ = ACTIVATIONS[setup.activation.name]
    rho = np.full((replicas, 1), start.overlap * start.length, dtype)
    Q, gamma = np.full_like(rho, start.length**2), np.full_like(rho, start.gamma)
    keep, unit = 1 - learning_rate * setup.weight_decay / N, learning_rate / N
    for _ in range(steps):
        length = np.sqrt(Q)
        cosine = rho / length
        sine = np.sqrt(1 - cosine**2)
        u, v, noise = generator.standard_normal((3, replicas, setup.batch_size))
        label = g(cosine * u + sine * v) + setup.label_noise * noise
        c, push = error_signal(setup, length * u, label, gamma, length)
        along = (c * u).sum(axis=1, keepdims=True)
        across = (c * v).sum(axis=1, keepdims=True)
        rest = generator.chisquare(N - 2, (replicas, 1)) * (c**2).sum(axis=1, keepdims=True)
        if setup.normalization == "none":
            rho = keep * rho + unit * (cosine * along + sine * across)
            Q = keep**2 * Q + 2 * keep * unit * length * along + unit**2 * along**2
        else:
            rho, Q = keep * rho + unit * sine * across, keep**2 * Q
        Q += unit**2 * (across**2 + rest)
        gamma = gamma + unit * push
    return np.array([rho / np.sqrt(Q), np.sqrt(Q), gamma])[..., 0]


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

    state = [start.overlap * start.length, start.length**2, start.gamma]
    found = solve_ivp(
        flow, (0.0, time[-1]), state, method, t_eval=time, rtol=tolerance, atol=1e-3 * tolerance
    )
    rho, Q, gamma = found.y
    return np.array([rho / np.sqrt(Q), np.sqrt(Q), gamma])


def offline(
    setup: sbn.TeacherStudent, load: float, learning_rate: float, dimension: int, epochs: int,
    dtype: str = "float64",
) -> Array:  # fmt: skip
    """Train on a finite set in random batches, as `microscopic` does; returns (R, L, γ)."""
    generator, size, N = np.random.default_rng(0), setup.batch_size, dimension
    g, _ = ACTIVATIONS[setup.activation.name]
    teacher, weights = initial(generator.standard_normal((2, N)), sbn.OrderParameters(0.0))
    x = generator.standard_normal((round(load * N), N)).astype(dtype)
    root, gamma, weights = float(np.sqrt(N)), np.ones(1), weights.astype(dtype)
    labels = g(x @ teacher / root) + setup.label_noise * generator.standard_normal(len(x))
    for _ in range(epochs):
        order = generator.permutation(len(x))
        for batch in order[: len(x) // size * size].reshape(-1, size):
            samples = x[batch]
            field = samples @ weights / root
            square = float(weights @ weights) if setup.normalization == "weight" else N
            c, push = error_signal(setup, field, labels[batch], gamma, np.sqrt(square / N))
            change = c.astype(dtype) @ samples
            if setup.normalization == "weight":
                change -= float(c @ field) * root / square * weights
            weights += learning_rate / root * change
            gamma = gamma + learning_rate / N * push
    norm = np.linalg.norm(weights)
    return np.array([weights @ teacher / (norm * root), norm / root, gamma[0]])


def agreement(
    setup: sbn.TeacherStudent, level: str, loop: Callable[..., Array], runs: int = 40
) -> float:
    """Return the largest z-score between our means of (R, L, γ) and a loop's.

    Parameters
    ----------
    setup : TeacherStudent
    level : {"microscopic", "mesoscopic"}
    loop : callable
        A loop of this module, or of `torch_references`.
    runs : int
        Replicas of both; N = 30, to t = 2, at η = 1.
    """
    start, dimension, time = sbn.OrderParameters(0.2, 1.0, 1.0), 30, 2.0
    dataset = getattr(sbn, level)(setup, 1.0, [time], start, dimension, runs, seed=1, workers=1)
    ours = np.array([dataset[name].values.ravel() for name in ("overlap", "length", "gamma")])
    theirs = np.asarray(loop(setup, 1.0, round(time * dimension), start, dimension, runs))
    error = np.sqrt((ours.var(axis=1) + theirs.var(axis=1)) / (runs - 1))
    difference = np.abs(ours.mean(axis=1) - theirs.mean(axis=1))
    return float(np.max(difference / np.maximum(error, 1e-12)))
