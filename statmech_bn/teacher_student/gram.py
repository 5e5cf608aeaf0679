r"""Gram matrices of units, the teacher's first: their checks and their factor.

With K* weights w* of the teacher and K of the student in R^N,

    G = [[T, ρᵀ], [ρ, Q]] = C Cᵀ,    T = w*·w*/N,   ρ = w·w*/N,   Q = w·w/N,

C lower triangular: its first K* rows are the factor of T, and row K* + k has the components of
w_k/√N along orthonormal directions that the teacher's units span, then along those that the
student's units add to them. The student's part is the factor of Q − ρ T⁻¹ ρᵀ, which may be
singular: a student that equals its teacher has none.

Weights of independent components N(0, L_k²) have (Bartlett 1933)

    C_student = L_k/√N [n, A],    n ~ N(0, 1),   A_ii² ~ χ²(N − K* − i),   A_ij ~ N(0, 1), j < i.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from statmech_bn.checks import UNSYMMETRIC, array, vector
from statmech_bn.errors import invalid

MOST_UNITS = 1000
"""Students and teachers have at most so many units each; a step costs the cube of them."""
SHORTEST, LONGEST = 1e-50, 1e50
"""Lengths between which products of fields are floats."""
INDEFINITE = 1e-9
"""Eigenvalues of correlations above minus this are rounding."""
SINGULAR = 1e-12
"""Below this, the smallest eigenvalue of correlations says that a unit is a sum of the others."""


def symmetric(name: str, value: Any, units: int | None = None) -> np.ndarray:
    """Return a symmetric matrix whose diagonal is positive, the products of one kind of units.

    Raises
    ------
    InvalidSetup
        The message names the entry.
    """
    matrix = array(name, value, 2)
    size = matrix.shape[0] if units is None else units
    if matrix.shape != (size, size):
        raise invalid(name, f"shape {(size, size)}, a product for each pair", matrix.shape)
    if size > MOST_UNITS:
        raise invalid(name, f"at most {MOST_UNITS} units", size)
    diagonal = np.diag(matrix)
    outside = ~((diagonal >= SHORTEST**2) & (diagonal <= LONGEST**2))
    if outside.any():
        k = int(np.argmax(outside))
        span = f"squared lengths from {SHORTEST**2:g} to {LONGEST**2:g} on the diagonal"
        raise invalid(f"{name}[{k}][{k}]", span, float(diagonal[k]))
    root = np.sqrt(diagonal)
    skew = np.abs(matrix - matrix.T) / np.outer(root, root)
    if skew.max() > UNSYMMETRIC:
        first, second = sorted(int(i) for i in np.unravel_index(np.argmax(skew), skew.shape))
        got = f"{matrix[first, second]:g} and {matrix[second, first]:g}"
        raise invalid(name, f"equal entries [{first}][{second}] and [{second}][{first}]", got)
    return (matrix + matrix.T) / 2


def teacher_gram(name: str, value: Any, units: int) -> np.ndarray:
    """Return T of units that are independent directions.

    Raises
    ------
    InvalidSetup
        The matrix is not symmetric, or not positive definite.
    """
    matrix = symmetric(name, value, units)
    root = np.sqrt(np.diag(matrix))
    least = float(np.linalg.eigvalsh(matrix / np.outer(root, root))[0])
    if least < SINGULAR:
        raise invalid(
            name, "a positive definite matrix", f"one whose cosines have the eigenvalue {least:g}",
            "Write a unit that is a sum of others as fewer units.",
        )  # fmt: skip
    return matrix


def factor(teacher: np.ndarray, rho: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Return C, lower triangular with a diagonal ≥ 0.

    Parameters
    ----------
    teacher, rho, q : ndarray, (K*, K*), (K, K*) and (K, K)
        T, which is positive definite, ρ and Q.

    Raises
    ------
    InvalidSetup
        No weights have these products; the message names the entry, or the smallest eigenvalue.
    """
    units, size = teacher.shape[0], teacher.shape[0] + q.shape[0]
    root, student_root = np.sqrt(np.diag(teacher)), np.sqrt(np.diag(q))
    cosines = rho / np.outer(student_root, root)
    mutual = q / np.outer(student_root, student_root)
    _check_cosines("student_teacher", cosines)
    _check_cosines("student_student", mutual)
    above = np.linalg.cholesky(teacher / np.outer(root, root))
    along = np.linalg.solve(above, cosines.T).T
    values, vectors = np.linalg.eigh(mutual - along @ along.T)
    if values[0] < -INDEFINITE:
        gram = np.block([[above @ above.T, cosines.T], [cosines, mutual]])
        raise invalid(
            "start", "products of weights, [[T, student_teacherᵀ], [student_teacher, "
            "student_student]] positive semidefinite",
            f"one whose cosines have the eigenvalue {np.linalg.eigvalsh(gram)[0]:g}",
            "No weights have such products: use OrderParameters.random(setup, dimension, seed).",
        )  # fmt: skip
    found = np.zeros((size, size))
    found[:units, :units] = above
    found[units:, :units] = along
    found[units:, units:] = lower(vectors * np.sqrt(np.maximum(values, 0.0)))
    return found * np.concatenate([root, student_root])[:, None]


