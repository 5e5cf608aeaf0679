r"""Internal covariate shift: how what is below a layer changes what the layer learns from.

Two quantities. The distribution of a channel's fields h and of its units' inputs φ behind the
normalization (Ioffe & Szegedy 2015), by its quantiles q(p): the distance of two distributions is

    W = ∫ |q₁(p) − q₂(p)| dp,

Wasserstein's. And the gradient with respect to a layer's weights w_i, before and after the step of
the parameters below it alone (Santurkar et al. 2018, arXiv:1805.11604),

    G_i  = ∂ℓ/∂w_i (θ_1, …, θ_{i−1}, w_i, …),
    G'_i = ∂ℓ/∂w_i (θ_1 − ηG_1, …, θ_{i−1} − ηG_{i−1}, w_i, …),

of which |G'_i − G_i|/|G_i| is the shift, and G'_i·G_i/|G'_i||G_i| the cosine. For small steps
G'_i − G_i = −η Σ_{j<i} H_ij G_j, with the blocks H_ij of the Hessian.
"""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn
from torch.func import functional_call

from statmech_bn import __version__
from statmech_bn.checks import count, real
from statmech_bn.dataset import describe
from statmech_bn.errors import invalid
from statmech_bn.networks.arguments import (
    LARGEST_RATE,
    check_inputs,
    check_labels,
    check_model,
    fitting,
)
from statmech_bn.networks.losses import loss_named
from statmech_bn.networks.signals import WEIGHTED
from statmech_bn.networks.surgery import hooked, keeping_buffers, normalization_layers


def unit_quantiles(model: nn.Module, inputs: Tensor, number: int = 21) -> xr.Dataset:
    """Find the distribution of every channel before and behind each normalization layer.

    Parameters
    ----------
    model : torch.nn.Module
        With normalization layers, of any kind ("none" too); in the mode in which it is.
    inputs : torch.Tensor
        (samples, channels, *positions).
    number : int
        Quantiles, at the middles of so many equal parts of (0, 1).

    Returns
    -------
    xarray.Dataset
        ``field_quantile`` of h and ``input_quantile`` of φ over (layer, channel, probability);
        NaN where a layer has fewer channels than the widest.

    Raises
    ------
    InvalidSetup
        An argument is outside of its range, or the model has no normalization layer.
    """
    layers = list(normalization_layers(model).values())
    number = count("number", number)
    probabilities = (np.arange(number) + 0.5) / number
    if not layers:
        raise invalid("model", "a model with normalization layers", type(model).__name__)
    found: list[list[np.ndarray]] = []

    def record(layer: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        values = [x.transpose(0, 1).flatten(1).cpu().numpy() for x in (arguments[0], output)]
        found.append([np.quantile(x, probabilities, axis=1).T for x in values])

    check_inputs("inputs", inputs)
    with torch.no_grad(), keeping_buffers(model), hooked(layers, after=record), fitting(inputs):
        model(inputs)
    widest = max(len(x) for pair in found for x in pair)
    table = np.full((2, len(found), widest, number), np.nan)
    for k, pair in enumerate(found):
        table[:, k, : len(pair[0])] = pair
    dims = ("layer", "channel", "probability")
    data = {"field_quantile": (dims, table[0]), "input_quantile": (dims, table[1])}
    coordinates = {
        "layer": np.arange(1, len(found) + 1),
        "channel": np.arange(widest),
        "probability": probabilities,
    }
    attributes = {"samples": len(inputs), "version": __version__}
    return describe(xr.Dataset(data, coordinates, attributes))


def gradient_shift(
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    learning_rate: float,
    loss: str = "cross_entropy",
) -> xr.Dataset:
    """Measure how a step of the parameters below a layer turns the layer's gradient.

    Parameters
    ----------
    model : torch.nn.Module
        Its modules are registered in the order of evaluation. It is in the mode in which it is,
        and left as it was.
    inputs, labels : torch.Tensor
        One batch, which gives the step and both gradients.
    learning_rate : float
        η ≥ 0.
    loss : {"cross_entropy", "squared"}

    Returns
    -------
    xarray.Dataset
        ``gradient_shift`` and ``gradient_cosine`` over ``weight``, the convolutions and linear maps
        from 1, the lowest, for which they are 0 and 1; NaN where a gradient vanishes.

    Raises
    ------
    InvalidSetup
        An argument is outside of its range.
    """
    mean_loss = loss_named(loss).mean
    check_model(model)
    check_labels("labels", labels, check_inputs("inputs", inputs), loss)
    eta = real("learning_rate", learning_rate, 0.0, LARGEST_RATE)
    weights = [id(m.weight) for m in model.modules() if isinstance(m, WEIGHTED)]
    current = dict(model.named_parameters())

    def gradients(*names: str) -> tuple[Tensor, ...]:
        """Differentiate the loss at the current parameters."""
        here = {name: value.detach().requires_grad_() for name, value in current.items()}
        with keeping_buffers(model), fitting(inputs):
            value = mean_loss(functional_call(model, here, (inputs,)), labels)
        return torch.autograd.grad(
            value, [here[name] for name in names], allow_unused=True, materialize_grads=True
        )

    originals, rows = dict(current), []
    steps = dict(zip(current, gradients(*current), strict=True))
    for name, value in originals.items():
        if id(value) in weights:
            old, [new] = steps[name], gradients(name)
            if not torch.isfinite(new).all():
                raise invalid("learning_rate", "a step after which gradients are finite", eta)
            sizes = old.norm(), new.norm()
            rows.append(((new - old).norm() / sizes[0], (new * old).sum() / (sizes[0] * sizes[1])))
        current[name] = value.detach() - eta * steps[name]
    table = np.array([[float(x) for x in row] for row in rows]).reshape(-1, 2).T
    names = ("gradient_shift", "gradient_cosine")
    data = {name: ("weight", values) for name, values in zip(names, table, strict=True)}
    attributes = {"loss": loss, "learning_rate": eta, "samples": len(inputs)}
    attributes["version"] = __version__
    coordinates = {"weight": np.arange(1, len(rows) + 1)}
    return describe(xr.Dataset(data, coordinates, attributes))
