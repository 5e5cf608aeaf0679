r"""Replica-symmetric equations for the generalization of any student without normalization.

The student minimizes ½Σ(y − g(v·x/√N))² + (λ/2)|v|² over P = αN samples, y = g(h*) + Δξ. For
N → ∞ the minimum is described by m = v·w*/N, q = |v|²/N and the susceptibility V. A sample acts
through its cavity field ω, Gaussian with E ω² = q and E[ω h*] = m, and the force f(ω, y) of
`statmech_bn.offline.proximal`:

    q̂ = α E f²,     m̂ = α E[f (h* − mω/q)]/(1 − m²/q),     V̂ = −α E[∂_ω f],
    V = 1/(λ + V̂),     m = V m̂,     q = V²(m̂² + q̂).

f jumps where two branches of the loss have equal costs. With ω = m h* + √(q − m²) η Stein's lemma
needs no derivative, E[∂_ω f] = E[f η]/√(q − m²), and m̂ = α E[f h*] + m V̂.

Inputs of a `statmech_bn.Spectrum` change the last three equations only, see
`statmech_bn.offline.prior`.

A loss that is not convex in v (any activation but the linear one) may have many minima, and
replica symmetry then only approximates the lowest: the stability condition α V² E[(∂_ω f)²] < 1
(de Almeida & Thouless) fails as soon as f jumps. Gradient descent agrees where few samples sit near
a jump, at large loads or ridges: a ReLU student with Δ = 0.5 agrees in ε_g from α = 3 on at
λ = 0.1, while at λ = 0.01 and α = 1 it generalizes better than these equations say, 0.17 against
0.24.

The averages are accurate to about 10⁻⁹ with kinks and 10⁻⁶ for smooth activations; the result
carries what finer nodes would change.

References
----------
E. Gardner, B. Derrida, J. Phys. A 22 (1989) 1983; L. Zdeborová, F. Krzakala, Adv. Phys. 65 (2016)
453; B. Aubin, F. Krzakala, Y. Lu, L. Zdeborová, NeurIPS 2020, arXiv:2006.06560.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import sympy as sp
import xarray as xr
from numpy.typing import ArrayLike

from statmech_bn import __version__
from statmech_bn.activations import Activation, z
from statmech_bn.averages.choice import Quadrature
from statmech_bn.averages.generalization import generalization_error
from statmech_bn.averages.quadrature import REACH, SPACING, panels, trapezoid
from statmech_bn.averages.structured import structured_error, with_unit_teacher
from statmech_bn.checks import flag, instance, positive, real
from statmech_bn.codegen import numba_array_function
from statmech_bn.compile_cache import numba
from statmech_bn.dataset import describe
from statmech_bn.errors import invalid
from statmech_bn.interrupts import Watch, in_threads
from statmech_bn.normalization import Unnormalized
from statmech_bn.offline.prior import LEAST_SPREAD, Prior
from statmech_bn.offline.proximal import field_moments, workspace
from statmech_bn.online.arguments import one_unit
from statmech_bn.spectrum import Spectrum
from statmech_bn.teacher_student import OrderParameters, TeacherStudent

TOLERANCE = 1e-8
"""A solution has converged if an undamped step changes m, log(q − m²) and log V by less."""
MOST_ITERATIONS = 200
DAMPING = 0.5
"""A step that is not extrapolated takes this share of the new values."""
MEMORY = 3
"""The next step is extrapolated from at most so many earlier ones."""
LONGEST_STEP = 1.0
"""Extrapolations longer than this are not trusted, and longer steps are cut."""
LARGEST = 1e100
"""Load and ridge are at most this, so that their products are floats."""
LARGEST_NOISE = 1e6
"""Label noise beyond this makes the iteration take minutes; the teacher is lost long before."""
NEGLIGIBLE = 1e-12
"""A quadrature node of a smaller weight than this is left out."""
GRID_SPACING = 0.1
"""Grid points in z are so far apart around zero, and further beyond GRID_CORE."""
GRID_CORE = 4.0

START = OrderParameters(overlap=0.9)
ISOTROPIC = Spectrum([1.0], fractions=[1.0])


def replica_symmetric(
    activation: str | sp.Expr | Activation,
    load: ArrayLike,
    ridge: float,
    label_noise: float,
    start: OrderParameters = START,
    warm_start: bool = False,
    spectrum: Spectrum | None = None,
    progress: bool | None = None,
) -> xr.Dataset:
    """Solve the replica-symmetric equations of a student without normalization.

    Parameters
    ----------
    activation : str, sympy.Expr or Activation
        Activation of teacher and student, as in `statmech_bn.activation`.
    load : float or array_like
        α = P/N > 0.
    ridge : float
        λ ≥ 0. A training set that can be interpolated has V → ∞ for λ → 0; V stays below 1e8,
        which amounts to λ = 1e-8.
    label_noise : float
        Δ ≥ 0.
    start : OrderParameters, optional
        Overlap (not ±1) and length at which the iteration starts. It matters where several
        solutions exist; an overlap near 1 finds the one of a student that knows its teacher.
    warm_start : bool, optional
        Start each load at the solution of the one before it in `load`, if that has converged: fewer
        iterations, and a branch of solutions is followed along α, up or down. By default each load
        is solved by itself, and does not depend on which others are asked for.
    spectrum : Spectrum, optional
        Of the inputs' covariance; by default λ = 1. The ridge is then at least 1e-8 of the largest
        eigenvalue.
    progress : bool, optional
        Whether to show a bar on stderr; by default on a terminal alone, after a second.

    Returns
    -------
    xarray.Dataset
        Over load: ``generalization_error``, ``overlap`` m/√q, ``length`` √q, ``m``, ``q``, ``V``,
        and how far to trust them: ``converged``, ``iterations``, ``residual`` (largest change of
        m, log(q − m²) and log V in one more step; converged below 1e-8) and ``quadrature_error``
        (by how much finer nodes change that step). Where it has not converged the last state is
        kept, and the attribute ``warning`` names the loads. With a spectrum the overlap is that
        of the fields, m and q are their moments, and there are ``block_student_teacher`` ρ_i and
        ``block_student_student`` Q_i over block.

    Raises
    ------
    InvalidSetup
        An argument is outside of its range.
    NotConverged
        The activation changes too fast for the quadrature.

    Examples
    --------
    >>> found = replica_symmetric("linear", [1.5], ridge=0.5, label_noise=0.5)
    >>> found.generalization_error.values.round(5)
    array([0.13726])
    """
    flag("warm_start", warm_start)
    noise = real("label_noise", label_noise, 0.0, LARGEST_NOISE)
    setup = TeacherStudent(activation, Unnormalized(), label_noise=noise)
    loads, penalty = positive("load", load, LARGEST), real("ridge", ridge, 0.0, LARGEST)
    one_unit(setup, instance("start", start, OrderParameters))
    if abs(start.overlap) == 1 or start.gamma != 1:
        raise invalid("start", "OrderParameters with |overlap| < 1 and gamma = 1", start)
    structured = spectrum is not None and not instance("spectrum", spectrum, Spectrum).isotropic
    inputs = spectrum if spectrum is not None and structured else ISOTROPIC
    prior = Prior.of(inputs, penalty)
    prepared = _sample(with_unit_teacher(setup.activation, inputs), setup.label_noise)
    first = prior.first(start, inputs)
    solutions: list[_Solution] = []

    def solve(values: np.ndarray, watch: Watch) -> None:
        sample = replace(prepared, stop=watch.stop)
        for value in values:
            follows = warm_start and solutions and solutions[-1].residual < TOLERANCE
            first[2] = -np.log(penalty + value)
            begin = solutions[-1].state if follows else first
            solutions.append(_solve(sample, prior, begin, value))
            watch.done[0] += 1.0

    in_threads(solve, [loads], 1, float(loads.size), progress, "replica symmetric", "loads")
    state = np.array([solution.state for solution in solutions])
    m, q, susceptibility = state[:, 0], state[:, 0] ** 2 + np.exp(state[:, 1]), np.exp(state[:, 2])
    root, length = np.sqrt(q), np.sqrt(q)
    blocks: dict[str, Any] = {}
    if structured:
        rho, squares = (
            np.array(found) for found in zip(*(s.blocks for s in solutions), strict=True)
        )
        length = np.sqrt(squares.sum(axis=1))
        error = structured_error(setup, inputs, rho, squares, np.ones(m.size))
        dims = ("load", "block")
        blocks = {"block_student_teacher": (dims, rho), "block_student_student": (dims, squares)}
    else:
        error = generalization_error(setup, m / root, root, np.ones(m.size))
    variance = inputs.teacher_variance
    variables = {
        "generalization_error": error,
        "overlap": m / root,
        "length": length,
        "m": variance * m,
        "q": variance * q,
        "V": variance * susceptibility,
        "iterations": [solution.iterations for solution in solutions],
        "residual": [solution.residual for solution in solutions],
        "converged": [solution.residual < TOLERANCE for solution in solutions],
        "quadrature_error": [solution.quadrature_error for solution in solutions],
    }
    attributes = {
        **setup.to_attrs(),
        **(inputs.to_attrs() if structured else {}),
        "level": "replica symmetric",
        "ridge": penalty,
        "version": __version__,
    }
    if not all(variables["converged"]):
        failed = loads[~np.array(variables["converged"])]
        attributes["warning"] = f"not converged at load {', '.join(f'{a:g}' for a in failed)}"
    coordinates: dict[str, Any] = {"load": loads}
    if structured:
        coordinates["block"] = np.arange(inputs.blocks)
        coordinates["block_eigenvalue"] = ("block", inputs.eigenvalues)
    data = {name: ("load", np.asarray(values)) for name, values in variables.items()}
    return describe(xr.Dataset({**data, **blocks}, coordinates, attributes))


@dataclass(frozen=True)
class _Solution:
    state: np.ndarray
    iterations: int
    residual: float
    quadrature_error: float
    blocks: tuple[np.ndarray, np.ndarray]
    """ρ_i and Q_i"""


def _solve(sample: _Sample, prior: Prior, state: np.ndarray, load: float) -> _Solution:
    """Iterate on (m, log(q − m²), log V): damped steps, extrapolated by Anderson's mixing.

    D. G. Anderson, J. ACM 12 (1965) 547.
    """
    states: list[np.ndarray] = []
    residuals: list[np.ndarray] = []
    iterations = 0
    while True:
        residual = _following(sample, prior, state, load) - state
        size = float(np.abs(residual).max())
        if size < TOLERANCE or iterations == MOST_ITERATIONS:
            break
        iterations += 1
        states = [*states[-MEMORY:], state]
        residuals = [*residuals[-MEMORY:], residual]
        state = state + _move(np.array(states), np.array(residuals))
    finer = _following(sample.finer(), prior, state, load) - state - residual
    blocks = prior.blocks(*_conjugates(sample, state, load))
    return _Solution(state, iterations, size, float(np.abs(finer).max()), blocks)


def _move(states: np.ndarray, residuals: np.ndarray) -> np.ndarray:
    """Combine the last steps so that their residuals cancel as far as they can."""
    if len(states) > 1:
        changes, differences = np.diff(states, axis=0), np.diff(residuals, axis=0)
        combination = np.linalg.lstsq(differences.T, residuals[-1], rcond=1e-10)[0]
        move = residuals[-1] - combination @ (changes + differences)
        if np.abs(move).max() < LONGEST_STEP:
            return move
    return np.clip(DAMPING * residuals[-1], -LONGEST_STEP, LONGEST_STEP)


def _following(sample: _Sample, prior: Prior, state: np.ndarray, load: float) -> np.ndarray:
    """Return the state after one undamped iteration."""
    m, spread, susceptibility = prior.state(*_conjugates(sample, state, load))
    return np.array([m, np.log(max(spread, LEAST_SPREAD)), np.log(susceptibility)])


def _conjugates(sample: _Sample, state: np.ndarray, load: float) -> tuple[float, float, float]:
    """Return (m̂, q̂, V̂)."""
    m, width, susceptibility = state[0], np.exp(0.5 * state[1]), np.exp(state[2])
    square, teacher, slope = sample.averages(m, width, susceptibility)
    v_hat = -load * slope
    return load * teacher + m * v_hat, load * square, v_hat


@dataclass(frozen=True)
class _Sample:
    """What the averages over a sample take besides the order parameters."""

    compiled: Any
    kinks: np.ndarray
    label_noise: float
    refinement: float
    stop: np.ndarray = field(default_factory=lambda: np.zeros(1, bool), compare=False)

    def finer(self) -> _Sample:
        """Return the same with half as many nodes again in every direction."""
        return replace(self, refinement=1.5 * self.refinement)

    def averages(self, m: float, width: float, susceptibility: float) -> tuple[float, float, float]:
        """Return (E f², E[f h*], E[∂_ω f])."""
        # the cost of staying at ω bounds how far the minimum can be: |z − ω| ≤ √V |y − g(ω)|
        label = (1 + self.label_noise) * (1 + np.hypot(m, width))
        reach = REACH * (np.hypot(m, width) + np.sqrt(susceptibility) * label)
        square, teacher, tilt = sample_averages(
            self.compiled, self._table(reach), m, width, susceptibility, self.label_noise,
            self.refinement, self.stop,
        )  # fmt: skip
        return square, teacher, tilt / width

    def _table(self, reach: float) -> tuple[np.ndarray, ...]:
        """Tabulate g and g' on a grid in z that contains the kinks."""
        end = np.arcsinh(reach / GRID_CORE)
        count = int(np.ceil(end * GRID_CORE / GRID_SPACING * self.refinement))
        points = GRID_CORE * np.sinh(end * np.linspace(-1, 1, 2 * count + 1))
        points = np.union1d(points, self.kinks)
        value, slope = self._value_and_slope(points)
        aside = 1e-9 * (1 + np.abs(self.kinks))
        left, right = (self._value_and_slope(self.kinks + side)[1] for side in (-aside, aside))
        return points, value, slope, np.searchsorted(points, self.kinks), left, right

    def _value_and_slope(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, slope = np.empty(points.size), np.empty(points.size)
        _evaluate(self.compiled, points, value, slope)
        return value, slope


@lru_cache(maxsize=64)
def _sample(activation: Activation, label_noise: float) -> _Sample:
    curvature = sp.diff(activation.derivative, z).replace(sp.DiracDelta, lambda *_: sp.S.Zero)
    expressions = [activation.expression, activation.derivative, curvature]
    rule = Quadrature.for_activation(activation)
    compiled = numba_array_function(expressions, z)
    return _Sample(compiled, rule.kinks, label_noise, rule.refinement / 1.5)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def sample_averages(activation, table, overlap, width, susceptibility, noise, refinement, stop):
    """Return (E f², E[f h*], E[f η]) over a sample, ω = overlap·h* + width·η.

    The teacher's field and the label noise are integrated by the trapezoidal rule for smooth
    activations, else on panels that end where the label passes g(kink): there a branch of the
    loss appears.
    """
    z, value, _, kinks, _, _ = table
    work = workspace(z.size)
    if kinks.size == 0:
        spacing = SPACING / (1.5 * refinement)
        h, weight_h = trapezoid(spacing, REACH)
        xi, weight_xi = trapezoid(spacing, REACH)
    else:
        # a label's jump moves with it in ω, and the Gaussian of this width blurs it
        blur = width / np.sqrt(1.0 + susceptibility)
        smallest = min(blur, noise) if noise > 0.0 else blur
        h, weight_h = panels(_around(z[kinks], smallest), 0.5 * refinement, REACH)
    if noise == 0.0:
        xi, weight_xi = np.zeros(1), np.ones(1)
    g = np.empty(h.size)
    activation(h, g, np.empty(h.size), np.empty(h.size))
    square, teacher, tilt = 0.0, 0.0, 0.0
    for i in range(h.size):
        if noise > 0.0 and kinks.size > 0:
            breaks = _around((value[kinks] - g[i]) / noise, blur / noise)
            xi, weight_xi = panels(breaks, 0.5 * refinement, REACH)
        for j in range(xi.size):
            weight = weight_h[i] * weight_xi[j]
            if weight < NEGLIGIBLE or stop[0]:
                continue
            label = g[i] + noise * xi[j]
            force, force_squared, force_eta = field_moments(
                activation, table, label, susceptibility, overlap * h[i], width, refinement, work
            )
            square += weight * force_squared
            teacher += weight * h[i] * force
            tilt += weight * force_eta
    return square, teacher, tilt


@numba.njit(cache=True, nogil=True)
def _around(points, smallest):
    """Return breaks at the points, and at distances from them that double."""
    breaks = [0.0]
    for point in points:
        breaks.append(point)
        distance = max(1.5 * smallest, 1e-3)
        while distance < 4.0:
            breaks.append(point - distance)
            breaks.append(point + distance)
            distance *= 3.0
    return np.array(breaks)


@numba.njit(cache=True, nogil=True)
def _evaluate(activation, points, value, slope):
    activation(points, value, slope, np.empty(points.size))
