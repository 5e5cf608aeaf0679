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

from dataclasses import dataclass
from functools import partial
from typing import Any

import sympy as sp
from array_api_compat import array_namespace

from statmech_bn.codegen import array_function, stable
from statmech_bn.codegen.array_target import Function
from statmech_bn.normalization.batch import products_of_fields, statistics
from statmech_bn.online.network.step import DOUBLE, LARGEST, LARGEST_SINGLE, SINGLE
from statmech_bn.symbolic import step as s
from statmech_bn.symbolic.step import gradient_step
from statmech_bn.symbolic.symbols import M, eta, eta_gamma, zeta
from statmech_bn.teacher_student import TeacherStudent

Array = Any


@dataclass(frozen=True)
class Students:
    """A stack of learners.

    Attributes
    ----------
    weights : array (R, N, K)
    spun : array (R, N, K)
        ΣW; the weights themselves where Σ = 1.
    square : array (R, 1, K) or float
        s, where it is a function of the weights; N where it is not.
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
    precision : float
        ε of the fields; 0 if no samples are equal.
    error, pull, scale, move : callable
        The elementwise functions.
    """

    setup: TeacherStudent
    dimension: int
    covariance: Array | None
    limit: float
    precision: float
    error: Function
    pull: Function
    scale: Function
    move: Function

    @classmethod
    def prepare(
        cls,
        xp: Any,
        setup: TeacherStudent,
        dimension: int,
        covariance: Array | None,
        dtype: str,
        gaussian: bool = False,
    ) -> Rule:
        """Compile the elementwise functions; samples of Gaussian inputs are never equal."""
        precision = 0.0 if gaussian else DOUBLE if dtype == "float64" else SINGLE
        largest, limit, now, diverged_at = sp.symbols("largest limit now diverged_at", real=True)
        alive = sp.Symbol("alive", real=True)
        activation = setup.activation
        value, slope = stable(activation.expression), stable(activation.derivative)
        g = gradient_step(setup.normalizer, value, slope)
        fine = sp.And(largest < limit, sp.Abs(g.scale) < limit)
        scale = [(g.scale, 1), (1, 0), (diverged_at, sp.Min(diverged_at, now))]
        return cls(
            setup=setup,
            dimension=dimension,
            covariance=covariance,
            limit=LARGEST if dtype == "float64" else LARGEST_SINGLE,
            precision=precision,
            error=array_function(
                xp,
                [g.normalized, g.error, g.error * g.normalized],
                [s.field, s.centre, s.variance, s.scale, s.label],
            ),
            pull=array_function(
                xp,
                [g.gradient, sp.Abs(g.gradient)],
                [s.normalized, s.delta, s.average, s.along, eta, s.scale, s.variance, M],
                dtype,
            ),
            scale=array_function(
                xp,
                [sp.Piecewise((a, fine), (b, True)) for a, b in scale],
                [s.scale, largest, limit, s.pull, eta_gamma, zeta, diverged_at, now],
            ),
            move=array_function(
                xp,
                [sp.Piecewise((g.weights, alive > 0), (1, True))],
                [s.weight, s.change, s.spun, alive, s.pull, eta, s.decay, s.scale, s.variance],
                dtype,
            ),
        )

    def students(self, weights: Array, gamma: Array, diverged_at: Array) -> Students:
        """Add what follows from the weights."""
        spun, square = weights, float(self.dimension)
        if self.setup.normalizer.by_length:
            xp = array_namespace(weights)
            if self.covariance is not None:
                spun = self.covariance @ weights
            square = xp.sum(weights * spun, axis=1, keepdims=True, dtype=xp.float64)
        return Students(weights, spun, square, gamma, diverged_at)

    def errors(
        self, fields: Array, centre: Array, variance: Array, students: Any, y: Array
    ) -> tuple[Array, ...]:
        """Return û, δ and δû of fields, all (R, M, K), and what `after` is to know besides."""
        return tuple(self.error(fields, centre, variance, students.gamma, y))

    def after(self, before: Any, moved: Students, gamma_rate: Array, *more: Array) -> Students:
        """Return the students after a step that has moved their weights and scales."""
        return moved

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
            η and η_γ/N.
        now : float
            Time after the step.
        """
        xp, setup = array_namespace(x), self.setup
        rule, w, gamma = setup.normalizer, students.weights, students.gamma
        fields = xp.astype(x @ w, xp.float64, copy=False)
        centre: Any = 0.0
        variance: Any = students.square
        average: Any = 0.0
        along: Any = 0.0
        pull: Any = 0.0
        if rule.of_batch:
            mean = partial(rule.mean_of_group, xp)
            if self.precision:
                products = products_of_fields(xp, x, w)
                centre, variance = statistics(xp, fields, self.precision, products, mean)
            else:
                centre = mean(fields)
                variance = mean((fields - centre) ** 2)
        u, delta, product, *more = self.errors(fields, centre, variance, students, y)
        if rule.of_batch:
            average, along = (rule.mean_of_group(xp, values) for values in (delta, product))
        if rule.has_scale:
            pull = xp.mean(product, axis=1, keepdims=True)
        size = float(setup.batch_size)
        c, size = self.pull(u, delta, average, along, rate, gamma, variance, size)
        largest = xp.max(size, axis=1, keepdims=True)
        grown, alive, diverged_at = self.scale(
            gamma,
            largest,
            self.limit,
            pull,
            gamma_rate,
            setup.gamma_decay,
            students.diverged_at,
            now,
        )
        # CuPy would copy a transposed x for the product X'c, and c is much smaller
        change = (c.mT @ x).mT
        decays = rate, setup.weight_decay / self.dimension
        (moved,) = self.move(w, change, students.spun, alive, pull, *decays, gamma, students.square)
        return self.after(students, self.students(moved, grown, diverged_at), gamma_rate, *more)
