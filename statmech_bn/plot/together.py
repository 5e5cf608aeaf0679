"""Results that are drawn together and do not belong together: another setup, start or inputs.

They are drawn all the same, as such a comparison may be meant. But it is said, by a warning and in
the legend: a theory of isotropic inputs beside data, say, or of another batch size.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import xarray as xr

from statmech_bn.errors import FigureWarning, InvalidStore
from statmech_bn.untrusted import from_json

LONGEST_LEGEND = 12
"""A legend names at most so many values."""


def what_differs(results: Sequence[xr.Dataset]) -> list[str]:
    """Name what of the setup, the start, the schedule and the inputs is not the same for all.

    Results whose attributes do not hold a setup, such as those of a sweep over several, are left
    out.
    """
    described = [_described(result) for result in results if "setup" in result.attrs]
    names = dict.fromkeys(name for found in described for name in found)
    said = {name: {found[name] for found in described if name in found} for name in names}
    return [name for name in names if len(said[name]) > 1]


def warn_of_differences(results: Sequence[xr.Dataset]) -> list[str]:
    """Return what differs, with a warning if anything does."""
    names = what_differs(results)
    if names:
        warnings.warn(
            f"The results in one panel differ in {', '.join(names)}: they need not agree.",
            FigureWarning,
            stacklevel=3,
        )
    return names


def some_of(handles: Sequence[Any]) -> list[Any]:
    """Return at most `LONGEST_LEGEND` handles, evenly spread, with the first and the last."""
    number = len(handles)
    if number <= LONGEST_LEGEND:
        return list(handles)
    last = LONGEST_LEGEND - 1
    return [handles[round(k * (number - 1) / last)] for k in range(LONGEST_LEGEND)]


def _described(result: xr.Dataset) -> dict[str, str]:
    """Write what a result follows from; what is not said is Gaussian, isotropic and constant."""
    attributes = result.attrs
    parts = from_json(attributes["setup"], "attrs['setup']")
    if not isinstance(parts, dict):
        raise InvalidStore("attrs['setup'] does not describe a setup.")
    setup = {name: str(value) for name, value in parts.items()}
    inputs = str(attributes.get("spectrum", attributes.get("inputs", "Gaussian")))
    start = {"start": str(attributes["start"])} if "start" in attributes else {}  # measured: none
    return {**setup, **start, "schedule": str(attributes.get("schedule", "")), "inputs": inputs}
