"""What is done to all normalization layers of a model: find, replace and refresh them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from statmech_bn.errors import invalid
from statmech_bn.networks.normalization import Normalization

LAYERS = (Normalization, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
"""Classes that count as a normalization layer; axis 1 is the channels' in all of them."""


def normalization_layers(model: nn.Module) -> dict[str, Any]:
    """Return the normalization layers of a model by name, in the order of registration."""
    return {name: m for name, m in model.named_modules() if isinstance(m, LAYERS)}


def replace_normalization(model: nn.Module, kind: str, ghost_size: int | None = None) -> nn.Module:
    """Replace every normalization layer, BatchNorm1d, 2d, 3d or ours, by one of another kind.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place.
    kind, ghost_size
        As for `Normalization`.

    Returns
    -------
    torch.nn.Module
        The model, or the new layer if the model was a single one. The parameters γ and β are the
        same objects as before, so that an optimizer that has them keeps them; population
        statistics, ε, momentum, and the mode stay too.

    Raises
    ------
    InvalidSetup
        An argument is outside of its range, or a batch normalization averages without momentum.
    """
    if isinstance(model, LAYERS):
        return _replacement(model, kind, ghost_size)
    for name, child in model.named_children():
        new = replace_normalization(child, kind, ghost_size)
        if new is not child:
            setattr(model, name, new)
    return model


def refresh_population(model: nn.Module, inputs: Tensor) -> None:
    """Set every layer's μ_P and σ_P² to those of its fields over a large sample, in one pass.

    Each layer sees what the refreshed layers below make of the sample, so that on the sample the
    model computes what batch normalization over all of it would.

    Parameters
    ----------
    model : torch.nn.Module
        PyTorch's own batch normalization is refreshed too.
    inputs : torch.Tensor
        (samples, channels, *positions), on the model's device.
    """

    def measure(layer: Any, arguments: tuple[Tensor, ...]) -> None:
        x = arguments[0]
        variance, mean = torch.var_mean(x, (0, *range(2, x.ndim)), correction=0)
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(variance)

    layers = [layer for layer in normalization_layers(model).values() if _has_statistics(layer)]
    with torch.no_grad(), in_mode(model, training=False), hooked(layers, before=measure):
        model(inputs)


@contextmanager
def in_mode(model: nn.Module, training: bool) -> Iterator[None]:
    """Train or evaluate for a while; each submodule's own mode comes back."""
    modes = [(module, module.training) for module in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def keeping_buffers(model: nn.Module) -> Iterator[None]:
    """Let the model compute with copies of its moving averages and other buffers for a while.

    The originals are set aside rather than written over, as graphs may still refer to the copies.
    """
    originals = [
        (module, name, buffer)
        for module in model.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]
    for module, name, buffer in originals:
        setattr(module, name, buffer.clone())
    try:
        yield
    finally:
        for module, name, buffer in originals:
            setattr(module, name, buffer)


@contextmanager
def hooked(
    layers: Sequence[nn.Module],
    before: Callable[..., Any] | None = None,
    after: Callable[..., Any] | None = None,
) -> Iterator[None]:
    """Call ``before(layer, inputs)`` and ``after(layer, inputs, output)`` in forward passes."""
    handles = [layer.register_forward_pre_hook(before) for layer in layers if before]
    handles += [layer.register_forward_hook(after) for layer in layers if after]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _has_statistics(layer: Any) -> bool:
    return getattr(layer, "kind", "batch") != "none" and layer.running_mean is not None


def _replacement(old: Any, kind: str, ghost_size: int | None) -> Normalization:
    if old.momentum is None:
        raise invalid("model", "batch normalization with a momentum", old)
    ours = isinstance(old, Normalization)
    channels, epsilon = (old.channels, old.epsilon) if ours else (old.num_features, old.eps)
    new = Normalization(channels, kind, ghost_size, epsilon, old.momentum)
    new.train(old.training)
    example = next((x for x in (old.weight, old.running_mean) if x is not None), new.weight)
    new.to(example.device, example.dtype)
    for name in ("weight", "bias", "running_mean", "running_var"):
        value = getattr(old, name)
        if value is not None:
            setattr(new, name, value)
        elif name in ("weight", "bias"):  # without γ and β they stay 1 and 0
            getattr(new, name).requires_grad_(False)
    return new
