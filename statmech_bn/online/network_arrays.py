r"""The N-vector simulation as array code, which a GPU runs; `microscopic` states its equations.

R replicas are stacked, their K learners are columns: weights W (R, N, K), samples X (R, M, N),
labels y (R, M, 1), scales γ (R, 1, K). With s = N for none, |w|² for weight, w'Σw for population
and Σ (f − mean f)²/M for batch, a step is two products and four elementwise functions,

    fields   f = X W                                                 (R, M, K)
    error    u = (f − [batch] mean f)/√s,   δ = g'(γu)(y − g(γu))
    pull     c = ηγ/(M√s) {δ − [batch] (mean δ + u mean(δu))}
    scale    γ ← γ + (η_γ/N)(mean(δu) − 2ζγ)
    move     W ← κW + X'c − [weight, population] (ηγ/s) mean(δu) ΣW.

The functions are SymPy expressions, the activation inside: NumPy's elsewhere, on a GPU a kernel
each (`statmech_bn.codegen.array_function`). There, nothing leaves the device between two recorded
times, and nothing enters it if the inputs are Gaussian. Weights and samples have the precision that
is asked for; fields and order parameters are float64. A learner whose c or γ is too large has
diverged: it goes on from w = γ = 1, and its records are infinite.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import sympy as sp
from array_api_compat import array_namespace, is_cupy_namespace

from statmech_bn.activations import z
from statmech_bn.arrays import to_numpy
from statmech_bn.codegen import array_function
from statmech_bn.codegen.array_target import Function
from statmech_bn.online.arguments import Run, stream
from statmech_bn.online.device_normals import LABELS, SAMPLES, DeviceNormals
from statmech_bn.online.network_step import LARGEST, LARGEST_SINGLE
from statmech_bn.online.piecewise import value_at
from statmech_bn.online.schedules import Pieces
from statmech_bn.online.world import World
from statmech_bn.teacher_student import OrderParameters, TeacherStudent

Array = Any
BLOCK_SIZE = 2**25
"""Numbers of one block of samples of all replicas of a stack."""
STACK_SIZE = 2**26
"""Weights and samples of a step of the replicas that are stacked."""


@dataclass(frozen=True)
class Students:
    """A stack of learners.

    Attributes
    ----------
    weights : array (R, N, K)
    spun : array (R, N, K)
        ΣW; the weights themselves where Σ = 1.
    square : array (R, 1, K) or float
        s, where it is a function of the weights; N for none.
    gamma : array (R, 1, K)
    diverged_at : array (R, 1, K)
        Infinite as long as a learner has not diverged.
    """

    weights: Array
    spun: Array
    square: Array
    gamma: Array
    diverged_at: Array


@dataclass(frozen=True)
class Rule:
    """The step of a setup where a library computes.

    Attributes
    ----------
    setup : TeacherStudent
    dimension : int
    covariance : array (N, N) or None
        Σ, if the student is normalized by it and it is not 1.
    limit : float
        A gradient or a γ beyond this has diverged.
    error, pull, scale, move : callable
        The elementwise functions.
    """

    setup: TeacherStudent
    dimension: int
    covariance: Array | None
    limit: float
    error: Function
    pull: Function
    scale: Function
    move: Function

    @classmethod
    def prepare(
        cls, xp: Any, setup: TeacherStudent, dimension: int, covariance: Array | None, dtype: str
    ) -> Rule:
        """Compile the elementwise functions."""
        f, centre, s, u, y = sp.symbols("f centre s u y", real=True)
        gamma, delta, average, along = sp.symbols("gamma delta average along", real=True)
        rate, gamma_rate, batch_size = sp.symbols("eta eta_gamma M", real=True)
        largest, limit, now, diverged_at = sp.symbols("largest limit now diverged_at", real=True)
        w, change, spun, alive = sp.symbols("w change spun alive", real=True)
        decay, gamma_decay = sp.symbols("lambda zeta", real=True)

        normalized = (f - centre) / sp.sqrt(s)
        phi = {z: gamma * normalized}
        g = setup.activation
        error = g.derivative.xreplace(phi) * (y - g.expression.xreplace(phi))
        c = rate * gamma / (batch_size * sp.sqrt(s)) * (delta - average - u * along)
        grown = gamma + gamma_rate * (along - 2 * gamma_decay * gamma)
        moved = (1 - rate * decay) * w + change - rate * gamma / s * along * spun
        if setup.normalization in ("weight", "population"):
            c = c.subs({average: 0, along: 0})
        else:
            moved = moved.subs(along, 0)
        if setup.normalization == "none":
            c, grown = c.subs({average: 0, along: 0}), gamma
        fine = sp.And(largest < limit, sp.Abs(grown) < limit)
        scale = [(grown, 1), (1, 0), (diverged_at, sp.Min(diverged_at, now))]
        return cls(
            setup,
            dimension,
            covariance,
            LARGEST if dtype == "float64" else LARGEST_SINGLE,
            array_function(xp, [normalized, error, error * normalized], [f, centre, s, gamma, y]),
            array_function(
                xp,
                [c, sp.Abs(c)],
                [u, delta, average, along, rate, gamma, s, batch_size],
                dtype,
            ),
            array_function(
                xp,
                [sp.Piecewise((a, fine), (b, True)) for a, b in scale],
                [gamma, largest, limit, along, gamma_rate, gamma_decay, diverged_at, now],
            ),
            array_function(
                xp,
                [sp.Piecewise((moved, alive > 0), (1, True))],
                [w, change, spun, alive, along, rate, decay, gamma, s],
                dtype,
            ),
        )

    def students(self, weights: Array, gamma: Array, diverged_at: Array) -> Students:
        """Add what follows from the weights."""
        spun, square = weights, float(self.dimension)
        if self.setup.normalization in ("weight", "population"):
            xp = array_namespace(weights)
            if self.covariance is not None:
                spun = self.covariance @ weights
            square = xp.sum(weights * spun, axis=1, keepdims=True, dtype=xp.float64)
        return Students(weights, spun, square, gamma, diverged_at)

    def step(
        self, students: Students, x: Array, y: Array, rate: Array, gamma_rate: Array, now: float
    ) -> Students:
        """Take one step.

        Parameters
        ----------
        students : Students
        x, y : array, (R, M, N) and (R, M, 1)
            Samples, minus the mean that the student is normalized by; labels.
        rate, gamma_rate : array, (K,)
            η and η_γ.
        now : float
            Time after the step.
        """
        xp, setup = array_namespace(x), self.setup
        w, gamma, s = students.weights, students.gamma, students.square
        fields = xp.astype(x @ w, xp.float64, copy=False)
        centre: Any = 0.0
        if setup.normalization == "batch":
            centre = xp.mean(fields, axis=1, keepdims=True)
            s = xp.var(fields, axis=1, keepdims=True)
        u, delta, product = self.error(fields, centre, s, gamma, y)
        average: Any = 0.0
        along: Any = 0.0
        if setup.normalization == "batch":
            average = xp.mean(delta, axis=1, keepdims=True)
        if setup.normalization != "none":
            along = xp.mean(product, axis=1, keepdims=True)
        c, size = self.pull(u, delta, average, along, rate, gamma, s, float(setup.batch_size))
        largest = xp.max(size, axis=1, keepdims=True)
        grown, alive, diverged_at = self.scale(
            gamma,
            largest,
            self.limit,
            along,
            gamma_rate / self.dimension,
            setup.gamma_decay,
            students.diverged_at,
            now,
        )
        # CuPy would copy a transposed x for the product X'c, and c is much smaller
        change = (c.mT @ x).mT
        decay = setup.weight_decay / self.dimension
        (moved,) = self.move(w, change, students.spun, alive, along, rate, decay, gamma, s)
        return self.students(moved, grown, diverged_at)


def learn_stacks(
    xp: Any,
    setup: TeacherStudent,
    start: OrderParameters,
    run: Run,
    world: World,
    factors: Pieces,
    seed: int,
    dtype: str,
    replicas: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Run all replicas where `xp` computes, as many at a time as `STACK_SIZE` says.

    Returns
    -------
    states : ndarray (4, K, R, times)
        R, L, γ and, of inputs that are not Gaussian, ε_g.
    diverged_at : ndarray (K, R)
    """
    size = world.dimension * (run.learning_rate.size + setup.batch_size)
    depth = max(1, STACK_SIZE // size)
    shared = xp, setup, start, run, world, factors, seed, dtype
    stacks = [
        _learn_stack(*shared, range(first, min(first + depth, replicas)))
        for first in range(0, replicas, depth)
    ]
    states, diverged_at = zip(*stacks, strict=True)
    return np.concatenate(states, axis=2), np.concatenate(diverged_at, axis=1)


def _learn_stack(
    xp: Any,
    setup: TeacherStudent,
    start: OrderParameters,
    run: Run,
    world: World,
    factors: Pieces,
    seed: int,
    dtype: str,
    replicas: Sequence[int],
) -> tuple[np.ndarray, np.ndarray]:
    """Run the learners of some replicas; returns as `learn_stacks`."""
    kind, dimension = getattr(xp, dtype), world.dimension
    origins = [world.teacher_and_start(stream(seed, 2, r, 0), start) for r in replicas]
    teachers, first = (np.stack(parts)[:, :, None] for parts in zip(*origins, strict=True))
    covariance = xp.asarray(world.covariance, dtype=kind) if world.covariance.size else None
    rule = Rule.prepare(xp, setup, dimension, covariance, dtype)
    ones = np.ones((len(replicas), 1, run.learning_rate.size))
    students = rule.students(
        xp.asarray(first * ones, dtype=kind),
        xp.asarray(start.gamma * ones),
        xp.asarray(np.inf * ones),
    )
    teacher = xp.asarray(teachers)
    steps = run.record_steps(dimension)
    samples = labelled_samples(xp, setup, world, seed, replicas, teacher, int(steps[-1]), dtype)
    records, errors = [], []
    done, factor = 0, np.nan
    with np.errstate(all="ignore"):  # runs that diverge
        for target in steps:
            for x, y in islice(samples, int(target) - done):
                if factor != (factor := value_at(*factors, done / dimension)):
                    rate = xp.asarray(factor * run.learning_rate)
                    gamma_rate = xp.asarray(factor * run.gamma_learning_rate)
                done += 1
                students = rule.step(students, x, y, rate, gamma_rate, done / dimension)
            records.append(_order_parameters(students, teacher))
            if world.inputs is not None:
                errors.append(_test_errors(setup, world, teachers, students))
    states = np.stack([np.stack([to_numpy(part) for part in parts]) for parts in records], -1)
    states = np.concatenate(
        [states, [np.stack(errors, -1)] if errors else np.empty_like(states[:1])]
    )
    diverged_at = to_numpy(students.diverged_at)[:, 0]
    states = np.where(diverged_at[..., None] <= steps / dimension, np.inf, states)
    diverged_at = np.where(np.isinf(diverged_at), np.nan, diverged_at)
    return states.swapaxes(1, 2), diverged_at.T


def labelled_samples(
    xp: Any,
    setup: TeacherStudent,
    world: World,
    seed: int,
    replicas: Sequence[int],
    teacher: Array,
    steps: int,
    dtype: str,
) -> Iterator[tuple[Array, Array]]:
    """Draw x (R, M, N) and y (R, M, 1) for one step after the other, in blocks of many steps."""
    f, noise, n = sp.symbols("f xi N", real=True)
    value = setup.activation.expression.xreplace({z: f / sp.sqrt(n)})
    label = array_function(xp, [value + setup.label_noise * noise], [f, noise, n])
    kind, dimension, size = getattr(xp, dtype), world.dimension, setup.batch_size
    teacher = xp.astype(teacher, kind)
    mean = xp.asarray(world.mean, dtype=kind) if world.mean.size else None
    longest = max(1, BLOCK_SIZE // (len(replicas) * size * dimension))
    on_device = world.inputs is None and is_cupy_namespace(xp)
    normals = DeviceNormals(xp, seed, replicas) if on_device else None
    streams = [[stream(seed, 2, r, part) for part in (1, 2)] for r in replicas]
    for first in range(0, steps, longest):
        block = min(longest, steps - first)
        if normals is not None:
            x = normals.draw(SAMPLES, first, block, size * dimension, dtype)
            noises = normals.draw(LABELS, first, block, size, "float64")
        else:
            x = np.stack([world.draw(samples, block, size) for samples, _ in streams], 1)
            noises = np.stack([labels.standard_normal((block, size)) for _, labels in streams], 1)
        x = xp.reshape(xp.asarray(x, dtype=kind), (block, len(replicas), size, dimension))
        fields = xp.astype(x @ teacher, xp.float64, copy=False)
        (labels,) = label(fields, xp.asarray(noises[..., None]), float(dimension))
        if mean is not None:
            x = x - mean
        for step in range(block):
            yield x[step, ...], labels[step, ...]


def _order_parameters(students: Students, teacher: Array) -> tuple[Array, Array, Array]:
    """Return R, L and γ, each of shape (replicas, K), on the device."""
    xp = array_namespace(teacher)
    weights = xp.astype(students.weights, xp.float64, copy=False)
    dimension = weights.shape[1]
    norm = xp.sum(weights * weights, axis=1) ** 0.5
    overlap = xp.sum(weights * teacher, axis=1) / (norm * dimension**0.5)
    return xp.clip(overlap, -1.0, 1.0), norm / dimension**0.5, students.gamma[:, 0, :]


def _test_errors(
    setup: TeacherStudent, world: World, teachers: np.ndarray, students: Students
) -> np.ndarray:
    """Measure ε_g (replicas, K) on the host."""
    weights, gamma = to_numpy(students.weights).astype(float), to_numpy(students.gamma)
    return np.stack(
        [
            world.test_error(setup, teacher[:, 0], w.T, scale[0])
            for teacher, w, scale in zip(teachers, weights, gamma, strict=True)
        ]
    )
