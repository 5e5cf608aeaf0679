r"""A deep network in plain NumPy: forward, backward by hand, with or without batch normalization.

Layer l = 1 … depth takes the outputs x of the one below, of shape (samples, positions, channels):

    h = x W                  fields; in a convolution x also holds the neighbours (circular)
    φ = γ (h − μ_B)/σ_B + β  with batch normalization, over samples and positions; else φ = h + β
    x ← g(φ)

On top, outputs averaged over positions give the logits of a softmax with cross-entropy, averaged
over the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp

from statmech_bn.activations import Activation, z
from statmech_bn.checks import UNREADABLE, instance
from statmech_bn.codegen import numpy_function
from statmech_bn.depth.network import (
    DeepNetwork,
    Parameters,
    check_parameters,
    classes_of,
    samples_of,
)
from statmech_bn.errors import invalid
from statmech_bn.layers import BatchNormCache, batch_norm_backward, batch_norm_forward

EPSILON = 1e-12
"""Added to the variance of a channel, which may be constant over a batch."""


class Pass(NamedTuple):
    """What a forward pass leaves behind.

    Attributes
    ----------
    seen : list of ndarray
        What each layer sees, with neighbours: (samples, positions, kernel × channels below).
    fields : list of ndarray
        h of each hidden layer, (samples, positions, channels).
    caches : list of BatchNormCache
        Empty without batch normalization.
    slopes : list of ndarray
        g'(φ).
    logits : ndarray
        (samples, classes).
    """

    seen: list[np.ndarray]
    fields: list[np.ndarray]
    caches: list[BatchNormCache]
    slopes: list[np.ndarray]
    logits: np.ndarray


class Gradients(NamedTuple):
    """Derivatives of the loss, the mean over the batch.

    Attributes
    ----------
    parameters : list of Parameters
    fields, normalized : list of ndarray
        With respect to h and to φ of each hidden layer; the same without batch normalization.
    logits : ndarray
    """

    parameters: list[Parameters]
    fields: list[np.ndarray]
    normalized: list[np.ndarray]
    logits: np.ndarray


def forward(network: DeepNetwork, parameters: list[Parameters], inputs: ArrayLike) -> Pass:
    """Evaluate a network on a batch.

    Parameters
    ----------
    network : DeepNetwork
    parameters : list of Parameters
    inputs : array_like
        (samples, channels), or (samples, positions, channels).

    Returns
    -------
    Pass
        What the backward pass and measurements need.

    Raises
    ------
    InvalidSetup
        The inputs have another number of channels than the network.

    Examples
    --------
    >>> network = DeepNetwork(depth=3, width=16, inputs=8, classes=4, normalization="batch")
    >>> parameters = network.initial(np.random.default_rng(0))
    >>> forward(network, parameters, np.random.default_rng(1).normal(size=(32, 8))).logits.shape
    (32, 4)
    """
    check_parameters(network, parameters)
    x = samples_of(network, inputs)
    g = _value_and_slope(network.activation)
    seen, fields, caches, slopes = [], [], [], []
    for layer in parameters[:-1]:
        seen.append(_with_neighbours(x, network.kernel))
        h = seen[-1] @ layer.weight
        fields.append(h)
        if network.normalizer.of_batch:
            phi, cache = batch_norm_forward(h, layer.scale, layer.shift, EPSILON, channel_axis=2)
            caches.append(cache)
        else:
            phi = h + layer.shift
        x, slope = g(phi)
        slopes.append(slope)
    seen.append(x)
    return Pass(seen, fields, caches, slopes, x.mean(axis=1) @ parameters[-1].weight)


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean loss of a batch with labels 0 … classes − 1.

    Parameters
    ----------
    logits : ndarray
        (samples, classes).
    labels : ndarray of int
        (samples,), 0 … classes − 1.

    Returns
    -------
    float

    Examples
    --------
    >>> cross_entropy(np.zeros((2, 2)), np.array([0, 1])) == np.log(2)
    np.True_
    """
    logits = _logits(logits)
    labels = classes_of("labels", labels, *logits.shape)
    chosen = logits[np.arange(labels.size), labels]
    return float(np.mean(logsumexp(logits, axis=1) - chosen))


