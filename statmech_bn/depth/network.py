r"""A deep network in plain NumPy: forward, backward by hand, with or without batch normalization.

Layer l = 1 … depth takes the outputs x of the one below, of shape (samples, positions, channels):

    h = x W                  fields; in a convolution x also holds the neighbours (circular)
    φ = γ (h − μ_B)/σ_B + β  with batch normalization, over samples and positions; else φ = h + β
    x ← g(φ)

On top, outputs averaged over positions give the logits of a softmax with cross-entropy, averaged
over the batch. A dense network has one position and kernel 1. Weights are drawn from N(0, gain²/n)
with n the number of inputs of a unit; γ = 1 and β = 0 at first.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike
from scipy.special import logsumexp

from statmech_bn.activations import Activation, z
from statmech_bn.activations import activation as as_activation
from statmech_bn.checks import UNREADABLE, array, choice, count, instance, integer, real, sequence
from statmech_bn.codegen import numpy_function
from statmech_bn.depth.correlation import Layer
from statmech_bn.depth.kernel import kernel as gaussian_kernel
from statmech_bn.errors import invalid
from statmech_bn.layers import BatchNormCache, batch_norm_backward, batch_norm_forward

EPSILON = 1e-12
"""Added to the variance of a channel, which may be constant over a batch."""


class Parameters(NamedTuple):
    """Parameters of one layer, or derivatives of the loss with respect to them.

    Attributes
    ----------
    weight : ndarray
        (kernel × channels below, channels).
    shift, scale : ndarray
        β and γ, (channels,); the scale is empty without batch normalization, and both are on top.
    """

    weight: np.ndarray
    shift: np.ndarray
    scale: np.ndarray


@dataclass(frozen=True)
class DeepNetwork:
    """A classifier of many layers.

    Parameters
    ----------
    depth : int
        Number of hidden layers, ≥ 1.
    width : int
        Channels of each.
    inputs, classes : int
        Channels of the inputs; number of classes.
    activation : str, sympy.Expr or Activation
    normalization : {"none", "batch"}
    gain : float, optional
        Standard deviation of the hidden weights, times √inputs; default: the one that keeps the
        variance of unit fields, 1/√E[g²], which is √2 for ReLU.
    kernel : int
        Odd number of positions that a unit sees.

    Raises
    ------
    InvalidSetup
        An argument is outside of its range.
    """

    depth: int
    width: int
    inputs: int
    classes: int
    activation: Activation
    normalization: str
    gain: float
    kernel: int

    def __init__(
        self,
        depth: int,
        width: int,
        inputs: int,
        classes: int = 10,
        activation: str | sp.Expr | Activation = "relu",
        normalization: str = "none",
        gain: float | None = None,
        kernel: int = 1,
    ) -> None:
        g = as_activation(activation)
        choice("normalization", normalization, ("none", "batch"))
        found = keeping_gain(g) if gain is None else real("gain", gain, minimum=0.0)
        if found == 0:
            raise invalid("gain", "a number > 0", gain)
        size = integer("kernel", kernel, 1)
        if size % 2 == 0:
            raise invalid("kernel", "an odd integer", kernel, "A unit sits amid what it sees.")
        values = {
            "depth": count("depth", depth, 1),
            "width": count("width", width, 1),
            "inputs": count("inputs", inputs, 1),
            "classes": count("classes", classes, 2),
            "activation": g,
            "normalization": normalization,
            "gain": found,
            "kernel": size,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def layer(self) -> Layer:
        """A hidden layer of infinite width, at the initialization."""
        return Layer(self.activation, self.normalization, self.gain**2)

    def to_attrs(self) -> dict[str, str]:
        """Return Dataset attributes that say which network it was."""
        values = {**vars(self), "activation": self.activation.to_text()}
        return {"network": json.dumps(values)}

    def initial(self, generator: np.random.Generator) -> list[Parameters]:
        """Draw parameters: those of the hidden layers, then those on top.

        The first layer and the top, which no activation precedes, have gain 1.
        """
        parameters, below, gain = [], self.inputs, 1.0
        for _ in range(self.depth):
            fan = self.kernel * below
            weight = generator.standard_normal((fan, self.width)) * (gain / np.sqrt(fan))
            scale = np.ones(self.width if self.normalization == "batch" else 0)
            parameters.append(Parameters(weight, np.zeros(self.width), scale))
            below, gain = self.width, self.gain
        top = generator.standard_normal((below, self.classes)) / np.sqrt(below)
        return [*parameters, Parameters(top, np.empty(0), np.empty(0))]


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


def keeping_gain(activation: str | sp.Expr | Activation) -> float:
    """Return the gain under which unit fields keep their variance, 1/√E[g²].

    Parameters
    ----------
    activation : str, sympy.Expr or Activation

    Returns
    -------
    float

    Examples
    --------
    >>> round(keeping_gain("relu") ** 2, 6)
    2.0
    """
    return float(1 / np.sqrt(gaussian_kernel(activation, 1.0)))


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
    _check_parameters(network, parameters)
    x = _samples(network, inputs)
    g = _value_and_slope(network.activation)
    seen, fields, caches, slopes = [], [], [], []
    for layer in parameters[:-1]:
        seen.append(_with_neighbours(x, network.kernel))
        h = seen[-1] @ layer.weight
        fields.append(h)
        if network.normalization == "batch":
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
    _check_parameters(network, parameters)
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
        if network.normalization == "batch":
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


def stepped(
    parameters: list[Parameters], gradients: list[Parameters], learning_rate: float
) -> list[Parameters]:
    """Take one step against the gradients in all layers at once.

    Parameters
    ----------
    parameters : list of Parameters
    gradients : list of Parameters
        Those of the loss, `Gradients.parameters`.
    learning_rate : float
        η.

    Returns
    -------
    list of Parameters
        New arrays; the old ones are left as they were.
    """
    rate = real("learning_rate", learning_rate)
    shapes = [
        [
            [np.shape(part) for part in instance(name, layer, Parameters)]
            for layer in sequence(name, given)
        ]
        for name, given in (("parameters", parameters), ("gradients", gradients))
    ]
    if shapes[0] != shapes[1]:
        raise invalid("gradients", f"arrays of the shapes {shapes[0]}", shapes[1])
    return [
        Parameters(*(p - rate * d for p, d in zip(layer, slope, strict=True)))
        for layer, slope in zip(parameters, gradients, strict=True)
    ]


def check_batch(
    network: DeepNetwork, inputs: ArrayLike, labels: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs, with their positions if they have any, and labels as arrays."""
    x = _samples(instance("network", network, DeepNetwork), inputs)
    y = classes_of("labels", labels, len(x), network.classes)
    return (x if np.ndim(inputs) == 3 else x[:, 0]), y


