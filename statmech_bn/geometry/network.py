r"""A ReLU network as geometry sees it: every layer is affine on each cell of the input's partition.

Layer l computes, from its inputs a (the data, or the ReLU of the layer before),

    z_k = w_k·a + b_k                                     without batch normalization,
    z_k = γ_k (w_k·a + b_k − μ_k)/σ_k + β_k               with given statistics μ, σ,

and unit k has its boundary where z_k = 0. In the layer's own input space that is the hyperplane
w·a = μ − b − βσ/γ; in the space of the data it is folded wherever it crosses a boundary of an
earlier layer.

References
----------
R. Balestriero, R. G. Baraniuk 2022, arXiv:2209.14778.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from statmech_bn.checks import array, check_memory, count, instance, integer, real, sequence
from statmech_bn.errors import invalid
from statmech_bn.normalization.batch import products_of_fields, statistics
from statmech_bn.random.streams import stream


class Normalization(NamedTuple):
    """Statistics and parameters of a batch-normalized layer, each of shape (units,).

    Attributes
    ----------
    mean, deviation : ndarray
        μ_B of the fields, and s = √(σ_B² + ε).
    gamma, beta : ndarray
        γ and β of the map û ↦ γû + β.
    """

    mean: np.ndarray
    deviation: np.ndarray
    gamma: np.ndarray
    beta: np.ndarray


@dataclass(frozen=True)
class Layer:
    """One dense layer.

    Parameters
    ----------
    weights : ndarray
        Shape (units, inputs).
    bias : ndarray
        Shape (units,).
    normalization : Normalization, optional
        None without batch normalization.
    """

    weights: np.ndarray
    bias: np.ndarray
    normalization: Normalization | None = None

    @property
    def affine(self) -> tuple[np.ndarray, np.ndarray]:
        """Matrix and offset of z = Aa + c, normalization included."""
        if self.normalization is None:
            return self.weights, self.bias
        mean, deviation, gamma, beta = self.normalization
        scale = gamma / deviation
        return scale[:, None] * self.weights, scale * (self.bias - mean) + beta


@dataclass(frozen=True)
class ReluNetwork:
    """Dense layers, each followed by ReLU (whether the last one is does not matter here).

    Parameters
    ----------
    layers : tuple of Layer

    Raises
    ------
    InvalidSetup
        Shapes that do not follow upon each other, numbers that are not finite, or σ ≤ 0.

    Examples
    --------
    >>> network = ReluNetwork.random((2, 8, 8), seed=1)
    >>> network.inputs, network.units
    (2, (8, 8))
    """

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        if not all(isinstance(layer, Layer) for layer in sequence("layers", self.layers)):
            raise invalid("layers", "at least one Layer", self.layers)
        layers = tuple(_as_arrays(f"layers[{k}]", layer) for k, layer in enumerate(self.layers))
        inputs = np.shape(layers[0].weights)[-1]
        for number, layer in enumerate(layers):
            units = np.shape(layer.weights)[0]
            vectors = (layer.bias, *(layer.normalization or ()))
            if np.shape(layer.weights) != (units, inputs) or any(
                np.shape(v) != (units,) for v in vectors
            ):
                shapes = [np.shape(v) for v in (layer.weights, *vectors)]
                expected = f"weights of shape (units, {inputs}) and vectors of shape (units,)"
                raise invalid(f"layers[{number}]", expected, shapes)
            if not all(np.isfinite(v).all() for v in (layer.weights, *vectors)):
                raise invalid(f"layers[{number}]", "finite numbers", layer)
            if layer.normalization and not (layer.normalization.deviation > 0).all():
                deviation = layer.normalization.deviation
                raise invalid(f"layers[{number}].normalization.deviation", "> 0", deviation)
            inputs = units
        object.__setattr__(self, "layers", layers)

    @classmethod
    def random(cls, widths: tuple[int, ...], seed: int = 0, bias_scale: float = 0.0) -> ReluNetwork:
        """Draw a network as He et al. initialize it.

        Parameters
        ----------
        widths : tuple of int
            Inputs, and the units of each layer.
        seed : int
        bias_scale : float
            Standard deviation of the biases; the weights' is √(2/inputs).
        """
        if len(sequence("widths", widths)) < 2:
            raise invalid("widths", "the number of inputs and of the units of each layer", widths)
        sizes = [count("widths", width, 1) for width in widths]
        check_memory("widths", float(sum(n * units for n, units in pairwise(sizes))))
        scale = real("bias_scale", bias_scale, minimum=0.0)
        generator = stream(integer("seed", seed, 0))
        return cls(
            tuple(
                Layer(
                    np.sqrt(2 / n) * generator.standard_normal((units, n)),
                    scale * generator.standard_normal(units),
                )
                for n, units in pairwise(sizes)
            )
        )

    @property
    def inputs(self) -> int:
        """Dimension of the input space."""
        return self.layers[0].weights.shape[1]

    @property
    def units(self) -> tuple[int, ...]:
        """Number of units of each layer."""
        return tuple(layer.weights.shape[0] for layer in self.layers)

    def with_batch_statistics(self, data: ArrayLike) -> ReluNetwork:
        """Normalize every layer by the statistics of a batch (γ = 1, β = 0), first layer first.

        Parameters
        ----------
        data : array_like
            Shape (batch, inputs), at least two samples.

        Raises
        ------
        InvalidSetup
            A unit's field does not vary over the batch.
        """
        values = self._points(data)
        if len(values) < 2:
            raise invalid("data", "at least two samples", len(values))
        layers = []
        for number, layer in enumerate(self.layers):
            fields = values @ layer.weights.T + layer.bias
            products = products_of_fields(np, values, layer.weights.T)[0] + np.abs(layer.bias)
            precision = float(np.finfo(float).eps)
            mean, variance = statistics(np, fields, precision, products, lambda h: h.mean(axis=0))
            deviation = np.sqrt(variance)
            if not np.isfinite(deviation).all():
                constant = np.flatnonzero(~np.isfinite(deviation)).tolist()
                expected = f"a batch over which each unit of layer {number} varies"
                raise invalid("data", expected, f"units {constant} of one value")
            ones = np.ones_like(mean)
            normalization = Normalization(mean, deviation, ones, 0 * ones)
            layers.append(replace(layer, normalization=normalization))
            values = np.maximum((fields - mean) / deviation, 0)
        return ReluNetwork(tuple(layers))

    def section(self, origin: ArrayLike, axes: ArrayLike) -> ReluNetwork:
        """Restrict the input space to the points origin + p·axes, with new coordinates p.

        Parameters
        ----------
        origin : array_like
            Shape (inputs,).
        axes : array_like
            Shape (coordinates, inputs); orthonormal rows keep distances.
        """
        start, along = array("origin", origin), array("axes", axes)
        if start.shape != (self.inputs,) or along.ndim != 2 or along.shape[1] != self.inputs:
            expected = f"shapes ({self.inputs},) and (coordinates, {self.inputs})"
            raise invalid("origin, axes", expected, (start.shape, along.shape))
        first, *others = self.layers
        bias = first.bias + first.weights @ start
        return ReluNetwork((replace(first, weights=first.weights @ along.T, bias=bias), *others))

    def fields(self, points: ArrayLike) -> list[np.ndarray]:
        """Return z of each layer, of shape (points, units)."""
        values, found = self._points(points), []
        for layer in self.layers:
            matrix, offset = layer.affine
            found.append(values @ matrix.T + offset)
            values = np.maximum(found[-1], 0)
        return found

    def pattern(self, points: ArrayLike) -> np.ndarray:
        """Return which units are active at each point, shape (points, all units)."""
        return np.concatenate([z > 0 for z in self.fields(points)], axis=1)

    def gradients(self, points: ArrayLike) -> list[np.ndarray]:
        """Return ∂z/∂x of each layer, of shape (points, units, inputs)."""
        fields = self.fields(points)
        first, *later = (layer.affine[0] for layer in self.layers)
        found = [np.broadcast_to(first, (len(fields[0]), *first.shape))]
        for matrix, before in zip(later, fields[:-1], strict=True):
            found.append((matrix * (before > 0)[:, None, :]) @ found[-1])
        return found

    def _points(self, points: ArrayLike) -> np.ndarray:
        values = array("points", points, 2)
        if values.shape[1] != self.inputs:
            raise invalid("points", f"finite numbers of shape (points, {self.inputs})", values)
        return values


def _as_arrays(name: str, layer: Layer) -> Layer:
    """Return a layer whose parts are arrays of finite numbers."""
    normalization = layer.normalization
    if normalization is not None:
        instance(f"{name}.normalization", normalization, Normalization)
        parts = zip(Normalization._fields, normalization, strict=True)
        normalization = Normalization(
            *(array(f"{name}.normalization.{part}", value, 1) for part, value in parts)
        )
    weights, bias = array(f"{name}.weights", layer.weights, 2), array(f"{name}.bias", layer.bias, 1)
    return Layer(weights, bias, normalization)
