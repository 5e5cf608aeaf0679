r"""Batch normalization as an array function (Ioffe & Szegedy 2015): forward, backward, inference.

The n values h of one channel, a unit's over the batch or a feature map's over batch and positions,
become

    û = (h − μ_B)/s,   y = γû + β,   μ_B = mean h,   σ_B² = mean (h − μ_B)²,   s² = σ_B² + ε,

and a gradient g = ∂L/∂y goes back as

    ∂L/∂h = (γ/s)[g − mean g − û mean(gû)],   ∂L/∂γ = Σ gû,   ∂L/∂β = Σ g

(derived in `statmech_bn.symbolic.batch_norm_gradient`). For inference, moving averages stand for
μ_B and σ_B²; that of the variance follows the unbiased n σ_B²/(n − 1).

References
----------
S. Ioffe, C. Szegedy, ICML 2015, arXiv:1502.03167.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from array_api_compat import array_namespace, is_array_api_obj, size
from numpy.ma import is_masked

from statmech_bn.checks import instance, integer, real
from statmech_bn.errors import invalid
from statmech_bn.normalization import project
from statmech_bn.normalization.batch import rounding_of_fields

Array = Any


class BatchNormCache(NamedTuple):
    """What the backward pass and the moving averages need of a forward pass.

    Attributes
    ----------
    normalized : array
        û, of the input's shape.
    spread : array
        s = √(σ_B² + ε), of shape (channels,), as are the following.
    gamma, mean, variance : array
        γ, μ_B and the biased σ_B².
    channel_axis : int
        Axis of the channels, ≥ 0.
    """

    normalized: Array
    spread: Array
    gamma: Array
    mean: Array
    variance: Array
    channel_axis: int

    @property
    def samples(self) -> int:
        """Values of each channel: the batch size, times the number of positions."""
        return size(self.normalized) // size(self.gamma)


def batch_norm_forward(
    x: Array, gamma: Array, beta: Array, epsilon: float = 1e-5, channel_axis: int = 1
) -> tuple[Array, BatchNormCache]:
    """Normalize by the statistics of the batch.

    Parameters
    ----------
    x : array
        Shape (batch, channels), or (batch, channels, *positions) for a convolutional layer, whose
        statistics are over batch and positions; at least two values for each channel.
    gamma, beta : array
        Scale and shift of each channel, shape (channels,).
    epsilon : float
        ε ≥ 0, added to the variance.
    channel_axis : int
        Axis of the channels.

    Returns
    -------
    output : array
        Of the shape of `x`.
    cache : BatchNormCache

    Raises
    ------
    InvalidSetup
        Arrays that are not of floating-point numbers, shapes that do not fit, a single value for a
        channel, ε < 0, or ε = 0 with a channel that is constant over the batch. A channel counts
        as constant if its spread is rounding, at most 4 units in the last place of its mean; its û
        is 0 then. Finite numbers whose squares are infinite in their type; NaN and infinite ones
        pass through.

    Examples
    --------
    >>> import numpy as np
    >>> output, cache = batch_norm_forward(np.array([[1.0], [3.0]]), np.ones(1), np.zeros(1), 0.0)
    >>> output[:, 0], cache.mean, cache.variance
    (array([-1.,  1.]), array([2.]), array([1.]))
    """
    xp, axis, epsilon = _check_input(x, gamma, beta, epsilon, channel_axis)
    others = _other_axes(x, axis)
    if size(x) < 2 * size(gamma):
        raise invalid(
            "x", "at least two values for each channel", x.shape, "Use batch_norm_inference."
        )
    mean = xp.mean(x, axis=others)
    mean = mean + xp.mean(x - _along(xp, mean, x, axis), axis=others)
    centred = x - _along(xp, mean, x, axis)
    if math.sqrt(xp.finfo(x.dtype).max) < float(xp.max(abs(centred))) < math.inf:
        fix = "Scale them, or take a type of more bits."
        raise invalid("x", f"numbers whose squares are finite in {x.dtype}", "larger ones", fix)
    variance = xp.mean(centred**2, axis=others)
    rounding = rounding_of_fields(float(xp.finfo(x.dtype).eps), abs(mean), 0.0)
    constant = variance <= rounding**2
    if bool(xp.any(constant)):
        if epsilon == 0:
            raise invalid("epsilon", "> 0 if a channel is constant over the batch", epsilon)
        variance = xp.where(constant, xp.zeros_like(variance), variance)
        centred = xp.where(_along(xp, constant, x, axis), xp.zeros_like(centred), centred)
    spread = xp.sqrt(variance + epsilon)
    normalized = centred / _along(xp, spread, x, axis)
    output = _along(xp, gamma, x, axis) * normalized + _along(xp, beta, x, axis)
    return output, BatchNormCache(normalized, spread, gamma, mean, variance, axis)


def batch_norm_backward(upstream: Array, cache: BatchNormCache) -> tuple[Array, Array, Array]:
    """Propagate ∂L/∂y back through the normalization and through its statistics.

    Parameters
    ----------
    upstream : array
        ∂L/∂y, of the shape of the input.
    cache : BatchNormCache
        From the forward pass.

    Returns
    -------
    tuple of array
        ∂L/∂x of the input's shape; ∂L/∂γ and ∂L/∂β of shape (channels,). In each channel ∂L/∂x
        sums to zero, and at ε = 0 so does (∂L/∂x) x.

    Raises
    ------
    InvalidSetup
        The gradient is not of the input's shape.
    """
    instance("cache", cache, BatchNormCache)
    xp = common_namespace(upstream=upstream, cache=cache.normalized)
    axis, normalized = cache.channel_axis, cache.normalized
    if upstream.shape != normalized.shape:
        raise invalid("upstream", f"shape {tuple(normalized.shape)}", tuple(upstream.shape))
    others = _other_axes(upstream, axis)
    along_beta = xp.sum(upstream, axis=others)
    along_gamma = xp.sum(upstream * normalized, axis=others)
    scale = _along(xp, cache.gamma / cache.spread, upstream, axis)

    def mean(values: Array) -> Array:
        return _along(xp, xp.mean(values, axis=others), upstream, axis)

    return scale * project(upstream, normalized, mean), along_gamma, along_beta


def batch_norm_inference(
    x: Array,
    mean: Array,
    variance: Array,
    gamma: Array,
    beta: Array,
    epsilon: float = 1e-5,
    channel_axis: int = 1,
) -> Array:
    """Normalize by given statistics, such as moving averages: an affine map of each channel.

    Parameters
    ----------
    x : array
        Shape (batch, channels, *positions).
    mean, variance, gamma, beta : array
        Shape (channels,).
    epsilon : float
        ε ≥ 0, added to the variance.
    channel_axis : int
        Axis of the channels in `x`.

    Returns
    -------
    array
        γ(x − mean)/√(variance + ε) + β, of the shape of `x`.

    Raises
    ------
    InvalidSetup
        Shapes that do not fit, ε < 0, or a variance that is not positive at ε = 0.

    Examples
    --------
    >>> import numpy as np
    >>> ones = np.ones(1)
    >>> batch_norm_inference(np.array([[1.0], [3.0]]), 2 * ones, ones, ones, 0 * ones, epsilon=0.0)
    array([[-1.],
           [ 1.]])
    """
    xp, axis, epsilon = _check_input(x, gamma, beta, epsilon, channel_axis)
    common_namespace(x=x, mean=mean, variance=variance)
    for name, values in (("mean", mean), ("variance", variance)):
        if values.shape != gamma.shape:
            raise invalid(name, f"shape {tuple(gamma.shape)}", tuple(values.shape))
    if bool(xp.any(variance + epsilon <= 0)):
        raise invalid("variance", "positive numbers, or epsilon > 0", variance)
    scale = gamma / xp.sqrt(variance + epsilon)
    return _along(xp, scale, x, axis) * x + _along(xp, beta - scale * mean, x, axis)


def moving_averages(
    mean: Array, variance: Array, cache: BatchNormCache, momentum: float = 0.1
) -> tuple[Array, Array]:
    """Move running statistics towards those of a batch.

    Parameters
    ----------
    mean, variance : array
        Running statistics before the step, shape (channels,); start from 0 and 1.
    cache : BatchNormCache
        From the forward pass.
    momentum : float
        Weight of the new batch, in [0, 1] (PyTorch's convention).

    Returns
    -------
    tuple of array
        Mean and variance after the step.

    Raises
    ------
    InvalidSetup
        The momentum is outside of [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> _, cache = batch_norm_forward(np.array([[1.0], [3.0]]), np.ones(1), np.zeros(1))
    >>> moving_averages(np.zeros(1), np.ones(1), cache, momentum=0.5)
    (array([1.]), array([1.5]))
    """
    momentum = real("momentum", momentum, 0.0, 1.0)
    instance("cache", cache, BatchNormCache)
    common_namespace(mean=mean, variance=variance, cache=cache.mean)
    for name, values in (("mean", mean), ("variance", variance)):
        if values.shape != cache.mean.shape:
            raise invalid(name, f"shape {tuple(cache.mean.shape)}", tuple(values.shape))
    unbiased = cache.variance * (cache.samples / (cache.samples - 1))
    keep = 1 - momentum
    return keep * mean + momentum * cache.mean, keep * variance + momentum * unbiased


def _check_input(
    x: Array, gamma: Array, beta: Array, epsilon: float, channel_axis: int
) -> tuple[Any, int, float]:
    """Return the array library, the axis of the channels counted from the left, and ε."""
    xp = common_namespace(x=x, gamma=gamma, beta=beta)
    epsilon = real("epsilon", epsilon, 0.0)
    expected = f"an axis of x, of shape {tuple(x.shape)}"
    axis = integer("channel_axis", channel_axis, -x.ndim, expected, x.ndim - 1)
    if x.ndim < 2:
        raise invalid("x", "shape (batch, channels, *positions)", tuple(x.shape))
    axis %= x.ndim
    for name, values in (("gamma", gamma), ("beta", beta)):
        if values.shape != (x.shape[axis],):
            raise invalid(name, f"shape ({x.shape[axis]},), one for each channel", values.shape)
    return xp, axis, epsilon


def common_namespace(**arrays: Array) -> Any:
    """Return the library that all of the arrays, of floating-point numbers, belong to."""
    kinds = {name: type(values).__name__ for name, values in arrays.items()}
    wrong = invalid(", ".join(arrays), "arrays of one library", kinds)
    if not all(is_array_api_obj(values) for values in arrays.values()):
        raise wrong
    try:
        xp = array_namespace(*arrays.values())
    except TypeError as error:
        raise wrong from error
    for name, values in arrays.items():
        if not xp.isdtype(values.dtype, "real floating"):
            raise invalid(name, "floating-point numbers", values.dtype)
        if is_masked(values):
            raise invalid(name, "values without a mask", values, "Fill what is masked.")
    return xp


def _other_axes(x: Array, axis: int) -> tuple[int, ...]:
    return tuple(k for k in range(x.ndim) if k != axis)


def _along(xp: Any, values: Array, x: Array, axis: int) -> Array:
    """Shape one value for each channel so that it broadcasts with x."""
    return xp.reshape(values, tuple(-1 if k == axis else 1 for k in range(x.ndim)))
