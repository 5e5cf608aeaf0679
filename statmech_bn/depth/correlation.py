r"""Correlation of two inputs through the layers of a wide random network.

A layer takes the variance q and the correlation c of two inputs' fields to

    q' = σ_w² E[g(√q u)²] + σ_b²,    q'c' = σ_w² E[g(√q u) g(√q v)] + σ_b²,

with weights of variance σ_w²/width and biases of variance σ_b². With batch normalization of the
fields, over a large batch of otherwise unrelated inputs, q = 1 and

    c' = (κ(c) − κ(0))/(κ(1) − κ(0)),    κ(c) = E[g(u) g(v)],

whatever σ_w and σ_b are: what all inputs have in common is subtracted. c = 1 and c = 0 are then
fixed, and c = 1 repels for every nonlinear g: inputs that are alike grow different, where without
normalization c = 1 attracts if χ ≤ 1: deep features forget the input.

In a batch of B inputs, two of which have correlation c, both are part of the mean and the spread
that they are normalized by. Centred rows of the correlation matrix sum to zero, so either has
−(1 + c)/B with each other input. With f the map at B → ∞ and s = f'(0), to order 1/B,

    c' = f − (1/B) [(1 − f)(1 + 2f − s − 2sc) + 2f(1 − f²)],

the first term from the mean, the second from the spread of Gaussian fields. (This project's.)

χ = σ_w² E[g'(√q u)²], or E[g'²]/Var g with batch normalization, is the slope of the map at c = 1,
and the factor by which the mean square of a gradient grows through a layer on the way back. Over B
samples it is larger: `statmech_bn.depth.finite_batch` has it, and the end of the correlations, at
any B ≥ 4.

Sources: Poole et al. 2016, Schoenholz et al. 2017; Yang et al. 2019 with batch normalization.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import sympy as sp
import xarray as xr
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from statmech_bn.activations import Activation
from statmech_bn.activations import activation as as_activation
from statmech_bn.checks import array, check_memory, count, instance, real, vector
from statmech_bn.dataset import describe
from statmech_bn.depth.finite_batch import SMALLEST_BATCH, batch_fixed_point
from statmech_bn.depth.kernel import kernel
from statmech_bn.errors import NotConverged, invalid
from statmech_bn.normalization import Normalization
from statmech_bn.symbolic.correlation_map import layer_normalization

SMALLEST_VARIANCE = 1e-300
"""Products of smaller ones vanish."""
LARGEST_VARIANCE = 1e300
"""Products of larger ones overflow."""
MARGINAL = 1e-7
"""A slope this close to 1 counts as 1."""


@dataclass(frozen=True)
class Layer:
    """A wide random layer.

    Parameters
    ----------
    activation : str, sympy.Expr or Activation
    normalization : {"none", "batch"}
    weight_variance : float, optional
        σ_w² > 0; by default the one that keeps fields of variance 1. Of no influence under batch
        normalization.
    bias_variance : float
        σ_b² ≥ 0, below 1 if `weight_variance` is not given.
    batch_size : int, optional
        B ≥ 3 of batch normalization, by default infinite. Correlations are corrected to order
        1/B; fixed point and growth of gradients are those of B samples.

    Raises
    ------
    InvalidSetup
        An argument is outside of its range.
    """

    activation: Activation
    normalization: str
    weight_variance: float
    bias_variance: float
    batch_size: int | None

    def __init__(
        self,
        activation: str | sp.Expr | Activation,
        normalization: str = "none",
        weight_variance: float | None = None,
        bias_variance: float = 0.0,
        batch_size: int | None = None,
    ) -> None:
        g = as_activation(activation)
        rule = layer_normalization(normalization)
        bias = real("bias_variance", bias_variance, minimum=0.0)
        if weight_variance is None:
            if bias >= 1:
                raise invalid("bias_variance", "less than 1, or a weight_variance", bias)
            weight_variance = (1 - bias) / float(kernel(g, 1.0))
        weight = real("weight_variance", weight_variance, minimum=0.0)
        if weight == 0:
            raise invalid("weight_variance", "a number > 0", weight)
        if batch_size is not None:
            batch_size = count("batch_size", batch_size, 3)
        values = {"activation": g, "normalization": rule.name, "batch_size": batch_size}
        for name, value in {**values, "weight_variance": weight, "bias_variance": bias}.items():
            object.__setattr__(self, name, value)

    @property
    def normalizer(self) -> Normalization:
        """The normalization as an object."""
        return layer_normalization(self.normalization)

    def next_variance(self, variance: ArrayLike) -> np.ndarray:
        """Return q'; 1 under batch normalization."""
        if self.normalizer.of_batch:
            return np.ones_like(np.asarray(variance, dtype=float))
        return self.weight_variance * kernel(self.activation, 1.0, variance) + self.bias_variance

    def next_correlation(self, correlation: ArrayLike, variance: ArrayLike = 1.0) -> np.ndarray:
        """Return c' of two inputs whose fields have variance q and correlation c."""
        g = self.activation
        if self.normalizer.of_batch:
            common, own = kernel(g, 0.0), kernel(g, 1.0)
            mapped = (kernel(g, correlation) - common) / (own - common)
            if self.batch_size is None:
                return mapped
            slope = kernel(g, 0.0, slopes=True) / (own - common)
            mean = (1 - mapped) * (1 + 2 * mapped - slope * (1 + 2 * np.asarray(correlation)))
            return mapped - (mean + 2 * mapped * (1 - mapped**2)) / self.batch_size
        q = array("variance", variance, None, SMALLEST_VARIANCE, LARGEST_VARIANCE)
        shared = self.weight_variance * kernel(g, correlation, q) + self.bias_variance
        return shared / self.next_variance(q)

    def slope(self, correlation: ArrayLike, variance: ArrayLike = 1.0) -> np.ndarray:
        """Return dc'/dc, by Price's theorem an average of slopes; for infinite batches."""
        g = self.activation
        if self.normalizer.of_batch:
            return kernel(g, correlation, 1.0, slopes=True) / (kernel(g, 1.0) - kernel(g, 0.0))
        q = array("variance", variance, None, SMALLEST_VARIANCE, LARGEST_VARIANCE)
        scale = self.weight_variance * q / self.next_variance(q)
        return scale * kernel(g, correlation, q, slopes=True)

    def gradient_multiplier(self, variance: ArrayLike = 1.0) -> np.ndarray:
        """Return χ, by which a gradient's mean square grows on its way back; infinite for B = 3."""
        if self.normalizer.of_batch:
            return np.broadcast_to(self._batch_multiplier(), np.shape(variance))
        return self.weight_variance * kernel(self.activation, 1.0, variance, slopes=True)

    def _batch_multiplier(self) -> float:
        if self.batch_size is None:
            return float(self.slope(1.0))
        if self.batch_size < SMALLEST_BATCH:
            return np.inf
        return batch_fixed_point(self.activation, self.batch_size).gradient_multiplier


