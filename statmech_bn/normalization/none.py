"""No normalization: φ = h."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import sympy as sp

from statmech_bn.normalization.base import Normalization


@dataclass(frozen=True)
class Unnormalized(Normalization):
    """The field itself, without a scale γ."""

    kind: ClassVar[str] = "none"
    has_scale: ClassVar[bool] = False

    def phi(self, h: sp.Expr, square: sp.Expr, gamma: sp.Expr) -> sp.Expr:
        """Return the field."""
        return h
