"""A measured number as LaTeX, and a claim that it decides.

Values go through siunitx: ``0.744(5)`` is a mean with its standard error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

import statmech_bn as sbn
from statmech_bn.errors import InvalidStore, invalid
from statmech_bn.study import mean_and_error

VERDICTS = {
    "reproduced": "holds",
    "with a correction": "corrected",
    "the opposite": "opposite",
    "fails": "fails",
    "not seen": "not seen",
}
"""The paper has these words for those of `statmech_bn.study.decide`."""
FEW = 5
"""A claim that rests on fewer replicas than this says so."""

Points = xr.DataArray | Sequence[xr.DataArray]
"""Points are values over replicas, at one place or several; see `statmech_bn.study.decide`."""


@dataclass(frozen=True)
class Claim:
    """One row of the paper's table.

    Parameters
    ----------
    text : str
        What is claimed, LaTeX.
    source : str
        Key of the bibliography.
    asked : str
        What must be positive, and if a number or a law is claimed, what must vanish; LaTeX.
    verdict : str
        A value of `VERDICTS`.
    number : str
        What was measured, LaTeX.
    """

    text: str
    source: str
    asked: str
    verdict: str
    number: str

    def __post_init__(self) -> None:
        known = tuple(VERDICTS.values())
        if self.verdict not in known:
            raise invalid("verdict", f"one of {', '.join(known)}", self.verdict)


def judged(
    text: str, source: str, asked: str, number: str, effect: Points, rest: Points | None = None
) -> Claim:
    """Let the rule of `statmech_bn.study.decide` judge a claim."""
    arrays = [effect] if isinstance(effect, xr.DataArray) else list(effect)
    arrays += [] if rest is None else [rest] if isinstance(rest, xr.DataArray) else list(rest)
    replicas = min((a.sizes["replica"] for a in arrays if "replica" in a.dims), default=FEW)
    few = " (few replicas)" if replicas < FEW else ""
    return Claim(text, source, asked, VERDICTS[sbn.study.decide(effect, rest)], number + few)


def number(value: float, error: float | None = None, digits: int = 3) -> str:
    r"""Print a measured value, rounded to its error or to a number of digits.

    Parameters
    ----------
    value : float
    error : float, optional
        Standard error; two of its digits are kept if it begins with 1, else one.
    digits : int
        Significant digits of a value without an error.

    Raises
    ------
    InvalidStore
        The value is not finite: its store has a hole.

    Examples
    --------
    >>> number(0.74382, 0.0049), number(2.0, 0.015), number(0.5), number(1234.5)
    ('\\num{0.744(5)}', '\\num{2.000(15)}', '\\num{0.500}', '\\num{1230}')
    >>> number(2.3e-16, digits=1), number(120.3, 14.0), number(-0.001, 0.02)
    ('\\num{2e-16}', '\\num{120(14)}', '\\num{0.00(2)}')
    """
    if not (math.isfinite(value) and (error is None or math.isfinite(error))):
        raise InvalidStore(f"A number of the paper is {value} ± {error}: a store has a hole.")
    if not error:
        text = f"{value:#.{digits}g}".rstrip(".")
        mantissa, exponent, power = text.partition("e")
        if power.startswith("+0") and int(power) < 6:
            text = f"{float(text):.0f}"
        elif exponent:
            text = f"{mantissa.rstrip('.')}e{int(power)}"
        return rf"\num{{{text}}}"
    exponent = math.floor(math.log10(error))
    kept = 1 if error / 10**exponent < 1.95 else 0
    places = max(0, kept - exponent)
    units = round(error * 10**places)
    return rf"\num{{{round(value, places) + 0.0:.{places}f}({units})}}"


def setting(value: float) -> str:
    """Print what was chosen, as short as it is."""
    return rf"\num{{{float(value):g}}}"


def power(value: float) -> str:
    """Print the order of magnitude."""
    return rf"$10^{{{math.log10(value):.0f}}}$"


def count(value: float) -> str:
    """Print an integer."""
    return rf"\num{{{round(float(value))}}}"


def mean(values: xr.DataArray) -> tuple[float, float]:
    """Return the mean over replicas and its standard error; NaN if a replica has no value."""
    average, error = mean_and_error(values.where(values.notnull().all()))
    return float(average), float(error)


def averaged(values: xr.DataArray) -> str:
    """Print the mean over replicas with its standard error."""
    return number(*mean(values))


def logarithmic_slope(values: xr.DataArray) -> xr.DataArray:
    """Fit d ln(values)/d ln η in each replica and at each other coordinate."""
    rates = np.log(values["learning_rate"])
    centred = rates - rates.mean()
    return (centred * np.log(values)).sum("learning_rate") / (centred**2).sum()
