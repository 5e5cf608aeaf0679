"""The correlation of two inputs, and the growth of gradients, measured in wide random networks.

Inputs come in pairs whose fields have the asked correlation exactly. With batch normalization they
are part of a batch of unrelated inputs, which is normalized at every layer.

Gradients are Gaussian above the last layer, and go back through layers normalized over one batch.
"""

from __future__ import annotations

import numpy as np
import sympy as sp
import xarray as xr
from numpy.typing import ArrayLike

from statmech_bn.activations import Activation, z
from statmech_bn.activations import activation as as_activation
from statmech_bn.checks import check_memory, count, instance, integer, real, vector
from statmech_bn.codegen import numpy_function
from statmech_bn.dataset import describe
from statmech_bn.depth.correlation import (
    LARGEST_VARIANCE,
    SMALLEST_VARIANCE,
    Layer,
    layer_attributes,
)
from statmech_bn.depth.finite_batch import SMALLEST_BATCH
from statmech_bn.depth.network import keeping_gain
from statmech_bn.errors import NotConverged
from statmech_bn.layers import batch_norm_backward, batch_norm_forward
from statmech_bn.normalization.batch import rounding_of_fields
from statmech_bn.random.streams import stream


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
    NotConverged
        All fields of an input vanish, as in narrow networks of dead units, or one overflows.
    """
    instance("layer", layer, Layer)
    start = vector("correlation", correlation, -1.0, 1.0)
    depth, width = count("depth", depth, 1), count("width", width, 2)
    networks, pairs = count("networks", networks, 1), count("pairs", pairs, 1)
    seed = integer("seed", seed, 0)
    scale = np.sqrt(real("variance", variance, SMALLEST_VARIANCE, LARGEST_VARIANCE))
    paired = 2 * pairs * start.size
    samples = paired
    if layer.normalizer.of_batch:
        samples = count("batch_size", batch_size, 2 * paired, "Half of it is to be unrelated.")
    held = width * (width + 3.0 * samples) + networks * (start.size + 1.0) * (depth + 1)
    check_memory("depth, width, networks, pairs, batch_size", held)
    g = numpy_function([layer.activation.expression], [z])
    c, q = np.empty((start.size, networks, depth + 1)), np.empty((networks, depth + 1))
    for network in range(networks):
        generator = stream(seed, 20, network)
        h = scale * _inputs(generator, np.repeat(start, pairs), samples, width)
        for level in range(depth + 1):
            if level:
                weights = generator.standard_normal((width, width))
                with np.errstate(over="ignore", invalid="ignore"):  # checked below
                    h = g(h)[0] @ weights * np.sqrt(layer.weight_variance / width)
                h += np.sqrt(layer.bias_variance) * generator.standard_normal(width)
            _check_fields(h, level)
            if layer.normalizer.of_batch:
                h = _normalized(h)
                _check_fields(h, level)
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


def measure_gradients(
    activation: str | sp.Expr | Activation,
    batch_size: int,
    depth: int,
    width: int = 300,
    networks: int = 8,
    scale: float = 1.0,
    shift: float = 0.0,
    epsilon: float = 0.0,
    settle: int = 3,
    seed: int = 0,
) -> xr.Dataset:
    """Measure how gradients grow on their way back through random layers with batch normalization.

    Parameters
    ----------
    activation : str, sympy.Expr or Activation
    batch_size : int
        B ≥ 4 independent inputs.
    depth : int
        Number of layers, at least 2 more than `settle`.
    width : int
        Units of a layer.
    networks : int
        Independent networks.
    scale, shift, epsilon : float
        γ and β of all channels, and ε. Weights have the variance 1/E[g²] of unit fields, over the
        width.
    settle : int
        Lowest layers that the multiplier leaves out; fields start with the variance 1, which ε
        changes on the way.
    seed : int

    Returns
    -------
    xarray.Dataset
        ``gradient_square`` (replica, layer) with respect to the fields, relative to the last
        layer's, and ``gradient_multiplier`` (replica), the mean of its growth per layer; replicas
        are networks.

    Raises
    ------
    InvalidSetup
        An argument is outside of its range.

    Notes
    -----
    A channel's gradients have the factor 1/σ_B², whose variance over channels is finite for
    B > 5 only: of smaller batches the standard error is too small, and means of a few networks
    are mostly below the expectation. At finite width the growth is larger by about B/width times
    the layers passed, as the fields' covariance departs from its fixed point.

    Examples
    --------
    >>> found = measure_gradients("relu", batch_size=16, depth=12, width=100, networks=4)
    >>> bool(abs(found["gradient_multiplier"].mean() - 1.59) < 0.2)
    True
    """
    g = as_activation(activation)
    size, width = count("batch_size", batch_size, SMALLEST_BATCH), count("width", width, 2)
    settle, networks = integer("settle", settle, 0), count("networks", networks, 1)
    depth, seed = count("depth", depth, settle + 2), integer("seed", seed, 0)
    held = depth * (networks + width * (width + 3.0 * size))
    check_memory("depth, width, batch_size, networks", held)
    function = numpy_function([g.expression, g.derivative], [z])
    gamma, beta = np.full(width, real("scale", scale)), np.full(width, real("shift", shift))
    gain = keeping_gain(g) / np.sqrt(width)
    square = np.empty((networks, depth))
    with np.errstate(all="ignore"):  # what leaves the range of floats is refused below
        for network in range(networks):
            generator = stream(seed, 33, network)
            h, weights, layers = generator.standard_normal((size, width)), [], []
            for _ in range(depth):
                y, cache = batch_norm_forward(h, gamma, beta, epsilon)
                x, slope = function(y)
                layers.append((cache, slope))
                weights.append(gain * generator.standard_normal((width, width)))
                h = x @ weights[-1]
            delta = generator.standard_normal((size, width))
            for level in reversed(range(depth)):
                cache, slope = layers[level]
                delta = batch_norm_backward((delta @ weights[level].T) * slope, cache)[0]
                square[network, level] = np.mean(delta**2)
        growth = square[:, settle:-1] / square[:, settle + 1 :]
        square = square / square[:, -1:]
    if not (np.isfinite(growth).all() and np.isfinite(square).all()):
        raise NotConverged(
            "Gradients or fields leave the range of floats. Lower the depth, or the size of scale, "
            "shift and epsilon."
        )
    data = {
        "gradient_square": (("replica", "layer"), square),
        "gradient_multiplier": ("replica", growth.mean(axis=1)),
    }
    coordinates = {"replica": np.arange(networks), "layer": np.arange(1, depth + 1)}
    attributes = {"activation": g.to_text(), "batch_size": size, "width": width, "seed": seed}
    attributes |= {"scale": gamma[0], "shift": beta[0], "epsilon": epsilon, "level": "microscopic"}
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


def _check_fields(h: np.ndarray, level: int) -> None:
    """Raise NotConverged where the correlation is 0/0 or ∞/∞."""
    largest = np.abs(h).max(axis=1)
    low, high = np.sqrt(SMALLEST_VARIANCE), np.sqrt(LARGEST_VARIANCE)
    if not ((largest >= low) & (largest <= high)).all():  # NaN is neither
        raise NotConverged(
            f"In layer {level} all fields of an input vanish, or one overflows, and correlations "
            "are not defined. Increase the width, or lower the depth."
        )


def _normalized(h: np.ndarray) -> np.ndarray:
    """Normalize each unit over the batch; one that is constant, as a dead unit is, becomes 0."""
    mean, spread = h.mean(axis=0), h.std(axis=0)
    varies = spread > rounding_of_fields(float(np.finfo(float).eps), mean, 0.0)
    return np.where(varies, h - mean, 0.0) / np.where(varies, spread, 1.0)


def _cosines(h: np.ndarray) -> np.ndarray:
    """Correlate row 0 with row 1, row 2 with row 3, and so on."""
    first, second = h[::2], h[1::2]
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return np.sum(first * second, axis=1) / lengths
