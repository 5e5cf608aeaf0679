"""Weight normalization: φ = γ h/L with L = |w|/√N (Salimans & Kingma 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from statmech_bn.normalization.base import Normalization


@dataclass(frozen=True)
class WeightNormalization(Normalization):
    """The field over the length of the weights; the step loses its part along w."""

    kind: ClassVar[str] = "weight"
    by_length: ClassVar[bool] = True
