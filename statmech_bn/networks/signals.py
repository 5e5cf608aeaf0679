r"""Fields and gradients on their way through a network, layer by layer (Bjorck et al. 2018).

For the gradients g with respect to a channel's fields h, of every sample and position, as in
`statmech_bn.depth.alignment`,

    alignment   |Σ g| / Σ |g|          1 if all have one sign
    coherence   (Σ g)² / (n Σ g²)      the same by squares, summed over channels

and for a weight, whose gradient is Σ xg over samples and positions, |Σ xg| / Σ |xg|. Batch
normalization makes Σ g zero for the fields that it normalizes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn
from torch.nn.grad import conv2d_weight

from statmech_bn import __version__
from statmech_bn.dataset import describe
from statmech_bn.errors import invalid
from statmech_bn.networks.arguments import check_inputs, check_labels, fitting
from statmech_bn.networks.losses import loss_named
from statmech_bn.networks.surgery import hooked, keeping_buffers, normalization_layers

WEIGHTED = (nn.Conv2d, nn.Linear)


def signals(
    model: nn.Module, inputs: Tensor, labels: Tensor, loss: str = "cross_entropy"
) -> xr.Dataset:
    """Measure the fields and gradients of a batch, in the mode in which the model is.

    Parameters
    ----------
    model : torch.nn.Module
        With normalization layers, of any kind ("none" too): those are where fields are measured.
    inputs, labels : torch.Tensor
        One batch.
    loss : {"cross_entropy", "squared"}

    Returns
    -------
    xarray.Dataset
        Over ``layer``, the normalization layers from 1: ``channel_mean`` and ``channel_variance``,
        the mean over channels of the squared mean and of the variance of h;
        ``gradient_alignment`` and ``gradient_coherence`` with respect to h, and
        ``alignment_behind`` to φ, behind the normalization; ``gradient_square``, the mean of g².
        Over ``weight``, the convolutions and linear maps from 1: ``gradient_norm`` of the loss
        with respect to the weights, and ``alignment_weights``, averaged over them.

    Raises
    ------
    InvalidSetup
        The model has no normalization layer, or the loss is unknown.
    """
    layers = list(normalization_layers(model).values())
    weighted = [m for m in model.modules() if isinstance(m, WEIGHTED)]
    mean_loss = loss_named(loss).mean
    check_labels("labels", labels, check_inputs("inputs", inputs), loss)
    if not layers:
        raise invalid("model", "a model with normalization layers", type(model).__name__)
    seen: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def record(module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor:
        seen[module] = arguments[0], output
        return output.clone()  # what follows may change it in place

    with keeping_buffers(model), hooked([*layers, *weighted], after=record), fitting(inputs):
        value = mean_loss(model(inputs), labels)
    layers = [m for m in layers if m in seen]
    weighted = [m for m in weighted if m in seen]
    wanted = [tensor for m in layers for tensor in seen[m]] + [seen[m][1] for m in weighted]
    slopes = torch.autograd.grad(value, wanted)
    rows = [_layer(seen[m][0].detach(), *slopes[2 * k : 2 * k + 2]) for k, m in enumerate(layers)]
    others = [
        _weight(m, seen[m][0].detach(), g)
        for m, g in zip(weighted, slopes[2 * len(layers) :], strict=True)
    ]
    tables = dict(layer=rows, weight=others)
    data = {
        name: (dim, np.array([row[name].item() for row in found]))
        for dim, found in tables.items()
        for name in found[0]
    }
    coordinates = {dim: np.arange(1, len(found) + 1) for dim, found in tables.items()}
    attributes = {"loss": value.item(), "samples": len(inputs), "version": __version__}
    return describe(xr.Dataset(data, coordinates, attributes))


def _layer(h: Tensor, before: Tensor, behind: Tensor) -> dict[str, Tensor]:
    others = (0, *range(2, h.ndim))
    variance, mean = torch.var_mean(h, others, correction=0)
    square = (before**2).mean()
    return {
        "channel_mean": (mean**2).mean(),
        "channel_variance": variance.mean(),
        "gradient_alignment": _mean_ratio(before.sum(others), before.abs().sum(others)),
        "alignment_behind": _mean_ratio(behind.sum(others), behind.abs().sum(others)),
        "gradient_coherence": (before.mean(others) ** 2).mean() / square,
        "gradient_square": square,
    }


def _weight(module: Any, x: Tensor, g: Tensor) -> dict[str, Tensor]:
    gradient = _weight_gradient(module, x, g)
    return {
        "gradient_norm": gradient.norm(),
        "alignment_weights": _mean_ratio(gradient, _weight_gradient(module, x.abs(), g.abs())),
    }


def _weight_gradient(module: Any, x: Tensor, g: Tensor) -> Tensor:
    if isinstance(module, nn.Linear):
        return g.T @ x
    shape = module.weight.shape
    return conv2d_weight(x, shape, g, module.stride, module.padding, module.dilation, module.groups)


def _mean_ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Average over what has a gradient; a unit that is off for all samples has none."""
    alive = denominator > 0
    return (numerator[alive].abs() / denominator[alive]).mean()