def lower(rows: np.ndarray) -> np.ndarray:
    """Return the lower triangular matrix of the same products, with a diagonal ≥ 0."""
    found = np.asarray(np.linalg.qr(rows.T, mode="r")).T
    return found * np.where(np.diag(found) < 0, -1.0, 1.0)


def in_frame(rows: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Return vectors of the products C Cᵀ, of which those of the teacher are given.

    Parameters
    ----------
    rows : ndarray, (D, D)
        C.
    frame : ndarray, (D, P)
        The teacher's vectors, or any of independent directions, then random vectors.

    Returns
    -------
    ndarray, (D, P)
    """
    orthonormal, triangle = np.linalg.qr(frame.T)
    orthonormal *= np.where(np.diag(triangle) < 0, -1.0, 1.0)
    found: np.ndarray = rows @ orthonormal.T
    return found


def random_rows(
    generator: np.random.Generator, teacher_units: int, units: int, dimension: int
) -> np.ndarray:
    """Draw the student's rows of √N C/L for independent weights, shape (K, K* + K)."""
    rows = generator.standard_normal((units, teacher_units + units))
    rows[:, teacher_units:] = np.tril(rows[:, teacher_units:], -1)
    freedom = float(dimension) - teacher_units - np.arange(units)
    lengths = np.sqrt(2 * generator.standard_gamma(freedom / 2))
    rows[np.arange(units), teacher_units + np.arange(units)] = lengths
    return rows


def as_tuples(matrix: np.ndarray) -> tuple[tuple[float, ...], ...]:
    """Return the rows of a matrix as tuples, which can be hashed."""
    return tuple(map(tuple, matrix.tolist()))


def by_unit(
    name: str, value: Any, units: int, minimum: float = -math.inf, maximum: float = math.inf
) -> tuple[float, ...]:
    """Return one number for each unit, from one for all or from as many."""
    numbers = vector(name, value, minimum, maximum)
    if numbers.size not in (1, units):
        raise invalid(name, f"a number, or {units} of them, one for each unit", value)
    return tuple(np.broadcast_to(numbers, units).tolist())


def _check_cosines(name: str, cosines: np.ndarray) -> None:
    beyond = np.abs(cosines) > 1 + INDEFINITE
    if beyond.any():
        k, n = np.unravel_index(int(np.argmax(beyond)), cosines.shape)
        raise invalid(
            f"{name}[{k}][{n}]", "at most the product of the two lengths",
            f"{cosines[k, n]:g} times that", "No weights have such a product.",
        )  # fmt: skip
