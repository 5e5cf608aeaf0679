r"""The plateau of a committee: its symmetric fixed point, and how fast it is left.

Before the units of a student specialize they are all alike: in the symmetric subspace

    ρ_kn = ρ,   Q_kk = Q,   Q_kl = C (k ≠ l),   γ_k = γ,   v_k = v

the flow has a fixed point that attracts. In the full space it is a saddle: a deviation from it
grows like exp(λ_s t), where the escape rate λ_s is the largest eigenvalue of the flow's Jacobian. A
random start has deviations of order 1/√N, so that the plateau lasts about ln(N)/(2λ_s).

With a scale, φ does not know the length of the weights, and the noise of the steps makes them
longer for ever; only η/L² counts. The plateau is then that at a held length, to which the flow of
the directions is reduced (a weight decay that holds it cancels out).

For small learning rates and g = erf, T = 1, v = v* = 1, M = 1 without a normalization,
ρ = 1/√(K(2K−1)) and Q = C = 1/(2K−1) (Saad & Solla, Phys. Rev. E 52 (1995) 4225).
"""

from __future__ import annotations

import itertools
import math
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.optimize import root

from statmech_bn.averages.pairs import committee_error
from statmech_bn.checks import instance, positive, real
from statmech_bn.dataset import describe
from statmech_bn.errors import NotConverged, invalid
from statmech_bn.online.arguments import LONGEST_START, SHORTEST_START
from statmech_bn.online.flow.committee_rates import pack, unpack
from statmech_bn.teacher_student import TeacherStudent

if TYPE_CHECKING:
    from statmech_bn.online.flow.committee import CommitteeFlow

RELAXED = 400.0
"""The symmetric flow is followed to this time in units of 1/η before its zero is solved for."""
STEP, STEP_OF_POINTS = 1e-5, 1e-3
"""Differences for the Jacobian, of closed averages and of averages over points."""
ACCURACY = 1e-4
"""Largest rate of the symmetric state, in units of η, at which it counts as a fixed point."""
MOST_PERMUTATIONS = 1000
MOST_EVALUATIONS = 3000
"""Evaluations of the symmetric flow that a fixed point may take; a few hundred are common."""


def plateau(
    setup: TeacherStudent,
    learning_rate: ArrayLike = 1.0,
    length: float = 1.0,
    readout: float = 1.0,
) -> xr.Dataset:
    """Find the plateau of the symmetric phase and the rate at which it is left.

    Parameters
    ----------
    setup : TeacherStudent
        At least two units of the student and two of the teacher, whose units are alike: one
        readout, one length, one overlap with each other.
    learning_rate : float or sequence
        η > 0; η_γ and η_v are the same.
    length : float
        L > 0 at which a student with a scale is held. Only η/L² counts.
    readout : float
        v of each unit, unless it is learned.

    Returns
    -------
    xarray.Dataset
        Over learning_rate: overlap, the cosine of a unit with each of the teacher's;
        mutual_overlap, that of two units of the student; length, gamma, readout,
        generalization_error; eigenvalue (over mode), the largest real part first; escape_rate, λ_s;
        and averages_error, as in `statmech_bn.macroscopic`.

    Raises
    ------
    InvalidSetup
        An argument is outside of its range, or the units of the teacher are not alike.
    NotConverged
        The symmetric flow has no fixed point at this learning rate.

    Examples
    --------
    >>> import statmech_bn as sbn
    >>> setup = sbn.TeacherStudent("erf", "none", 1, student_units=3, teacher_units=3)
    >>> found = sbn.rates.plateau(setup, 0.01)
    >>> round(found["overlap"].item() * found["length"].item(), 2)  # 1/√15
    0.26
    """
    from statmech_bn.online.flow.committee import CommitteeFlow  # it needs this room's averages

    instance("setup", setup, TeacherStudent)
    rates = positive("learning_rate", learning_rate)
    length = real("length", length, SHORTEST_START, LONGEST_START)
    readout = real("readout", readout)
    _check_alike(setup)
    teacher = float(np.sqrt(setup.teacher_gram[0, 0]))
    flow = CommitteeFlow(setup, max(1.0, teacher))
    with np.errstate(all="ignore"):  # a rate that is too large overflows, and is refused
        rows = [_one(_Symmetric(setup, flow, float(rate), length, readout)) for rate in rates]
    states, eigenvalues, errors = (np.array(part) for part in zip(*rows, strict=True))
    rho, q, gamma, second = unpack(states, setup.student_units, setup.teacher_units)
    square = q[:, 0, 0]
    data = {
        "overlap": ("learning_rate", rho[:, 0, 0] / np.sqrt(square) / teacher),
        "mutual_overlap": ("learning_rate", q[:, 0, 1] / square),
        "length": ("learning_rate", np.sqrt(square)),
        "gamma": ("learning_rate", gamma[:, 0]),
        "readout": ("learning_rate", second[:, 0]),
        "generalization_error": ("learning_rate", committee_error(setup, rho, q, gamma, second)),
        "eigenvalue": (("learning_rate", "mode"), eigenvalues),
        "escape_rate": ("learning_rate", eigenvalues.real.max(axis=1)),
        "averages_error": ("learning_rate", errors),
    }
    return describe(xr.Dataset(data, {"learning_rate": rates}, setup.to_attrs()))


