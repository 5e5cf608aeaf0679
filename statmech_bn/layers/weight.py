r"""Weight and population normalization as array functions of the weights, forward and backward.

    weight       ŵ = γw/|w|                       b = β        (Salimans & Kingma 2016)
    population   ŵ = γw/√(w'Σw)                   b = β − ŵ·m

with the mean m and the covariance Σ of the layer's inputs, so that ŵ·x + b has the mean β and the
spread γ. With G = ∂L/∂ŵ − (∂L/∂b) m and r² = w'Σw,

    ∂L/∂w = (γ/r)[G − Σw (w·G)/r²],   ∂L/∂γ = w·G/r,   ∂L/∂β = ∂L/∂b.

References
----------
T. Salimans, D. P. Kingma, NeurIPS 2016, arXiv:1602.07868.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from array_api_compat import size

from statmech_bn.checks import instance
from statmech_bn.errors import invalid
from statmech_bn.layers.batch import Array, common_namespace


class WeightNormCache(NamedTuple):
    """What the backward pass of weight and population normalization needs.

    Attributes
    ----------
    weights : array
        w, one row for each channel.
    spun : array
        Σw, of the same shape; w itself for weight normalization.
    spread : array
        r = √(w'Σw), of shape (channels,).
    gamma : array
        γ, of shape (channels,).
    mean : array or None
        m, of shape (inputs,).
    shape : tuple of int
        Shape in which the weights came.
    """

    weights: Array
    spun: Array
    spread: Array
    gamma: Array
    mean: Array | None
    shape: tuple[int, ...]


def weight_norm_forward(weights: Array, gamma: Array) -> tuple[Array, WeightNormCache]:
    """Give the weights of each channel the length γ.

    Parameters
    ----------
    weights : array
        Shape (channels, *inputs), (channels, inputs, *kernel) for a convolutional layer.
    gamma : array
        Shape (channels,).

    Returns
    -------
    normalized : array
        ŵ, of the shape of `weights`.
    cache : WeightNormCache

    Raises
    ------
    InvalidSetup
        Shapes that do not fit, or a channel whose weights vanish.

    Examples
    --------
    >>> import numpy as np
    >>> weight_norm_forward(np.array([[3.0, 4.0]]), np.array([2.0]))[0]
    array([[1.2, 1.6]])
    """
    xp = _check_weights(weights, gamma=gamma)
    rows = xp.reshape(weights, (gamma.shape[0], -1))
    return _normalize_weights(xp, weights, rows, rows, gamma, None)


def weight_norm_backward(upstream: Array, cache: WeightNormCache) -> tuple[Array, Array]:
    """Propagate ∂L/∂ŵ back.

    Parameters
    ----------
    upstream : array
        ∂L/∂ŵ, of the weights' shape.
    cache : WeightNormCache
        What the forward pass returned.

    Returns
    -------
    tuple of array
        ∂L/∂w, orthogonal to w in each channel, and ∂L/∂γ.

    Raises
    ------
    InvalidSetup
        The gradient is not of the weights' shape.
    """
    instance("cache", cache, WeightNormCache)
    xp = common_namespace(upstream=upstream, cache=cache.weights)
    if upstream.shape != cache.shape:
        raise invalid("upstream", f"shape {cache.shape}", tuple(upstream.shape))
    return _weights_backward(xp, xp.reshape(upstream, cache.weights.shape), cache)


def population_norm_forward(
    weights: Array, gamma: Array, beta: Array, mean: Array, covariance: Array
) -> tuple[Array, Array, WeightNormCache]:
    """Give the fields of each channel the spread γ and the mean β over a known population.

    Parameters
    ----------
    weights : array
        Shape (channels, *inputs).
    gamma, beta : array
        Shape (channels,).
    mean, covariance : array
        Of the layer's inputs, shapes (n,) and (n, n) with n inputs to each channel.

    Returns
    -------
    normalized : array
        ŵ, of the shape of `weights`.
    bias : array
        b, shape (channels,); the output is ŵ·x + b.
    cache : WeightNormCache

    Raises
    ------
    InvalidSetup
        Shapes that do not fit, moments that are not finite, a covariance that is not symmetric, or
        fields that do not vary.
    """
    xp = _check_weights(weights, gamma=gamma, beta=beta)
    common_namespace(weights=weights, mean=mean, covariance=covariance)
    rows = xp.reshape(weights, (gamma.shape[0], -1))
    inputs = rows.shape[1]
    for name, values, shape in (
        ("mean", mean, (inputs,)),
        ("covariance", covariance, (inputs, inputs)),
    ):
        if values.shape != shape:
            raise invalid(name, f"shape {shape}", tuple(values.shape))
        if not bool(xp.all(xp.isfinite(values))):
            raise invalid(name, "finite numbers", values)
    uneven = float(xp.max(abs(covariance - covariance.mT)))
    if uneven > 64 * float(xp.finfo(covariance.dtype).eps) * float(xp.max(abs(covariance))):
        raise invalid("covariance", "a symmetric matrix", covariance)
    spun = rows @ covariance
    normalized, cache = _normalize_weights(xp, weights, rows, spun, gamma, mean)
    bias = beta - xp.reshape(normalized, rows.shape) @ mean
    return normalized, bias, cache


def population_norm_backward(
    upstream: Array, upstream_bias: Array, cache: WeightNormCache
) -> tuple[Array, Array, Array]:
    """Propagate ∂L/∂ŵ and ∂L/∂b back.

    Parameters
    ----------
    upstream : array
        ∂L/∂ŵ, of the weights' shape.
    upstream_bias : array
        ∂L/∂b, shape (channels,).
    cache : WeightNormCache
        What the forward pass returned.

    Returns
    -------
    tuple of array
        ∂L/∂w, orthogonal to w in each channel, ∂L/∂γ and ∂L/∂β.

    Raises
    ------
    InvalidSetup
        The gradients are not of the weights' and the bias's shape.
    """
    instance("cache", cache, WeightNormCache)
    if cache.mean is None:
        raise invalid("cache", "that of population_norm_forward", "that of weight_norm_forward")
    xp = common_namespace(upstream=upstream, upstream_bias=upstream_bias, cache=cache.weights)
    for name, values, shape in (
        ("upstream", upstream, cache.shape),
        ("upstream_bias", upstream_bias, tuple(cache.gamma.shape)),
    ):
        if values.shape != shape:
            raise invalid(name, f"shape {shape}", tuple(values.shape))
    rows = xp.reshape(upstream, cache.weights.shape) - upstream_bias[:, None] * cache.mean
    along_weights, along_gamma = _weights_backward(xp, rows, cache)
    return along_weights, along_gamma, upstream_bias


def _normalize_weights(
    xp: Any, weights: Array, rows: Array, spun: Array, gamma: Array, mean: Array | None
) -> tuple[Array, WeightNormCache]:
    square = xp.sum(rows * spun, axis=1)
    if not bool(xp.all(square > 0)):
        raise invalid("weights", "w'Σw > 0 for each channel", weights)
    spread = xp.sqrt(square)
    normalized = xp.reshape((gamma / spread)[:, None] * rows, weights.shape)
    return normalized, WeightNormCache(rows, spun, spread, gamma, mean, tuple(weights.shape))


def _weights_backward(xp: Any, rows: Array, cache: WeightNormCache) -> tuple[Array, Array]:
    along_gamma = xp.sum(cache.weights * rows, axis=1) / cache.spread
    pull = (along_gamma / cache.spread)[:, None] * cache.spun
    along_weights = (cache.gamma / cache.spread)[:, None] * (rows - pull)
    return xp.reshape(along_weights, cache.shape), along_gamma


def _check_weights(weights: Array, **vectors: Array) -> Any:
    xp = common_namespace(weights=weights, **vectors)
    if weights.ndim < 2 or size(weights) == 0:
        raise invalid("weights", "shape (channels, *inputs), none of them 0", weights.shape)
    for name, values in vectors.items():
        if values.shape != weights.shape[:1]:
            raise invalid(name, f"shape {tuple(weights.shape[:1])}", tuple(values.shape))
    return xp
