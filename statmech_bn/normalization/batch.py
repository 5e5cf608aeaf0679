r"""Batch normalization: φ = γ (h − μ_B)/σ_B with the mean and the spread of a step's M fields.

Gradients flow through both (Ioffe & Szegedy 2015): with û = (h − μ_B)/σ_B and g = ∂ℓ/∂û, the
pullback is P g/σ_B with the projector off 1 and û,

    P g = g − mean g − û mean(g û).

Neither |w| nor a constant can therefore be learned: Σ (P g)_m = 0 and Σ (P g)_m h_m = 0. Fields of
one or two samples are always ±1 after it; and E[1/σ_B²], the noise of a step, is infinite below
four.

Equal samples teach nothing: û = 0, and no step is made. A library adds the N terms of a field x·w
in another order for another row, so that the fields of equal samples differ by their rounding: by
less than ε|x||w| where the terms have both signs and their partial sums walk, and by up to about
50 ε|x·w| where they have one sign, N is large, and each addition rounds the same way. A spread of
at most

    ε (ROUNDING |x||w| + ROUNDING_OF_SUM |x·w|)

counts as none, which an infinite σ_B expresses: û and P g/σ_B are then 0. Both sides grow like |w|
and like |x|, so that neither scale matters; a spread of 10⁻⁹ of the fields is still learned from in
double precision. The mean over the batch is corrected by the mean of the differences from it:
otherwise the rounding of a long sum over the samples would look like spread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from statmech_bn.normalization.base import Array, Normalization

ROUNDING, ROUNDING_OF_SUM = 4.0, 64.0
"""Fields of equal samples spread by at most the sum of so many ε|x||w| and ε|x·w|."""


@dataclass(frozen=True)
class BatchNormalization(Normalization):
    """The field by mean and spread of all samples of a step."""

    kind: ClassVar[str] = "batch"
    smallest_group: ClassVar[int] = 3
    smallest_group_of_flow: ClassVar[int] = 4

    def group(self, batch_size: Any) -> Any:
        """Return M: all samples of a step share their statistics."""
        return batch_size


def rounding_of_fields(precision: float, products: Array, field: Array) -> Array:
    """Return the largest spread of equal samples' fields.

    Parameters
    ----------
    precision : float
        ε of the numbers that the fields were computed with.
    products : array or float
        |x||w| of the longest sample, and of each unit; 0 for fields that are given, not computed.
    field : array or float
        x·w, such as its mean.
    """
    return precision * (ROUNDING * products + ROUNDING_OF_SUM * abs(field))


def statistics(
    xp: Any,
    fields: Array,
    precision: float,
    products: Array,
    mean: Callable[[Array], Array],
) -> tuple[Array, Array]:
    """Return μ_B and σ_B² of fields; σ_B² is infinite where it is nothing but rounding.

    Parameters
    ----------
    xp : module
        The library of the arrays.
    fields : array
    precision, products
        As in :func:`rounding_of_fields`.
    mean : callable
        Mean over the samples that share statistics, broadcastable to the shape of the fields.

    Examples
    --------
    >>> import numpy as np
    >>> fields = np.array([[1.0, 0.1], [3.0, 0.1], [5.0, 0.1]])
    >>> statistics(np, fields, 2.2e-16, 1.0, lambda h: h.mean(axis=0))[1].round(2)
    array([2.67,  inf])
    """
    centre = mean(fields)
    centre = centre + mean(fields - centre)
    variance = mean((fields - centre) ** 2)
    rounding = rounding_of_fields(precision, products, centre)
    return centre, xp.where(variance <= rounding**2, xp.full_like(variance, xp.inf), variance)


def products_of_fields(xp: Any, samples: Array, weights: Array) -> Array:
    """Return |x||w| of the longest sample and each unit, (R, 1, K) of float64.

    Parameters
    ----------
    xp : module
        The library of the arrays.
    samples : array, (R, M, N)
    weights : array, (R, N, K)
    """
    squares = xp.sum(samples * samples, axis=-1, keepdims=True, dtype=xp.float64)
    longest = xp.max(squares, axis=-2, keepdims=True)
    return (longest * xp.sum(weights * weights, axis=-2, keepdims=True, dtype=xp.float64)) ** 0.5


def project(gradient: Array, normalized: Array, mean: Callable[[Array], Array]) -> Array:
    """Return P g, what of a gradient passes back through the statistics.

    Parameters
    ----------
    gradient, normalized : array
        g and û, of one shape.
    mean : callable
        Mean over the samples that share statistics, broadcastable to that shape.

    Returns
    -------
    array
        P g = g − mean g − û mean(gû), of that shape.

    Examples
    --------
    >>> import numpy as np
    >>> u = np.array([-1.0, 0.0, 1.0]) * np.sqrt(1.5)
    >>> project(np.array([1.0, 0.0, 0.0]), u, np.mean).sum().round(12)
    np.float64(0.0)
    """
    return gradient - mean(gradient) - normalized * mean(gradient * normalized)
