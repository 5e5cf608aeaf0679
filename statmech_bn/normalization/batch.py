r"""Batch normalization: φ = γ (h − μ_B)/σ_B with the mean and the spread of a step's M fields.

Gradients flow through both (Ioffe & Szegedy 2015): with û = (h − μ_B)/σ_B and g = ∂ℓ/∂û, the
pullback is P g/σ_B with the projector off 1 and û,

    P g = g − mean g − û mean(g û).

Neither |w| nor a constant can therefore be learned: Σ (P g)_m = 0 and Σ (P g)_m h_m = 0. Fields of
one or two samples are always ±1 after it; and E[1/σ_B²], the noise of a step, is infinite below
four.

Equal samples teach nothing: û = 0, and no step is made. A product of N terms rounds their sum to
about ε|x||w|, in another order for each row, so that the fields x·w of equal samples may differ by
that much. A spread below `ROUNDING` of it counts as none, which an infinite σ_B expresses: û and
P g/σ_B are then 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from statmech_bn.normalization.base import Array, Normalization

ROUNDING = 4.0
"""Spread of the fields x·w of equal samples, at most, in units of ε|x||w|."""


@dataclass(frozen=True)
class BatchNormalization(Normalization):
    """The field by mean and spread of all samples of a step."""

    kind: ClassVar[str] = "batch"
    smallest_group: ClassVar[int] = 3
    smallest_group_of_flow: ClassVar[int] = 4

    def group(self, batch_size: Any) -> Any:
        """Return M: all samples of a step share their statistics."""
        return batch_size


def without_rounding(xp: Any, variance: Array, rounding: Array) -> Array:
    """Return the variance of fields, infinite where it is nothing but rounding.

    Parameters
    ----------
    xp : module
        The library of the arrays.
    variance : array
        σ_B².
    rounding : array or float
        Spread of equal samples' fields, `ROUNDING` ε|x||w|; it broadcasts with the variance.
    """
    return xp.where(variance > rounding**2, variance, xp.full_like(variance, xp.inf))


def project(gradient: Array, normalized: Array, mean: Callable[[Array], Array]) -> Array:
    """Return P g, what of a gradient passes back through the statistics.

    Parameters
    ----------
    gradient, normalized : array
        g and û, of one shape.
    mean : callable
        Mean over the samples that share statistics, broadcastable to that shape.

    Examples
    --------
    >>> import numpy as np
    >>> u = np.array([-1.0, 0.0, 1.0]) * np.sqrt(1.5)
    >>> project(np.array([1.0, 0.0, 0.0]), u, np.mean).sum().round(12)
    np.float64(0.0)
    """
    return gradient - mean(gradient) - normalized * mean(gradient * normalized)
