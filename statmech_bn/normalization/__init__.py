"""Normalizations as objects: one module each, the only room that knows them by name.

`statmech_bn.normalization.base` says what one has to say of itself.
"""

from __future__ import annotations

import re

from statmech_bn.errors import closest, invalid
from statmech_bn.normalization.base import Normalization
from statmech_bn.normalization.batch import BatchNormalization, project
from statmech_bn.normalization.ghost import GhostBatches
from statmech_bn.normalization.none import Unnormalized
from statmech_bn.normalization.population import PopulationNormalization
from statmech_bn.normalization.weight import WeightNormalization

__all__ = [
    "BatchNormalization",
    "GhostBatches",
    "NAMED",
    "Normalization",
    "PopulationNormalization",
    "Unnormalized",
    "WITH_SIZE",
    "WeightNormalization",
    "normalization",
    "project",
]

NAMED: dict[str, Normalization] = {
    rule.kind: rule
    for rule in (
        Unnormalized(),
        WeightNormalization(),
        PopulationNormalization(),
        BatchNormalization(),
    )
}
"""A word alone describes each of these normalizations."""
WITH_SIZE = {GhostBatches.kind: GhostBatches}
"""A word and a number of samples describe each of these."""


def normalization(description: str | Normalization) -> Normalization:
    """Return the normalization that a text describes.

    Parameters
    ----------
    description : str or Normalization
        "none", "weight", "population", "batch", or "ghost(8)" for groups of 8 samples.

    Returns
    -------
    Normalization

    Raises
    ------
    InvalidSetup
        There is none of that name.

    Examples
    --------
    >>> normalization("ghost(8)")
    GhostBatches(size=8)
    """
    if isinstance(description, Normalization):
        return description
    if isinstance(description, str):
        if description in NAMED:
            return NAMED[description]
        sized = re.fullmatch(r"(\w+)\(([1-9]\d{0,8})\)", description, re.ASCII)
        if sized and sized[1] in WITH_SIZE:
            return WITH_SIZE[sized[1]](int(sized[2]))
    names = [*NAMED, *(f"{name}(8)" for name in WITH_SIZE)]
    raise invalid(
        "normalization", f"one of {', '.join(names)}", description, closest(description, names)
    )
