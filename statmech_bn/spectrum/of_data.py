r"""Spectra of a given covariance and of data, for `statmech_bn.Spectrum`.

The covariance Σ of the data has eigenvectors e_k. Those of equal eigenvalues are one block i, and
the teacher's part in it is T_i = Σ_{k∈i} (w*·e_k)²/N. Labels get the teacher of least squares,
v = √N (X'X)⁺X'y, the shortest where several fit.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from statmech_bn.checks import UNREADABLE, array, covariance, flag
from statmech_bn.errors import InputsWarning, invalid

if TYPE_CHECKING:
    from statmech_bn.spectrum import Spectrum

SAME = 1e-12
"""Eigenvalues closer than this, by the largest, are equal to rounding."""
STACK = 4
"""Frames from a warning here to the caller of a class method."""
NAMED = 10
"""Columns that a message lists at most."""


def of_covariance(matrix: ArrayLike, teacher: ArrayLike | None) -> Spectrum:
    """Return the spectrum of a covariance (N, N), or (N,) if it is diagonal."""
    return _decompose(covariance("covariance", matrix), teacher)


def of_data(
    samples: ArrayLike, teacher: ArrayLike | None, labels: ArrayLike | None, centre: bool
) -> Spectrum:
    """Return the spectrum of samples (P, N), with a teacher, labels or neither."""
    data = _complete(samples)
    size, dimension = data.shape
    if teacher is not None and labels is not None:
        raise invalid(
            "teacher, labels", "one of them, or neither", "both", "Labels make a teacher."
        )
    constant = np.flatnonzero(np.ptp(data, axis=0) == 0)
    if constant.size == dimension:
        raise invalid("samples", "samples that vary", "equal ones", "Nothing can be learned.")
    if constant.size:
        _warn(
            f"samples: columns {_listed(constant)} are constant. They carry nothing to learn; drop "
            "them by samples[:, samples.std(axis=0) > 0]."
        )
    if size < dimension:
        _warn(
            f"samples: {size} samples are fewer than {dimension} dimensions, so that the data span "
            f"at most {size} of them, and eigenvalues are 0 in the others. Give more samples, or "
            "reduce the dimension, for example to the principal components."
        )
    if flag("centre", centre):
        data = data - data.mean(axis=0)
    noise, scale = 0.0, 1.0
    if labels is not None:
        teacher, noise, scale = best_linear(data, labels, centre)
    found = _decompose(data.T @ data / size, teacher, spanned=labels is not None)
    found._set(label_noise=noise, label_scale=scale)
    return found


def _complete(samples: ArrayLike) -> np.ndarray:
    """Return samples as floats, or name the columns that have gaps."""
    hint = "Give a finite array of shape (samples, N)."
    try:
        given = np.asarray(samples)
        gaps = np.flatnonzero(~np.isfinite(given).all(axis=0) if given.ndim == 2 else False)
    except UNREADABLE:  # the next check says why
        gaps = np.array([])
    if gaps.size:
        raise invalid(
            "samples", "finite numbers", f"NaN or infinite ones in columns {_listed(gaps)}",
            "Leave out those columns or the samples that miss them, or fill them in.",
        )  # fmt: skip
    data = array("samples", samples, 2, hint=hint)
    if data.shape[0] < 2:
        raise invalid("samples", "at least two samples", f"shape {data.shape}", hint)
    return data


def best_linear(
    data: np.ndarray, labels: ArrayLike, centre: bool
) -> tuple[np.ndarray, float, float]:
    """Return w*, Δ and the labels' scale s from least squares."""
    y = array("labels", labels, 1)
    if y.size != data.shape[0]:
        raise invalid("labels", f"{data.shape[0]} numbers, one a sample", f"{y.size}")
    if centre:
        y = y - y.mean()
    root = np.sqrt(data.shape[1])
    smallest = np.sqrt(_negligible(data.shape[1]))
    v = np.linalg.lstsq(data / root, y, rcond=smallest)[0]
    residuals = y - data @ v / root
    scale = float(np.linalg.norm(v) / root)
    if not scale * np.abs(data).max() > SAME * np.abs(y).max():
        raise invalid(
            "labels", "labels that depend on the samples linearly", "none that do",
            "The best linear teacher is zero: fit other labels, or give a teacher.",
        )  # fmt: skip
    return v / scale, float(np.sqrt(np.mean(residuals**2)) / scale), scale


def _decompose(matrix: np.ndarray, teacher: ArrayLike | None, spanned: bool = False) -> Spectrum:
    """Find the blocks of a covariance that has been checked; a teacher may be known in its span."""
    from statmech_bn.spectrum import Spectrum

    if matrix.ndim == 1:
        basis = np.argsort(-matrix, kind="stable")
        values = matrix[basis]
    else:
        ascending, vectors = np.linalg.eigh(matrix)
        values, basis = ascending[::-1], vectors[:, ::-1]
    values = np.where(values < _negligible(values.size) * values[0], 0.0, values)
    first = np.flatnonzero(np.diff(values, prepend=np.inf) < -SAME * values[0])
    sizes = np.diff([*first, values.size])
    parts = None
    if teacher is not None:
        w = array("teacher", teacher, 1)
        if w.size != values.size or not w.any():
            raise invalid("teacher", f"{values.size} numbers, not all zero", teacher)
        w = w / np.abs(w).max()
        squares = (w[basis] if basis.ndim == 1 else w @ basis) ** 2
        squares[squares < SAME**2 * squares.sum()] = 0.0  # the rotation's rounding
        if spanned:
            squares[values == 0] = 0.0
        parts = np.add.reduceat(squares, first)
        parts = parts / parts.sum()
    means = np.add.reduceat(values, first) / sizes
    found = Spectrum.__new__(Spectrum)
    found._fill(means, multiplicities=sizes, teacher=parts)
    found._warn_of_outside(STACK + 1)
    found._set(basis=basis)
    return found


def _negligible(dimension: int) -> float:
    """Eigenvalues below this, by the largest, are zero to rounding."""
    return float(max(SAME, dimension * np.finfo(float).eps))


def _listed(columns: np.ndarray) -> str:
    """Name the first columns."""
    more = f" and {len(columns) - NAMED} more" if len(columns) > NAMED else ""
    return ", ".join(str(column) for column in columns[:NAMED]) + more


def _warn(message: str) -> None:
    """Warn the caller of ``Spectrum.from_data``."""
    warnings.warn(message, InputsWarning, stacklevel=STACK)
