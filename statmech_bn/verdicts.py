"""What measurements say of a claim: one rule for all of them.

A mean over replicas is *away* from what is claimed if it is so by more than three standard errors.
Two things make that limit wider, at the same probability p = erfc(3/√2) of a false alarm:

- few replicas: their standard error is itself uncertain, so it is Student's t that decides;
- several comparisons, n of them, of which the worst decides: each has 1 − (1 − p)^(1/n) (Šidák,
  J. Am. Stat. Assoc. 62, 626, 1967).

A claim is put as an *effect*, positive in the direction that is claimed, and where it states a
number or a law also as a *rest*, the measured value less the stated one. With "seen" meaning beyond
the limit at one point at least,

    effect seen, never against the claim, and no rest    reproduced
    effect seen, but also against it, or a rest          with a correction
    effect seen against the claim alone                  the opposite
    no effect, and a rest                                fails
    neither                                              not seen
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

import numpy as np
import xarray as xr
from scipy.special import stdtrit

from statmech_bn.checks import count, data_array, instance
from statmech_bn.errors import invalid

__all__ = ["decide", "distances", "judge", "limit", "mean_and_error"]

EXPECTED = r"[=>][-+]?[0-9.]+(e[-+]?[0-9]+)?"
ROUNDING = 1e-9
"""Numbers that differ by less than this are equal, whatever their errors."""


def limit(replicas: int, comparisons: int = 1) -> float:
    """Return how many standard errors a mean must be away from a claim to contradict it.

    Parameters
    ----------
    replicas : int
        Independent values of the mean, at least 2.
    comparisons : int
        Number of means, of which the farthest decides.

    Returns
    -------
    float
        The limit, in units of the standard error.

    Raises
    ------
    InvalidSetup
        There are less than two replicas, or no comparison.

    Examples
    --------
    >>> [round(limit(n), 1) for n in (2, 3, 5, 8, 16, 1000)]
    [235.8, 19.2, 6.6, 4.5, 3.6, 3.0]
    >>> round(limit(1000, comparisons=40), 1)
    4.0
    """
    replicas = count("replicas", replicas, 2, "A standard error needs at least 2.")
    comparisons = count("comparisons", comparisons)
    alarm = -math.expm1(math.log1p(-math.erfc(3 / math.sqrt(2))) / comparisons)
    return -float(stdtrit(replicas - 1, alarm / 2))


def distances(points: xr.DataArray | Iterable[xr.DataArray]) -> np.ndarray:
    """Return means over replicas, in units of what is still compatible with zero.

    Parameters
    ----------
    points : xarray.DataArray or several
        Over ``replica``, and any other dimensions, whose every place is a point. Without
        ``replica`` a value is theory and has no error.

    Returns
    -------
    numpy.ndarray, shape (points,)
        Beyond ±1 a point is away from zero, all points considered.

    Raises
    ------
    InvalidSetup
        There is no point, less than two replicas, or a value is not finite.
    """
    try:
        arrays = [points] if isinstance(points, xr.DataArray) else list(points)
    except TypeError as refused:
        raise invalid("points", "a DataArray or several", points) from refused
    arrays = [data_array("points", a, ()).astype(float) for a in arrays]
    total = sum(a.size // a.sizes.get("replica", 1) for a in arrays)
    if not total:
        raise invalid("points", "at least one", arrays)
    if not all(np.isfinite(a).all() for a in arrays):
        raise invalid("points", "finite values", "others", "Leave them out, or take their ranks.")
    found = []
    for array in arrays:
        mean, allowed = array, xr.zeros_like(array)
        if "replica" in array.dims:
            most = limit(array.sizes["replica"], total)
            mean, error = mean_and_error(array)
            allowed = most * error
        found.append((mean / np.maximum(allowed, ROUNDING)).values.ravel())
    return np.concatenate(found)


def decide(
    effect: xr.DataArray | Iterable[xr.DataArray],
    rest: xr.DataArray | Iterable[xr.DataArray] | None = None,
) -> str:
    """Say what becomes of a claim.

    Parameters
    ----------
    effect : xarray.DataArray or several
        As for `distances`; positive where the claim is right about the direction.
    rest : xarray.DataArray or several, optional
        Measured less claimed, where a number or a law is claimed.

    Returns
    -------
    str
        "reproduced", "with a correction", "the opposite", "fails" or "not seen".
    """
    away = distances(effect)
    seen, against = bool((away > 1).any()), bool((away < -1).any())
    missed = rest is not None and bool((np.abs(distances(rest)) > 1).any())
    if seen:
        return "with a correction" if against or missed else "reproduced"
    if against:
        return "the opposite"
    return "fails" if missed else "not seen"


def judge(values: xr.DataArray, expected: str, comparisons: int = 1) -> tuple[float, float, str]:
    """Compare the mean of independent values with a claim about it alone.

    Parameters
    ----------
    values : xarray.DataArray
        One for each replica.
    expected : str
        An equality "=1", which holds within the errors, or an effect ">0", which must be seen
        beyond them.
    comparisons : int
        How many such values the claim is judged by; see `limit`.

    Returns
    -------
    mean, error : float
        The mean and its standard error.
    verdict : str
        "reproduced", "with a correction", "the opposite" or "not seen".
    """
    data_array("values", values, ())
    if not np.isfinite(values).all():
        raise invalid("values", "finite values", values)
    if not isinstance(expected, str) or not re.fullmatch(EXPECTED, expected):
        raise invalid("expected", "'=' or '>' and a number", expected, "Such as '=1' or '>0'.")
    count("values", values.size, 2, "A standard error needs at least 2.")
    replicas = xr.DataArray(values.values.ravel().astype(float), dims="replica")
    mean, error = (float(part) for part in mean_and_error(replicas))
    away = mean - float(expected.lstrip("=>"))
    seen = abs(away) > max(limit(values.size, comparisons) * error, ROUNDING)
    if expected.startswith("="):
        return mean, error, "with a correction" if seen else "reproduced"
    return mean, error, ("reproduced" if away > 0 else "the opposite") if seen else "not seen"


def mean_and_error(values: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Return the mean and its standard error, over the replicas that have a value.

    Parameters
    ----------
    values : xarray.DataArray
        Values over ``replica``, and possibly other dims.

    Returns
    -------
    mean, error : xarray.DataArray
        Without ``replica``, in the units of the values; NaN where no replica has a value, and the
        error where only one has.

    Raises
    ------
    InvalidSetup
        There are no numbers over ``replica``.
    """
    instance("values", values, xr.DataArray)
    if "replica" not in values.dims or values.dtype.kind not in "iuf":
        raise invalid("values", "numbers over the dimension 'replica'", values)
    replicas = values.notnull().sum("replica")
    return values.mean("replica"), values.std("replica", ddof=1) / np.sqrt(replicas)
