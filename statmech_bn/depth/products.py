r"""Products of random matrices, which a deep linear network is, and their condition numbers.

The squared singular values of a product of s Gaussian N×N matrices of variance 1/N follow the
Fuss–Catalan law as N → ∞ (`statmech_bn.symbolic.fuss_catalan`). At finite N and many factors each
singular value grows or shrinks exponentially, with the exponents (Newman 1986)

    μ_i = ½ [ln(2/N) + Ψ((N − i + 1)/2)],    i = 1 … N,

so that the logarithm of the condition number grows by μ_1 − μ_N per factor, about ½ ln N.

Batch normalization divides each channel of a layer's fields by its spread over the batch. In a
linear network this multiplies each factor by a diagonal matrix, which makes rows equally long, not
orthogonal.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import sympy as sp
import xarray as xr
from numpy.typing import ArrayLike
from scipy.integrate import cumulative_trapezoid
from scipy.special import digamma

from statmech_bn.activations import Activation, z
from statmech_bn.activations import activation as as_activation
from statmech_bn.checks import array, check_memory, count, integer
from statmech_bn.codegen import numpy_function
from statmech_bn.dataset import describe
from statmech_bn.depth.network import keeping_gain
from statmech_bn.errors import invalid
from statmech_bn.random.streams import stream
from statmech_bn.symbolic import spectra
from statmech_bn.symbolic.correlation_map import layer_normalization

GRID = 4001
"""Angles at which a law is tabulated."""


def fuss_catalan_density(factors: int, points: ArrayLike) -> np.ndarray:
    """Evaluate the probability density of the squared singular values.

    Parameters
    ----------
    factors : int
        s ≥ 1.
    points : array_like
        x > 0; zero density beyond the edge.

    Returns
    -------
    ndarray
        Of the points' shape.
    """
    x, density, _ = _table(integer("factors", factors, 1, maximum=spectra.LARGEST))
    points = array("points", points, minimum=0.0)
    if not (points > 0).all():
        raise invalid("points", "numbers > 0", points)
    logarithm = np.interp(np.log(points), np.log(x), np.log(density), right=-np.inf)
    return np.exp(logarithm)


def fuss_catalan_cumulative(factors: int, points: ArrayLike) -> np.ndarray:
    """Evaluate the probability that a squared singular value is below x ≥ 0.

    Parameters
    ----------
    factors : int
        s ≥ 1.
    points : array_like
        x ≥ 0.

    Returns
    -------
    ndarray
        Of the points' shape.

    Examples
    --------
    >>> fuss_catalan_cumulative(1, [0.0, 4.0])
    array([0., 1.])
    """
    x, _, cumulative = _table(integer("factors", factors, 1, maximum=spectra.LARGEST))
    return np.interp(array("points", points, minimum=0.0), x, cumulative)


def typical_condition_number(factors: int, dimension: int) -> float:
    """Estimate the condition number from the law: the edge over the quantile ½/N.

    The smallest singular value fluctuates by its own size, and so does the condition number.

    Parameters
    ----------
    factors : int
        s ≥ 1, number of matrices.
    dimension : int
        N, rows and columns of each matrix.

    Returns
    -------
    float

    Examples
    --------
    >>> [round(typical_condition_number(s, dimension=100)) for s in (1, 2)]
    [255, 5518]
    """
    x, _, cumulative = _table(integer("factors", factors, 1, maximum=spectra.LARGEST))
    smallest = np.exp(
        np.interp(
            np.log(0.5 / count("dimension", dimension, 1)), np.log(cumulative[1:]), np.log(x[1:])
        )
    )
    return float(np.sqrt(x[-1] / smallest))


def second_moments(factors: int, dimension: int) -> np.ndarray:
    """Return E[tr X²]/N, exact at finite N, for X = P P' of products P of 1 to `factors` matrices.

    One more factor A takes X to A X A'. Its three pairings of Gaussian entries give
    E tr X'² = (tr X)²/N + (1 + 1/N) tr X², and E (tr X')² = (tr X)² + (2/N) tr X².

    Parameters
    ----------
    factors : int
        Largest number of matrices.
    dimension : int
        N, rows and columns of each matrix.

    Returns
    -------
    ndarray
        (factors,), for 1 to `factors` matrices.

    Examples
    --------
    >>> second_moments(2, dimension=1000).round(2)
    array([2., 3.])
    """
    factors, dimension = count("factors", factors, 1), count("dimension", dimension, 1)
    found, square, trace = [], 1.0, 1.0
    for _ in range(factors):
        square, trace = trace + (1 + 1 / dimension) * square, trace + 2 * square / dimension**2
        found.append(square)
    return np.array(found)


def growth_exponents(dimension: int) -> np.ndarray:
    """Return μ_i of an endless product of Gaussian matrices, largest first.

    Parameters
    ----------
    dimension : int
        N, rows and columns of each matrix.

    Returns
    -------
    ndarray
        (dimension,), per factor.

    Examples
    --------
    >>> growth_exponents(3).round(3)
    array([-0.184, -0.491, -1.184])
    """
    n = count("dimension", dimension, 1)
    return 0.5 * (np.log(2 / n) + digamma((n - np.arange(n)) / 2))


def product_spectra(
    factors: int, dimension: int = 200, replicas: int = 8, seed: int = 0
) -> xr.Dataset:
    """Draw products of s = 1 … `factors` Gaussian matrices.

    Parameters
    ----------
    factors : int
        Largest number of matrices.
    dimension : int
        N, rows and columns of each matrix.
    replicas : int
        Independent draws.
    seed : int

    Returns
    -------
    xarray.Dataset
        ``squared_singular_value`` (factors, replica, rank), ascending; products of different s in
        one replica share their first factors.
    """
    factors, dimension = count("factors", factors, 1), count("dimension", dimension, 1)
    replicas, seed = count("replicas", replicas, 1), integer("seed", seed, 0)
    check_memory(
        "factors, dimension, replicas", (float(factors) * replicas + dimension) * dimension
    )
    found = np.empty((factors, replicas, dimension))
    for replica in range(replicas):
        generator, product = stream(seed, 30, replica), np.eye(dimension)
        for s in range(factors):
            product = product @ _gaussian(generator, dimension)
            found[s, replica] = np.linalg.svd(product, compute_uv=False)[::-1] ** 2
    return describe(
        xr.Dataset(
            {"squared_singular_value": (("factors", "replica", "rank"), found)},
            {"factors": np.arange(1, factors + 1), "replica": np.arange(replicas)},
            {"dimension": dimension, "seed": seed},
        )
    )


def product_conditions(
    factors: int,
    dimension: int = 64,
    replicas: int = 8,
    seed: int = 0,
    normalization: str = "none",
) -> xr.Dataset:
    """Measure the condition number of a deep linear network's map against its number of layers.

    With "batch", fields are divided by their spread over a large batch of Gaussian inputs, after
    each layer. The smallest singular value comes from the product of the inverses, so that a
    condition number of any size is accurate.

    Parameters
    ----------
    factors : int
        Largest number of layers.
    dimension : int
        N, rows and columns of each matrix.
    replicas : int
        Independent draws.
    seed : int
    normalization : {"none", "batch"}

    Returns
    -------
    xarray.Dataset
        ``condition_number`` (factors, replica).
    """
    factors, dimension = count("factors", factors, 1), count("dimension", dimension, 1)
    replicas, seed = count("replicas", replicas, 1), integer("seed", seed, 0)
    check_memory("factors, dimension, replicas", float(factors) * replicas + 4.0 * dimension**2)
    rule = layer_normalization(normalization)
    found = np.empty((factors, replicas))
    for replica in range(replicas):
        generator = stream(seed, 31, replica)
        product, inverse = np.eye(dimension), np.eye(dimension)
        for s in range(factors):
            layer = _gaussian(generator, dimension)
            if rule.of_batch:  # the fields' covariance is product product'
                layer /= np.linalg.norm(layer @ product, axis=1, keepdims=True)
            product, inverse = layer @ product, inverse @ np.linalg.inv(layer)
            found[s, replica] = np.linalg.norm(product, 2) * np.linalg.norm(inverse, 2)
    return describe(
        xr.Dataset(
            {"condition_number": (("factors", "replica"), found)},
            {"factors": np.arange(1, factors + 1), "replica": np.arange(replicas)},
            {"dimension": dimension, "seed": seed, "normalization": normalization},
        )
    )


def representation_conditions(
    activation: str | sp.Expr | Activation,
    depth: int,
    width: int = 32,
    samples: int = 128,
    replicas: int = 8,
    seed: int = 0,
    normalization: str = "none",
) -> xr.Dataset:
    """Measure the condition number of what a random network says about a batch.

    It is that of the (samples × width) fields of each layer minus their mean over the batch: how
    unevenly the differences between inputs are represented.

    Parameters
    ----------
    activation : str, sympy.Expr or Activation
    depth : int
        Number of layers.
    width : int
        Channels of each layer.
    samples : int
        Size of the batch.
    replicas : int
        Independent draws.
    seed : int
    normalization : {"none", "batch"}

    Returns
    -------
    xarray.Dataset
        ``condition_number`` (depth, replica); about 10¹⁶ stands for anything larger.
    """
    g = as_activation(activation)
    depth, width = count("depth", depth, 1), count("width", width, 2)
    samples = count("samples", samples, 3)
    replicas, seed = count("replicas", replicas, 1), integer("seed", seed, 0)
    held = float(depth) * replicas + width * (width + 3.0 * samples)
    check_memory("depth, width, samples, replicas", held)
    rule = layer_normalization(normalization)
    function, gain = numpy_function([g.expression], [z]), keeping_gain(g)
    rank = min(width, samples - 1)
    found = np.empty((depth, replicas))
    for replica in range(replicas):
        generator = stream(seed, 32, replica)
        fields = generator.standard_normal((samples, width))
        for level in range(depth):
            if rule.of_batch:
                fields = (fields - fields.mean(axis=0)) / fields.std(axis=0)
            fields = gain * function(fields)[0] @ _gaussian(generator, width)
            centred = fields - fields.mean(axis=0)
            if rule.of_batch:
                centred = centred / fields.std(axis=0)
            values = np.linalg.svd(centred, compute_uv=False)[:rank]
            smallest = max(values[-1], np.finfo(float).eps * values[0])
            found[level, replica] = values[0] / smallest
    return describe(
        xr.Dataset(
            {"condition_number": (("depth", "replica"), found)},
            {"depth": np.arange(1, depth + 1), "replica": np.arange(replicas)},
            {
                "activation": g.to_text(),
                "normalization": normalization,
                "dimension": width,
                "samples": samples,
                "seed": seed,
            },
        )
    )


def _gaussian(generator: np.random.Generator, dimension: int) -> np.ndarray:
    return generator.standard_normal((dimension, dimension)) / np.sqrt(dimension)


@lru_cache(maxsize=32)
def _table(factors: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions, ascending from near 0 to the edge, densities and cumulative probabilities."""
    law = spectra.fuss_catalan(factors)
    end = np.pi / (factors + 1)
    # Angles crowd at both ends, where the density vanishes at the edge and x at zero.
    low, high = (np.geomspace(1e-7, 0.5, GRID) * end for _ in range(2))
    angle = np.concatenate([low[:-1], (end - high)[::-1]])[::-1]
    curve = numpy_function([law.position, law.density], [spectra.phi])
    x, density = curve(angle)
    slope = numpy_function([law.position.diff(spectra.phi)], [spectra.phi])(angle)[0]
    below = cumulative_trapezoid(density * np.abs(slope), -angle, initial=0.0)
    return x, density, below / below[-1]
