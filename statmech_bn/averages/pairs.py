r"""Averages over pairs of Gaussian fields, and with them the error of a committee.

On a fresh input, with the population's statistics, the arguments of g are jointly Gaussian: h*_n of
the covariance T, and φ_k = s_k h_k with s_k = 1 without a normalization and γ_k/√Q_kk with one. So

    ε_g = ½ E[(Σ_n v*_n g(h*_n) − Σ_k v_k g(φ_k))²] = ½ v̂ᵀ E[g(z) g(z)ᵀ] v̂,

with z = (h*, φ) and v̂ = (v*, −v). E[g(z_a) g(z_b)] is a function of two standard deviations and a
correlation. SymPy derives it for linear, erf and ReLU units and whatever is made of them: the
arcsine of Saad & Solla 1995 and the arc-cosine kernel (Cho & Saul 2009). For other activations it
is integrated, to 1e-8 where g is smooth.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import sympy as sp

from statmech_bn.activations import Activation, z
from statmech_bn.averages.choice import Quadrature
from statmech_bn.codegen import numpy_function
from statmech_bn.errors import NoClosedForm
from statmech_bn.symbolic.gaussian import gaussian_average
from statmech_bn.teacher_student import TeacherStudent

Pairs = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
TOGETHER = 2**20
"""So many entries of the fields' covariances are averaged at a time."""


def committee_error(
    setup: TeacherStudent,
    student_teacher: np.ndarray,
    student_student: np.ndarray,
    gamma: np.ndarray,
    readout: np.ndarray,
    teacher: np.ndarray | None = None,
) -> np.ndarray:
    """Return ε_g of committees on fresh Gaussian inputs, without label noise.

    Parameters
    ----------
    setup : TeacherStudent
    student_teacher, student_student : ndarray, (..., K, K*) and (..., K, K)
        ρ and Q of the fields, infinite where a run has diverged.
    gamma, readout : ndarray, (..., K)
        γ and v.
    teacher : ndarray, (K*, K*), optional
        Covariance of the teacher's fields, by default T.

    Returns
    -------
    ndarray
        Shape (...), ε_g ≥ 0, infinite where the state is.
    """
    shape = gamma.shape[:-1]
    units, teacher_units = student_teacher.shape[-2:]
    states = [
        a.reshape(-1, *a.shape[len(shape) :])
        for a in (student_teacher, student_student, gamma, readout)
    ]
    found = np.full(states[2].shape[0], np.inf)
    alive = np.flatnonzero(
        np.logical_and.reduce([np.isfinite(a).reshape(a.shape[0], -1).all(axis=1) for a in states])
    )
    pairs = _pairs(setup.activation)
    size = max(1, TOGETHER // (units + teacher_units) ** 2)
    for first in range(0, alive.size, size):
        part = alive[first : first + size]
        found[part] = _errors(setup, pairs, teacher, *(a[part] for a in states))
    return found.reshape(shape)


def _errors(
    setup: TeacherStudent,
    pairs: Pairs,
    teacher: np.ndarray | None,
    rho: np.ndarray,
    q: np.ndarray,
    gamma: np.ndarray,
    readout: np.ndarray,
) -> np.ndarray:
    """Return ε_g of some states."""
    teacher = setup.teacher_gram if teacher is None else teacher
    spread, length = np.sqrt(np.diag(teacher)), np.sqrt(np.diagonal(q, axis1=1, axis2=2))
    size = np.abs(gamma) if setup.normalizer.has_scale else length
    sign = np.where(gamma < 0, -1.0, 1.0)
    over = sign / length
    cosine = np.clip(rho * over[:, :, None] / spread, -1.0, 1.0)
    mutual = _with_unit_diagonal(q * over[:, :, None] * over[:, None, :])
    own = _with_unit_diagonal(teacher / np.outer(spread, spread))
    target = np.array(setup.teacher_readout)
    with np.errstate(over="ignore", invalid="ignore"):  # beyond floats, an error is infinite
        constant = target @ pairs(own, spread[:, None], spread) @ target
        mixed = pairs(cosine, size[:, :, None], spread)
        among = pairs(mutual, size[:, :, None], size[:, None, :])
        square = np.einsum("rk,rkl,rl->r", readout, among, readout)
        cross = np.einsum("rk,rkn,n->r", readout, mixed, target)
        error = 0.5 * (constant + square - 2.0 * cross)
    return np.where(np.isfinite(error), np.maximum(error, 0.0), np.inf)


def _with_unit_diagonal(cosines: np.ndarray) -> np.ndarray:
    """Undo what rounding has done to cosines of units with themselves."""
    found = np.clip(cosines, -1.0, 1.0)
    found[..., np.arange(found.shape[-1]), np.arange(found.shape[-1])] = 1.0
    return found


@lru_cache(maxsize=64)
def _pairs(activation: Activation) -> Pairs:
    """Return (r, a, b) ↦ E[g(a u) g(b v)] for u, v of the correlation r, and a, b ≥ 0."""
    u, v, r = sp.symbols("u v r", real=True)
    a, b = sp.symbols("a b", positive=True)
    product = activation.expression.subs(z, a * u) * activation.expression.subs(z, b * v)
    try:
        closed = gaussian_average(product, (u, v), sp.Matrix([[1, r], [r, 1]]))
    except NoClosedForm:
        return Quadrature.for_activation(activation).products
    compiled = numpy_function([closed], [r, a, b])
    return lambda *arguments: compiled(*arguments)[0]