@dataclass(frozen=True)
class FixedPoint:
    """Where the correlation of two inputs goes.

    Attributes
    ----------
    correlation, variance : float
        c* and q*.
    slope : float
        dc'/dc there: |c − c*| shrinks by this factor in each layer; where it is 1, as a power.
    """

    correlation: float
    variance: float
    slope: float


def propagate(
    layer: Layer, correlation: ArrayLike, depth: int, variance: float = 1.0
) -> xr.Dataset:
    """Follow correlations through layers of one kind.

    Parameters
    ----------
    layer : Layer
    correlation : array_like
        c of the inputs' fields, of one dimension.
    depth : int
        Number of layers, ≥ 1.
    variance : float
        q of the inputs' fields; 1 after batch normalization.

    Returns
    -------
    xarray.Dataset
        ``correlation`` (start, depth), ``variance`` and ``gradient_multiplier`` (depth).

    Examples
    --------
    >>> propagate(Layer("relu"), [0.0, 0.5], depth=50)["correlation"].isel(depth=-1).values.round(2)
    array([0.99, 0.99])
    """
    instance("layer", layer, Layer)
    depth = count("depth", depth, 1)
    given = real("variance", variance, SMALLEST_VARIANCE, LARGEST_VARIANCE)
    first = 1.0 if layer.normalizer.of_batch else given
    start = vector("correlation", correlation, -1.0, 1.0)
    check_memory("correlation, depth", (start.size + 3.0) * depth)
    c = np.empty((start.size, depth + 1))
    q = np.empty(depth + 1)
    q[0], c[:, 0] = first, start
    for level in range(depth):
        q[level + 1] = layer.next_variance(q[level])
        c[:, level + 1] = np.clip(layer.next_correlation(c[:, level], q[level]), -1.0, 1.0)
    data = {
        "correlation": (("start", "depth"), c),
        "variance": ("depth", q),
        "gradient_multiplier": ("depth", layer.gradient_multiplier(q)),
    }
    coordinates = {"start": start, "depth": np.arange(depth + 1)}
    attributes = layer_attributes(layer) | {"level": "macroscopic"}
    return describe(xr.Dataset(data, coordinates, attributes))