def _check_alike(setup: TeacherStudent) -> None:
    """Refuse what has no symmetric phase."""
    units = setup.student_units, setup.teacher_units
    if min(units) < 2:
        raise invalid("setup", "at least two units on each side", units)
    teacher, readouts = setup.teacher_gram, np.array(setup.teacher_readout)
    others = teacher[~np.eye(units[1], dtype=bool)]
    if np.ptp(np.diag(teacher)) > 0 or np.ptp(others) > 0 or np.ptp(readouts) > 0:
        raise invalid(
            "setup", "units of the teacher that are alike", (teacher, readouts),
            "Give one number as teacher_readout, and overlaps that are all the same.",
        )  # fmt: skip


class _Symmetric:
    """The flow at a learning rate, and what symmetry makes of it."""

    def __init__(
        self, setup: TeacherStudent, flow: CommitteeFlow, rate: float, length: float, readout: float
    ) -> None:
        self.setup, self.flow, self.length, self.readout = setup, flow, length, readout
        self.rates = rate * np.array([1.0, 1.0, float(setup.readout == "learned")])
        self.rate, self.held = rate, setup.normalizer.has_scale
        self.units = setup.student_units, setup.teacher_units
        students, teachers = self.units
        triangle = np.arange(students * (students + 1) // 2) + students * teachers
        self.diagonal = np.array(
            [triangle[k * students - k * (k - 1) // 2] for k in range(students)]
        )
        self.others = np.setdiff1d(triangle, self.diagonal)

    def state(self, reduced: np.ndarray) -> np.ndarray:
        """Return the state of (ρ, Q, C, γ, v)."""
        students, _ = self.units
        rho, square, other, gamma, readout = reduced
        q = np.full((students, students), other)
        np.fill_diagonal(q, square)
        ones = np.ones(students)
        return pack(np.full(self.units, rho), q, gamma * ones, readout * ones)

    def derivatives(self, state: np.ndarray) -> np.ndarray:
        """Return the flow, at held lengths if there is a scale."""
        found = self.flow(state, self.rates)
        if not self.held:
            return found
        students, teachers = self.units
        rho, q, _, _ = unpack(state, students, teachers)
        d_rho, d_q, *rest = unpack(found, students, teachers)
        growth = np.diag(d_q) / (2 * np.diag(q))
        d_rho = d_rho - growth[:, None] * rho
        d_q = d_q - (growth[:, None] + growth) * q
        return pack(d_rho, d_q, *rest)

    def reduced(self, values: np.ndarray) -> np.ndarray:
        """Return the flow of (ρ, Q, C, γ, v)."""
        found = self.derivatives(self.state(values))
        students, teachers = self.units
        tail = found[-2 * students :].reshape(2, students).mean(axis=1)
        products = found[: students * teachers].mean()
        return np.array([products, found[self.diagonal].mean(), found[self.others].mean(), *tail])

    def moving(self) -> np.ndarray:
        """Say which of (ρ, Q, C, γ, v) are not given."""
        learned = self.setup.readout == "learned"
        return np.array([True, not self.held, True, self.held, learned])


def _one(problem: _Symmetric) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the fixed point, the eigenvalues of its Jacobian and the error of its averages."""
    from statmech_bn.online.flow.lsoda import Spent, integrate_piece

    units = problem.units[0]
    square = problem.length**2 if problem.held else 1 / (2 * units - 1)
    start = np.array([0.3 * np.sqrt(square), square, 0.5 * square, 1.0, problem.readout])
    if not problem.held:
        start[1] *= 1.5
    moving = problem.moving()

    evaluations = 0

    def flow(values: np.ndarray) -> np.ndarray:
        nonlocal evaluations
        evaluations += 1
        if evaluations > MOST_EVALUATIONS:  # steps of any size are too large, and none is taken
            raise Spent
        full = start.copy()
        full[moving] = values
        return problem.reduced(full)[moving] / problem.rate

    grid = np.array([0.0, RELAXED])
    full, rest = start.copy(), np.inf
    with suppress(Spent):
        if np.isfinite(flow(start[moving])).all():
            relaxed, _ = integrate_piece(
                lambda y, _: flow(y), start[moving], grid, None, (1e-6, 1e-8)
            )
            if np.isfinite(relaxed[:, -1]).all():
                full[moving] = root(flow, relaxed[:, -1], tol=1e-10).x
                rest = np.abs(flow(full[moving])).max()
    if not rest < ACCURACY or full[1] <= 0:
        raise NotConverged(
            f"The symmetric flow has no fixed point at learning rate {problem.rate:g}: its rates "
            f"are {rest:.2g} of it. Choose a smaller learning rate."
        )
    state = problem.state(full)
    eigenvalues = np.linalg.eigvals(_jacobian(problem, state))
    return state, eigenvalues[np.argsort(-eigenvalues.real)], problem.flow.error


def _jacobian(problem: _Symmetric, state: np.ndarray) -> np.ndarray:
    """Differentiate the flow at a symmetric state, in the entries that are not given."""
    students, teachers = problem.units
    free = np.ones(state.size, dtype=bool)
    tail = state.size - 2 * students
    if problem.held:
        free[problem.diagonal] = False
    else:
        free[tail : tail + students] = False
    if problem.setup.readout == "fixed":
        free[tail + students :] = False
    step = STEP if problem.flow.system is not None else STEP_OF_POINTS
    jacobian = np.empty((state.size, state.size))
    for n in range(state.size):
        ahead, back = state.copy(), state.copy()
        ahead[n] += step
        back[n] -= step
        moved = problem.derivatives(ahead) - problem.derivatives(back)
        jacobian[:, n] = moved / (2 * step)
    if problem.flow.system is None:  # points are not symmetric, their average is
        orders = [_permuted(problem, *order) for order in _orders(students, teachers)]
        jacobian = np.mean([jacobian[np.ix_(order, order)] for order in orders], axis=0)
    return jacobian[np.ix_(free, free)]


def _orders(students: int, teachers: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return permutations of both sides' units, all of them or some."""
    if math.factorial(students) * math.factorial(teachers) <= MOST_PERMUTATIONS:
        both = itertools.permutations(range(students)), itertools.permutations(range(teachers))
        return list(itertools.product(*both))
    generator = np.random.default_rng(0)
    return [
        (tuple(generator.permutation(students)), tuple(generator.permutation(teachers)))
        for _ in range(MOST_PERMUTATIONS)
    ]


def _permuted(
    problem: _Symmetric, student: tuple[int, ...], teacher: tuple[int, ...]
) -> np.ndarray:
    """Return where the entries of a state stand when units change places."""
    students, teachers = problem.units
    size = students * teachers + students * (students + 1) // 2 + 2 * students
    places = np.arange(float(size))
    rho, q, gamma, readout = unpack(places, students, teachers)
    order = list(student)
    found = pack(rho[np.ix_(order, list(teacher))], q[np.ix_(order, order)], gamma[order],
                 readout[order])  # fmt: skip
    return found.astype(int)
