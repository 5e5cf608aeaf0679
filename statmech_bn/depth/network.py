r"""A deep network: its description, its parameters, and a step of gradient descent.

A dense network has one position and kernel 1. Weights are drawn from N(0, gain²/n) with n the
number of inputs of a unit; γ = 1 and β = 0 at first. `statmech_bn.depth.propagation` has the
equations.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike

from statmech_bn.activations import Activation
from statmech_bn.activations import activation as as_activation
from statmech_bn.checks import array, check_memory, count, instance, integer, real, sequence
from statmech_bn.depth.correlation import Layer
from statmech_bn.depth.kernel import kernel as gaussian_kernel
from statmech_bn.errors import invalid
from statmech_bn.normalization import Normalization
from statmech_bn.symbolic.correlation_map import layer_normalization

OF_A_LAYER = 64.0
"""Numbers of 8 bytes that the arrays of a layer take beside their values."""


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
            "normalization": layer_normalization(normalization).name,
            "gain": found,
            "kernel": size,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        weights = size * self.width * (self.inputs + (self.depth - 1.0) * self.width)
        held = weights + self.width * self.classes + OF_A_LAYER * self.depth
        check_memory("depth, width, inputs, classes, kernel", held)

    @property
    def normalizer(self) -> Normalization:
        """The normalization as an object."""
        return layer_normalization(self.normalization)

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
        instance("generator", generator, np.random.Generator)
        parameters, below, gain = [], self.inputs, 1.0
        for _ in range(self.depth):
            fan = self.kernel * below
            weight = generator.standard_normal((fan, self.width)) * (gain / np.sqrt(fan))
            scale = np.ones(self.width if self.normalizer.has_scale else 0)
            parameters.append(Parameters(weight, np.zeros(self.width), scale))
            below, gain = self.width, self.gain
        top = generator.standard_normal((below, self.classes)) / np.sqrt(below)
        return [*parameters, Parameters(top, np.empty(0), np.empty(0))]


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
    shapes, found = _shapes("parameters", parameters), _shapes("gradients", gradients)
    if shapes != found:
        raise invalid("gradients", f"arrays of the shapes {shapes}", found)
    return [
        Parameters(*(p - rate * d for p, d in zip(layer, slope, strict=True)))
        for layer, slope in zip(parameters, gradients, strict=True)
    ]


def check_batch(
    network: DeepNetwork, inputs: ArrayLike, labels: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs, with their positions if they have any, and labels as arrays."""
    x = samples_of(instance("network", network, DeepNetwork), inputs)
    y = classes_of("labels", labels, len(x), network.classes)
    return (x if np.ndim(inputs) == 3 else x[:, 0]), y


def classes_of(name: str, labels: ArrayLike, samples: int, classes: int) -> np.ndarray:
    """Return one integer from 0 to classes − 1 for each sample."""
    found = array(name, labels, 1, 0, classes - 1)
    if len(found) != samples or (found != found.astype(int)).any():
        raise invalid(name, f"{samples} integers from 0 to {classes - 1}", labels)
    return found.astype(int)


def samples_of(network: DeepNetwork, inputs: ArrayLike) -> np.ndarray:
    """Return inputs of shape (samples, positions, channels)."""
    x = array("inputs", inputs)
    x = x[:, None, :] if x.ndim == 2 else x
    if x.ndim != 3 or x.shape[2] != network.inputs:
        raise invalid("inputs", f"{network.inputs} channels", f"shape {np.shape(inputs)}")
    return x


def _shapes(name: str, layers: list[Parameters]) -> list[list[tuple[int, ...]]]:
    found = [instance(name, layer, Parameters) for layer in sequence(name, layers)]
    return [[np.shape(part) for part in layer] for layer in found]


def check_parameters(network: DeepNetwork, parameters: list[Parameters]) -> None:
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
