"""Blocks of a spectrum: how many components each gets, and how those of like eigenvalues merge."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from statmech_bn.checks import UNREADABLE, array, integers, positive
from statmech_bn.errors import invalid

ROUNDING = 1e-9
"""By how much fractions and the teacher's parts may miss 1 in the sum."""


class MergeError(NamedTuple):
    """By how much merging has changed a spectrum.

    Attributes
    ----------
    eigenvalue : float
        Largest relative change of an eigenvalue, |λ̄/λ_i − 1|.
    trace : float
        Relative change of Σ f_i λ_i, which merging keeps to rounding.
    teacher_variance : float
        Relative change of σ_*².
    """

    eigenvalue: float = 0.0
    trace: float = 0.0
    teacher_variance: float = 0.0

    def then(self, change: MergeError) -> MergeError:
        """Return the error of this merge and another one after it."""
        pairs = zip(self, change, strict=True)
        return MergeError(*((1 + first) * (1 + second) - 1 for first, second in pairs))


def largest_remainder(fractions: np.ndarray, size: int) -> np.ndarray:
    """Round fractions of a size to integers ≥ 1 of that sum; there are at most `size` of them."""
    exact = fractions * size
    found = np.maximum(np.floor(exact).astype(int), 1)
    missing = size - int(found.sum())
    if missing > 0:
        found[np.argsort(found - exact, kind="stable")[:missing]] += 1
    for _ in range(-missing):  # what small blocks got too much is taken from those next to it
        found[np.argmax(np.where(found > 1, found - exact, -np.inf))] -= 1
    return found


def groups(eigenvalues: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the order of falling eigenvalues, and where in it each group begins.

    An eigenvalue starts a group if it is smaller than (1 − tolerance) of the group's first before.
    """
    order = np.argsort(-eigenvalues, kind="stable")
    first = [0]
    for place, value in enumerate(eigenvalues[order]):
        if value < (1 - tolerance) * eigenvalues[order[first[-1]]]:
            first.append(place)
    return order, np.array(first)


def merge(
    values: np.ndarray, shares: np.ndarray, teacher: np.ndarray, first: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, MergeError]:
    """Return eigenvalues, fractions and teacher of groups of sorted blocks, and the error."""
    lengths = np.diff([*first, values.size])
    weights = np.add.reduceat(shares, first)
    means = np.add.reduceat(shares * values, first) / weights
    means = np.where(lengths == 1, values[first], means)
    parts = np.add.reduceat(teacher, first)
    inside = values > 0
    ratios = np.repeat(means, lengths)[inside] / values[inside]
    change = MergeError(
        float(np.abs(ratios - 1).max()),
        float(weights @ means / (shares @ values) - 1),
        float(parts @ means / (teacher @ values) - 1),
    )
    return means, weights, parts, change


def reordered_components(multiplicities: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return the order of the N components when their blocks come in another order."""
    ends = np.cumsum(multiplicities)
    return np.concatenate([np.arange(ends[i] - multiplicities[i], ends[i]) for i in order])


def checked_blocks(
    eigenvalues: ArrayLike,
    fractions: ArrayLike | None = None,
    multiplicities: ArrayLike | None = None,
    teacher: ArrayLike | None = None,
) -> dict[str, np.ndarray | None]:
    """Check what a `statmech_bn.Spectrum` is made of, and fill in what is left out."""
    values = array("eigenvalues", eigenvalues, 1, 0.0)
    if not values.any():
        raise invalid("eigenvalues", "at least one > 0", eigenvalues, "Nothing is learned.")
    if (fractions is None) == (multiplicities is None):
        raise invalid(
            "fractions, multiplicities", "one of them", (fractions, multiplicities),
            "Give fractions for any dimension, or multiplicities for one.",
        )  # fmt: skip
    counted = None
    if multiplicities is not None:
        counted = np.array(integers("multiplicities", multiplicities, 1))
        shares = counted / counted.sum()
    else:
        shares = _of_sum_one("fractions", positive("fractions", fractions))
    parts = shares if teacher is None else array("teacher", teacher, 1, 0.0)
    _of_sum_one("teacher", parts)
    size = "fractions" if counted is None else "multiplicities"
    for name, given in ((size, shares), ("teacher", parts)):
        if given.shape != values.shape:
            raise invalid(name, f"{values.size} numbers, one an eigenvalue", given.size)
    if values @ parts == 0:
        raise invalid(
            "teacher", "a part where eigenvalues are > 0", parts,
            "All labels would be the same: choose another teacher.",
        )  # fmt: skip
    return {
        "eigenvalues": values,
        "fractions": shares,
        "multiplicities": counted,
        "teacher": parts,
    }


def _of_sum_one(name: str, values: np.ndarray) -> np.ndarray:
    """Refuse parts whose sum is not 1."""
    if abs(values.sum() - 1) > ROUNDING:
        raise invalid(
            name, "numbers of sum 1", f"{values} of sum {values.sum():.12g}",
            "Divide them by their sum.",
        )  # fmt: skip
    return values


def block_states(name: str, value: ArrayLike, blocks: int) -> np.ndarray:
    """Return numbers over blocks; those of a run that has diverged are infinite."""
    try:
        states = np.asarray(value)
        if states.dtype.kind not in "buif" or states.shape[-1:] != (blocks,):
            raise ValueError
    except UNREADABLE as error:
        raise invalid(name, f"numbers, {blocks} on the last axis", value) from error
    return states.astype(float)


def block_arrays(rho: Any, q: Any) -> tuple[np.ndarray, np.ndarray]:
    """Check ρ_i and Q_i of a student, without a spectrum."""
    products, squares = array("student_teacher", rho, 1), array("student_student", q, 1, 0.0)
    if products.shape != squares.shape:
        sizes = (products.size, squares.size)
        raise invalid("student_teacher, student_student", "as many of each", sizes)
    if not squares.any():
        raise invalid("student_student", "one number > 0 at least", q, "Start from a small length.")
    return products, squares


def cosine_and_length(rho: np.ndarray, q: np.ndarray) -> tuple[float, float]:
    """Return R and L of the weights of all blocks."""
    length = float(np.sqrt(q.sum()))
    return float(rho.sum()) / length, length