def fixed_point(layer: Layer, scan: int = 200) -> FixedPoint:
    """Find the correlation at which those of almost all pairs of inputs end.

    The variance comes first. Then c = 1 if its slope is at most 1, else the largest c < 1 at which
    the map crosses c' = c from above. All samples of a batch of B end at c = −1/(B − 1).

    Parameters
    ----------
    layer : Layer
    scan : int
        Points in [0, 1) between which a crossing is looked for.

    Returns
    -------
    FixedPoint

    Raises
    ------
    NotConverged
        The variance or the correlation has no stable fixed point.
    InvalidSetup
        The batch has less than four samples.

    Examples
    --------
    >>> fixed_point(Layer("relu", "batch")).correlation
    0.0
    """
    if instance("layer", layer, Layer).normalizer.of_batch and layer.batch_size:
        found = batch_fixed_point(layer.activation, layer.batch_size)
        return FixedPoint(-1 / (layer.batch_size - 1), 1.0, float(found.slope or 0.0))
    q = _fixed_variance(layer)
    slope = float(layer.slope(1.0, q))
    if slope <= 1 + MARGINAL:
        return FixedPoint(1.0, q, slope)
    if layer.normalizer.of_batch:
        return FixedPoint(0.0, 1.0, float(layer.slope(0.0)))

    def excess(c: float) -> float:
        return float(layer.next_correlation(c, q)) - c

    points = np.sqrt(np.linspace(0, 1 - 1e-6, count("scan", scan, 2)))
    values = np.array([excess(c) for c in points])
    if abs(values[0]) < 1e-12:  # an odd activation without bias leaves unrelated inputs unrelated
        return FixedPoint(0.0, q, float(layer.slope(0.0, q)))
    crossings = np.flatnonzero((values[:-1] > 0) & (values[1:] <= 0))
    if crossings.size == 0:
        raise NotConverged("The correlation map has no stable fixed point in [0, 1].")
    k = crossings[-1]
    c = float(brentq(excess, points[k], points[k + 1], xtol=1e-13))
    return FixedPoint(c, q, float(layer.slope(c, q)))


def _fixed_variance(layer: Layer) -> float:
    """Iterate the variance from 1 until it stays."""
    q = 1.0
    for _ in range(10_000):
        following = float(layer.next_variance(q))
        if not 1e-12 < following < 1e12:
            break
        if abs(following - q) < 1e-12 * q:
            return following
        q = following
    raise NotConverged(
        f"The variance of the fields goes to {'zero' if q < 1 else 'infinity'} with depth, "
        "or takes more than 10000 layers to settle."
    )


def layer_attributes(layer: Layer) -> dict[str, object]:
    """Return Dataset attributes that say which layers they were."""
    return {
        "activation": layer.activation.to_text(),
        "normalization": layer.normalization,
        "weight_variance": layer.weight_variance,
        "bias_variance": layer.bias_variance,
    }