def classes_of(name: str, labels: ArrayLike, samples: int, classes: int) -> np.ndarray:
    """Return one integer from 0 to classes − 1 for each sample."""
    found = array(name, labels, 1, 0, classes - 1)
    if len(found) != samples or (found != found.astype(int)).any():
        raise invalid(name, f"{samples} integers from 0 to {classes - 1}", labels)
    return found.astype(int)


def _samples(network: DeepNetwork, inputs: ArrayLike) -> np.ndarray:
    """Return inputs of shape (samples, positions, channels)."""
    x = array("inputs", inputs)
    x = x[:, None, :] if x.ndim == 2 else x
    if x.ndim != 3 or x.shape[2] != network.inputs:
        raise invalid("inputs", f"{network.inputs} channels", f"shape {np.shape(inputs)}")
    return x


def _logits(logits: ArrayLike) -> np.ndarray:
    """Return an array (samples, classes); logits of a network that diverges are not finite."""
    try:
        found = np.asarray(logits)
    except UNREADABLE as error:
        raise invalid("logits", "an array (samples, classes)", logits) from error
    if found.ndim != 2 or found.dtype.kind not in "iuf" or not found.size:
        raise invalid("logits", "numbers (samples, classes)", logits)
    return found


def _shapes(name: str, layers: list[Parameters]) -> list[list[tuple[int, ...]]]:
    found = [instance(name, layer, Parameters) for layer in sequence(name, layers)]
    return [[np.shape(part) for part in layer] for layer in found]


def _check_parameters(network: DeepNetwork, parameters: list[Parameters]) -> None:
    """Raise InvalidSetup unless these are parameters of the network."""
    depth = instance("network", network, DeepNetwork).depth
    layers = sequence("parameters", parameters)
    if len(layers) != depth + 1 or not all(isinstance(layer, Parameters) for layer in layers):
        raise invalid("parameters", f"{depth + 1} Parameters", parameters, "See network.initial.")
    fan = network.inputs
    for k, layer in enumerate(layers):
        width = network.classes if k == depth else network.width
        wanted = ((fan if k == depth else network.kernel * fan), width)
        if np.shape(layer.weight) != wanted:
            raise invalid(f"parameters[{k}].weight", f"shape {wanted}", np.shape(layer.weight))
        fan = width


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