def backward(
    network: DeepNetwork, parameters: list[Parameters], done: Pass, labels: np.ndarray
) -> Gradients:
    """Propagate the cross-entropy of a batch back to every field and parameter.

    Parameters
    ----------
    network : DeepNetwork
    parameters : list of Parameters
        As `DeepNetwork.initial` draws them.
    done : Pass
        What `forward` returned for these parameters.
    labels : ndarray of int
        (samples,), 0 … classes − 1.

    Returns
    -------
    Gradients
    """
    check_parameters(network, parameters)
    samples, positions = instance("done", done, Pass).seen[0].shape[:2]
    labels = classes_of("labels", labels, samples, network.classes)
    output = np.exp(done.logits - logsumexp(done.logits, axis=1, keepdims=True))
    output[np.arange(samples), labels] -= 1
    output /= samples
    below = np.repeat((output @ parameters[-1].weight.T)[:, None] / positions, positions, axis=1)
    empty = np.empty(0)
    found = [Parameters(done.seen[-1].mean(axis=1).T @ output, empty, empty)]
    fields, normalized = [], []
    for k in reversed(range(network.depth)):
        delta = below * done.slopes[k]
        normalized.append(delta)
        if network.normalizer.of_batch:
            delta, scale, shift = batch_norm_backward(delta, done.caches[k])
        else:
            scale, shift = empty, delta.sum(axis=(0, 1))
        fields.append(delta)
        weight = np.tensordot(done.seen[k], delta, axes=((0, 1), (0, 1)))
        found.append(Parameters(weight, shift, scale))
        if k:
            below = _from_neighbours(delta @ parameters[k].weight.T, network.kernel)
    return Gradients(found[::-1], fields[::-1], normalized[::-1], output)


def loss_and_gradients(
    network: DeepNetwork, parameters: list[Parameters], inputs: ArrayLike, labels: np.ndarray
) -> tuple[float, Gradients]:
    """Evaluate the loss of a batch and its derivatives.

    Parameters
    ----------
    network : DeepNetwork
    parameters : list of Parameters
        As `DeepNetwork.initial` draws them.
    inputs : array_like
        (samples, channels), or (samples, positions, channels).
    labels : ndarray of int
        (samples,), 0 … classes − 1.

    Returns
    -------
    loss : float
    gradients : Gradients
    """
    done = forward(network, parameters, inputs)
    return cross_entropy(done.logits, labels), backward(network, parameters, done, labels)


def _logits(logits: ArrayLike) -> np.ndarray:
    """Return an array (samples, classes); logits of a network that diverges are not finite."""
    try:
        found = np.asarray(logits)
    except UNREADABLE as error:
        raise invalid("logits", "an array (samples, classes)", logits) from error
    if found.ndim != 2 or found.dtype.kind not in "iuf" or not found.size:
        raise invalid("logits", "numbers (samples, classes)", logits)
    return found


def _with_neighbours(x: np.ndarray, size: int) -> np.ndarray:
    """Put the channels of the neighbours on a circle beside those of each position."""
    if size == 1:
        return x
    reach = size // 2
    return np.concatenate([np.roll(x, -k, axis=1) for k in range(-reach, reach + 1)], axis=2)


def _from_neighbours(delta: np.ndarray, size: int) -> np.ndarray:
    """Transpose of `_with_neighbours`."""
    if size == 1:
        return delta
    reach, parts = size // 2, np.split(delta, size, axis=2)
    shifted = zip(range(-reach, reach + 1), parts, strict=True)
    return np.sum([np.roll(part, k, axis=1) for k, part in shifted], axis=0)


@lru_cache(maxsize=32)
def _value_and_slope(activation: Activation) -> Callable[..., tuple[np.ndarray, ...]]:
    return numpy_function([activation.expression, activation.derivative], [z])
