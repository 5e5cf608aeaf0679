"""Population normalization: φ = γ (h − μ_P)/σ_P with the true moments of the inputs.

With inputs of the mean m and the covariance Σ, μ_P = w·m/√N and σ_P² = w'Σw/N. On centred and
isotropic inputs it is weight normalization (Luo, Wang, Shao, Peng 2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from statmech_bn.normalization.base import Normalization


@dataclass(frozen=True)
class PopulationNormalization(Normalization):
    """The field by its true mean and spread; the step loses its part along Σw."""

    kind: ClassVar[str] = "population"
    by_length: ClassVar[bool] = True
    by_covariance: ClassVar[bool] = True
