"""The correlation of two inputs measured in wide random networks.

Inputs come in pairs whose fields have the asked correlation exactly. With batch normalization they
are part of a batch of unrelated inputs, which is normalized at every layer.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from statmech_bn.activations import z
from statmech_bn.checks import count, instance, integer, real, vector
from statmech_bn.codegen import numpy_function
from statmech_bn.dataset import describe
from statmech_bn.depth.correlation import Layer, layer_attributes
from statmech_bn.online.arguments import stream


def measure_correlation(
    layer: Layer,
    correlation: ArrayLike,
    depth: int,
    width: int = 500,
    networks: int = 8,
    pairs: int = 4,
    batch_size: int = 256,
    variance: float = 1.0,
    seed: int = 0,
) -> xr.Dataset:
    """Follow pairs of inputs through random networks.

    Parameters
    ----------
    layer : Layer
    correlation : array_like
        c of the inputs' fields, of one dimension.
    depth : int
        Number of layers.
    width : int
        Units of a layer. The correlation has fluctuations of order (depth/width)^½.
    networks : int
        Independent networks.
    pairs : int
        Pairs of inputs for each correlation, over which each network's result is averaged.
    batch_size : int
        Inputs that are normalized together, pairs included.
    variance : float
        q of the inputs' fields.
    seed : int

    Returns
    -------
    xarray.Dataset
        ``correlation`` (start, replica, depth), and ``variance`` (replica, depth) of the fields,
        after normalization if there is one; replicas are networks.

    Raises
    ------
    InvalidSetup
        An argument is outside of its range, or the pairs do not fit into the batch.
    """
    instance("layer", layer, Layer)
    start = vector("correlation", correlation, -1.0, 1.0)
    depth, width = count("depth", depth, 1), count("width", width, 2)
    networks, pairs = count("networks", networks, 1), count("pairs", pairs, 1)
    seed, scale = integer("seed", seed, 0), np.sqrt(real("variance", variance, minimum=0.0))
    paired = 2 * pairs * start.size
    samples = paired
    if layer.normalizer.of_batch:
        samples = count("batch_size", batch_size, 2 * paired, "Half of it is to be unrelated.")
    g = numpy_function([layer.activation.expression], [z])
    c, q = np.empty((start.size, networks, depth + 1)), np.empty((networks, depth + 1))
    for network in range(networks):
        generator = stream(seed, 20, network)
        h = scale * _inputs(generator, np.repeat(start, pairs), samples, width)
        for level in range(depth + 1):
            if level:
                weights = generator.standard_normal((width, width))
                h = g(h)[0] @ weights * np.sqrt(layer.weight_variance / width)
                h += np.sqrt(layer.bias_variance) * generator.standard_normal(width)
            if layer.normalizer.of_batch:
                h = (h - h.mean(axis=0)) / h.std(axis=0)
            c[:, network, level] = _cosines(h[:paired]).reshape(start.size, pairs).mean(axis=1)
            q[network, level] = np.mean(h**2)
    data = {
        "correlation": (("start", "replica", "depth"), c),
        "variance": (("replica", "depth"), q),
    }
    coordinates = {"start": start, "replica": np.arange(networks), "depth": np.arange(depth + 1)}
    attributes = layer_attributes(layer) | {"level": "microscopic", "width": width, "seed": seed}
    if layer.normalizer.of_batch:
        attributes["batch_size"] = samples
    return describe(xr.Dataset(data, coordinates, attributes))


def _inputs(
    generator: np.random.Generator, correlation: np.ndarray, samples: int, width: int
) -> np.ndarray:
    """Draw fields of mean square 1 whose first rows are pairs of exact correlation."""
    h = generator.standard_normal((samples, width))
    h /= np.sqrt(np.mean(h**2, axis=1, keepdims=True))
    first, second = h[: 2 * correlation.size : 2], h[1 : 2 * correlation.size : 2]
    second -= np.mean(first * second, axis=1, keepdims=True) * first
    second /= np.sqrt(np.mean(second**2, axis=1, keepdims=True))
    cosine = correlation[:, None]
    second[:] = cosine * first + np.sqrt(1 - cosine**2) * second
    return h


def _cosines(h: np.ndarray) -> np.ndarray:
    """Correlate row 0 with row 1, row 2 with row 3, and so on."""
    first, second = h[::2], h[1::2]
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return np.sum(first * second, axis=1) / lengths
