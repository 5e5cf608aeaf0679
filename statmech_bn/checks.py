"""Checks of arguments: each returns the value in the type that is computed with, or raises.

All of them raise InvalidSetup with the argument's name, what was expected and what came. Whatever
NumPy would take with a warning or misread (texts, dates, complex numbers, ragged lists, NaN) is
refused.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Mapping, Sequence
from numbers import Integral
from types import ModuleType
from typing import Any

import numpy as np
import sympy as sp
import xarray as xr

import statmech_bn.interrupts  # noqa: F401  (threads are stopped by Ctrl-C from now on)
from statmech_bn.errors import closest, invalid

LARGEST_COUNT = 2**31 - 1
"""More replicas, layers or samples than this fit into no memory."""
UNSYMMETRIC = 1e-10
"""How asymmetric, or negative in its eigenvalues, a covariance may be, by its largest entry."""
UNREADABLE = (TypeError, ValueError, OverflowError, RuntimeError)
"""``float(value)`` and ``numpy.asarray(value)`` raise these for something that is no number."""


def real(
    name: str, value: Any, minimum: float = -math.inf, maximum: float = math.inf, hint: str = ""
) -> float:
    """Return `value` as a finite float within [minimum, maximum], or raise InvalidSetup."""
    kind = getattr(getattr(value, "dtype", None), "kind", "f")
    if isinstance(value, (type, ModuleType, str, bytes)) or kind not in list("buifO"):
        raise invalid(name, "a number", value, hint)
    if getattr(value, "ndim", None) or (kind == "O" and _has_text(np.asarray(value))):
        raise invalid(name, "a number", value, hint)
    try:
        number = float(value)
    except UNREADABLE as error:
        raise invalid(name, "a number", value, hint) from error
    if not (math.isfinite(number) and minimum <= number <= maximum):
        raise invalid(name, f"a finite number{_bounds(minimum, maximum)}", value, hint)
    return number


def integer(name: str, value: Any, minimum: int, hint: str = "", maximum: float = math.inf) -> int:
    """Return `value` as an int within [minimum, maximum], or raise InvalidSetup."""
    number = real(name, value, hint=hint)
    if isinstance(value, bool) or number != int(number) or not minimum <= number <= maximum:
        upper = "" if maximum == math.inf else f" and ≤ {maximum}"
        raise invalid(name, f"an integer ≥ {minimum}{upper}", value, hint)
    return int(value) if isinstance(value, Integral) else int(number)


def check_memory(names: str, numbers: float, hint: str = "Ask for fewer of them at once.") -> None:
    """Raise InvalidSetup if so many numbers of 8 bytes are more than the memory of this machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if 8 * numbers > memory:
        expected = f"a product that fits into the {memory / 2**30:.0f} GiB of memory"
        raise invalid(names, expected, f"{8 * numbers / 2**30:.3g} GiB", hint)


def count(name: str, value: Any, minimum: int = 1, hint: str = "") -> int:
    """Return a number of things that are to be in memory, at least `minimum`."""
    return integer(name, value, minimum, hint, LARGEST_COUNT)


def thread_count(workers: Any) -> int:
    """Check a number of threads; None is one for each core."""
    return (os.cpu_count() or 1) if workers is None else integer("workers", workers, 1)


def array(
    name: str,
    value: Any,
    ndim: int | None = None,
    minimum: float = -math.inf,
    maximum: float = math.inf,
    hint: str = "",
) -> np.ndarray:
    """Return finite floats within [minimum, maximum], at least one, as an array.

    Parameters
    ----------
    name : str
    value : array_like
    ndim : int, optional
        Number of dimensions; by default any.
    minimum, maximum : float
    hint : str
        The likely fix.

    Raises
    ------
    InvalidSetup
        The values are no such numbers, or their number of dimensions is another.
    """
    dims = "" if ndim is None else f", of {ndim} dimension{'s' if ndim != 1 else ''}"
    expected = f"finite numbers{_bounds(minimum, maximum)}{dims}"
    if np.ma.is_masked(value):
        raise invalid(name, "values without a mask", value, "Leave out or fill what is masked.")
    try:
        given = np.asarray(value)
        if given.dtype.kind not in "buifO" or _has_text(given):
            raise invalid(name, expected, value, hint)
        with np.errstate(over="ignore"):  # what is beyond floats becomes inf, and is refused
            numbers = given.astype(float)
    except UNREADABLE as error:
        raise invalid(name, expected, value, hint) from error
    if ndim not in (None, numbers.ndim) or numbers.size == 0 or not np.isfinite(numbers).all():
        raise invalid(name, expected, value, hint)
    if numbers.min() < minimum or numbers.max() > maximum:
        raise invalid(name, expected, value, hint)
    return numbers


def _has_text(values: np.ndarray) -> bool:
    """Say whether objects among values are texts, which ``float`` would read."""
    return values.dtype == object and any(isinstance(v, (str, bytes)) for v in values.flat)


def vector(name: str, value: Any, minimum: float = -math.inf, maximum: float = math.inf,
           hint: str = "") -> np.ndarray:  # fmt: skip
    """Return one number or a sequence of them as an array of one dimension."""
    numbers = array(name, value, None, minimum, maximum, hint)
    if numbers.ndim > 1:
        raise invalid(name, "numbers, of one dimension", value, hint)
    return np.atleast_1d(numbers)


