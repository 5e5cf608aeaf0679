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
from typing import Any

import sympy as sp
from array_api_compat import array_namespace

from statmech_bn.activations import z
from statmech_bn.codegen import array_function, stable
from statmech_bn.codegen.array_target import Function
from statmech_bn.online.network_step import LARGEST, LARGEST_SINGLE
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
        f, centre, u, y = sp.symbols("f centre u y", real=True)
        gamma, delta, average, along = sp.symbols("gamma delta average along", real=True)
        rate, gamma_rate = sp.symbols("eta eta_gamma", real=True)
        s, batch_size = sp.symbols("s M", positive=True)
        largest, limit, now, diverged_at = sp.symbols("largest limit now diverged_at", real=True)
        w, change, spun, alive = sp.symbols("w change spun alive", real=True)
        decay, gamma_decay = sp.symbols("lambda zeta", real=True)

        normalized = (f - centre) / sp.sqrt(s)
        phi = {z: gamma * normalized}
        g = setup.activation
        value, slope = stable(g.expression), stable(g.derivative)
        error = slope.xreplace(phi) * (y - value.xreplace(phi))
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
            η and η_γ/N.
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
            gamma_rate,
            setup.gamma_decay,
            students.diverged_at,
            now,
        )
        # CuPy would copy a transposed x for the product X'c, and c is much smaller
        change = (c.mT @ x).mT
        decay = setup.weight_decay / self.dimension
        (moved,) = self.move(w, change, students.spun, alive, along, rate, decay, gamma, s)
        return self.students(moved, grown, diverged_at)