def positive(name: str, value: Any, maximum: float = math.inf, hint: str = "") -> np.ndarray:
    """Return one number > 0 or a sequence of them as an array of one dimension."""
    numbers = vector(name, value, maximum=maximum, hint=hint)
    if not (numbers > 0).all():
        raise invalid(name, "finite numbers > 0 in one dimension", value, hint)
    return numbers


def covariance(name: str, value: Any, hint: str = "") -> np.ndarray:
    """Return a symmetric, positive semidefinite matrix, or the diagonal of one; not all zero."""
    matrix = array(name, value, hint=hint)
    if matrix.ndim > 2 or matrix.ndim == 0 or len(set(matrix.shape)) != 1:
        raise invalid(name, "shape (N, N), or (N,) if it is diagonal", matrix.shape, hint)
    largest = np.abs(matrix).max()
    if matrix.ndim == 2 and np.abs(matrix - matrix.T).max() > UNSYMMETRIC * largest:
        raise invalid(name, "a symmetric matrix", value, hint)
    least = float(matrix.min() if matrix.ndim == 1 else np.linalg.eigvalsh(matrix)[0])
    if least < -UNSYMMETRIC * largest or not largest:
        raise invalid(name, "a positive semidefinite matrix, not all zero", value, hint)
    return matrix


def integers(name: str, value: Any, minimum: int, hint: str = "") -> list[int]:
    """Return a sequence of at least one integer as a list."""
    numbers = array(name, value, 1, minimum, LARGEST_COUNT, hint)
    return [integer(name, number, minimum, hint) for number in numbers.tolist()]


def choice(name: str, value: Any, names: Collection[str], hint: str = "") -> str:
    """Return a name if it is one of some."""
    if not isinstance(value, str) or value not in names:
        raise invalid(name, f"one of {', '.join(names)}", value, closest(value, names) or hint)
    return value


def instance(name: str, value: Any, kinds: Any, hint: str = "") -> Any:
    """Return an object if it is of a class, or of one of some classes."""
    if not isinstance(value, kinds):
        some = kinds if isinstance(kinds, tuple) else (kinds,)
        raise invalid(name, " or ".join(kind.__name__ for kind in some), value, hint)
    return value


def flag(name: str, value: Any) -> bool:
    """Return True or False."""
    return bool(instance(name, value, (bool, np.bool_)))


def dataset(name: str, value: Any, variables: Mapping[Any, tuple[str, ...]], hint: str = "") -> Any:
    """Return a Dataset if it has variables of numbers, each over some dimensions at least."""
    instance(name, value, xr.Dataset, hint)
    for variable, dims in variables.items():
        if variable not in value:
            raise invalid(name, f"a variable {variable!r}", sorted(map(str, value)), hint)
        data_array(f"{name}, {variable}", value[variable], dims, hint)
    return value


def data_array(name: str, value: Any, dims: tuple[str, ...], hint: str = "") -> Any:
    """Return a DataArray of at least one number, if it is over some dimensions at least."""
    instance(name, value, xr.DataArray, hint)
    if not set(dims) <= set(value.dims) or not value.size:
        wanted = f"values over {', '.join(dims)}" if dims else "values"
        raise invalid(name, wanted, dict(value.sizes), hint)
    if value.dtype.kind not in "buif":
        raise invalid(name, "numbers", value.dtype, hint)
    return value


def function(name: str, value: Any, hint: str = "") -> Any:
    """Return an object if it can be called."""
    if not callable(value):
        raise invalid(name, "something that can be called", value, hint)
    return value


def sequence(name: str, value: Any, hint: str = "") -> Sequence[Any]:
    """Return a list or a tuple of at least one entry."""
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)) or not value:
        raise invalid(name, "a list of at least one entry", value, hint)
    return value


def as_expression(name: str, value: Any, hint: str = "") -> sp.Expr:
    """Return a finite number, or an expression of SymPy, as an expression."""
    if not isinstance(value, sp.Expr):
        real(name, value, hint=hint)
        try:
            value = sp.sympify(value, strict=True)  # a text is never run
        except sp.SympifyError as error:
            raise invalid(name, "a finite number or an expression", value, hint) from error
    if not isinstance(value, sp.Expr) or value.has(sp.nan, sp.oo, -sp.oo, sp.zoo):
        raise invalid(name, "a finite number or an expression", value, hint)
    return value


def mapping(name: str, value: Any, hint: str = "") -> Mapping[Any, Any]:
    """Return a mapping of at least one entry that is no Dataset."""
    if not isinstance(value, Mapping) or isinstance(value, xr.Dataset) or not value:
        raise invalid(name, "a mapping of at least one entry", value, hint)
    return value


def _bounds(minimum: float, maximum: float) -> str:
    bounds = [
        f"{sign} {bound:g}"
        for sign, bound in (("≥", minimum), ("≤", maximum))
        if math.isfinite(bound)
    ]
    return f" {' and '.join(bounds)}" if bounds else ""
