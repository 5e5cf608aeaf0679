"""What is done to all normalization layers of a model: find, replace and refresh them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence, ValuesView
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from statmech_bn.checks import flag
from statmech_bn.errors import NetworkWarning, invalid
from statmech_bn.networks.arguments import check_inputs, check_model, fitting
from statmech_bn.networks.normalization import Normalization, kind_of, mean_and_variance

LAYERS = (Normalization, _BatchNorm)
"""Layers of these classes are normalization layers; axis 1 is that of the channels.

PyTorch's are BatchNorm1d, 2d and 3d, SyncBatchNorm, the lazy ones, and whatever is derived from
them. InstanceNorm, GroupNorm and LayerNorm are none of these.
"""
PARAMETERS = {"weight", "bias"}
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
INTERNAL = {"_modules", "_parameters", "_buffers", *HOOKS}
"""Attributes in which PyTorch itself keeps what belongs to a module."""
CALLS = ("__call__", "forward", "train", "eval")
"""Methods that decide what a layer computes; one that always evaluates, say, has its own train."""


def normalization_layers(model: nn.Module) -> dict[str, Any]:
    """Return the normalization layers of a model by name, in the order of registration.

    Parameters
    ----------
    model : torch.nn.Module

    Returns
    -------
    dict
        From name to `Normalization` or one of PyTorch's batch normalizations.
    """
    return {name: m for name, m in check_model(model).named_modules() if isinstance(m, LAYERS)}


def replace_normalization(model: nn.Module, kind: str, ghost_size: int | None = None) -> nn.Module:
    """Replace every normalization layer, BatchNorm1d, 2d, 3d or ours, by one of another kind.

    A layer that stands at several places is replaced by one new layer at all of them. Layers of
    other kinds (InstanceNorm, GroupNorm, LayerNorm) are left as they are.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place, unless a layer is refused: then nothing is.
    kind : {"none", "batch", "mean", "spread", "population", "frozen"}
        As for `Normalization`.
    ghost_size : int, optional
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
        An argument is outside of its range, or a layer computes something else than
        `Normalization` can: a subclass with its own forward pass (an activation) or ``train``
        (always in evaluation), SyncBatchNorm, a lazy layer that has not seen a batch, one without
        running statistics or without momentum, one with hooks or parametrizations, one that a
        module holds in a list as well, or a scripted model. The message has the layer's name.
    """
    _check_model(model)
    layers = normalization_layers(model)
    if not layers:
        message = "The model has no layer of batch normalization: nothing is replaced."
        warnings.warn(message, NetworkWarning, stacklevel=2)
    new = {layer: _replacement(name, layer, kind, ghost_size) for name, layer in layers.items()}
    return exchanged(model, new)


def fix_statistics(model: nn.Module, inputs: Tensor) -> nn.Module:
    """Fix the statistics of all normalization layers to what a sample has now.

    What is left is an initialization by data: a network whose fields have mean 0 and variance 1 on
    the sample with these weights, and whose statistics stay what they are when the weights change.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place.
    inputs : torch.Tensor
        (samples, channels, *positions), on the model's device.

    Returns
    -------
    torch.nn.Module
        The model, or the new layer if the model was a single one; γ and β are the same objects as
        before.

    Raises
    ------
    InvalidSetup
        As `replace_normalization`.
    """
    _check_model(model)
    refresh_population(model, inputs)
    new: dict[nn.Module, nn.Module] = {
        layer: FixedStatistics(_replacement(name, layer, "frozen", None))
        for name, layer in normalization_layers(model).items()
        if kind_of(layer).is_normalized
    }
    return exchanged(model, new)


class FixedStatistics(nn.Module):
    """φ = γ(h − μ)/σ + β with constants μ and σ, which no longer counts as a normalization layer.

    Parameters
    ----------
    layer : Normalization
        It has the parameters and the statistics.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, layer: Normalization) -> None:
        super().__init__()
        self.weight, self.bias, self.epsilon = layer.weight, layer.bias, layer.epsilon
        self.register_buffer("mean", layer.running_mean)
        self.register_buffer("variance", layer.running_var)

    def forward(self, x: Tensor) -> Tensor:
        """Transform x of shape (batch, channels, *positions)."""
        fixed = self.mean, self.variance, self.weight, self.bias
        return functional.batch_norm(x, *fixed, False, 0.0, self.epsilon)


def exchanged(model: nn.Module, new: Mapping[nn.Module, nn.Module]) -> nn.Module:
    """Put new modules in the places of old ones; return the model, or what takes its place."""
    if model in new:
        return new[model]
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):
            if child in new:
                setattr(parent, name, new[child])
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
        mean, variance = mean_and_variance(arguments[0])
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(variance)

    layers = [layer for layer in normalization_layers(model).values() if _has_statistics(layer)]
    check_inputs("inputs", inputs)
    with (
        torch.no_grad(),
        in_mode(model, training=False),
        hooked(layers, before=measure),
        fitting(inputs),
    ):
        model(inputs)


@contextmanager
def in_mode(model: nn.Module, training: bool) -> Iterator[None]:
    """Train or evaluate for a while; each submodule's own mode comes back.

    Parameters
    ----------
    model : torch.nn.Module
    training : bool
        Otherwise it is evaluated.
    """
    check_model(model)
    flag("training", training)
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

    Parameters
    ----------
    model : torch.nn.Module
    """
    originals = [
        (module, name, buffer)
        for module in check_model(model).modules()
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
    return kind_of(layer).is_normalized and layer.running_mean is not None


def check_plain(name: str, layer: Any) -> None:
    """Raise InvalidSetup unless a layer's output is γû + β and nothing else."""
    argument = f"model, layer {name!r}" if name else "model"
    base = Normalization if isinstance(layer, Normalization) else _BatchNorm
    own = [c for c in CALLS if getattr(type(layer), c) is not getattr(base, c) or c in vars(layer)]
    if any(nn.parameter.is_lazy(x) for x in (*layer.parameters(), *layer.buffers())):
        fix = "Call the model on a batch first."
        raise invalid(argument, "a layer that knows its channels", layer, fix)
    if own:
        fix = "Replace it by BatchNorm1d, 2d or 3d with its state, and what else it does behind it."
        raise invalid(argument, "batch normalization and nothing else", layer, fix)
    if any(getattr(layer, hooks) for hooks in HOOKS) or not layer._parameters.keys() >= PARAMETERS:
        fix = "Remove them, and set them again on the new layer."
        raise invalid(argument, "a layer without hooks and parametrizations", layer, fix)


def _check_model(model: Any) -> None:
    """Raise InvalidSetup where layers cannot be exchanged, whatever they are.

    A module may hold a layer, or a method of it, in an attribute, a list or a mapping as well, and
    would go on to call it: of those only the submodules are exchanged.
    """
    names = {id(layer): name for name, layer in normalization_layers(model).items()}
    for path, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            fix = "Replace its normalization before it is scripted."
            raise invalid("model", "modules that are not scripted", path or "the model", fix)
        for key, value in vars(module).items():
            held = value.values() if isinstance(value, Mapping) else value
            for one in held if isinstance(held, (list, tuple, ValuesView)) else [held]:
                name = names.get(id(getattr(one, "__self__", one)))
                if name is not None and key not in INTERNAL:
                    where = f"a layer that is a submodule and not in {type(module).__name__}.{key}"
                    fix = "Hold it as a submodule alone, or in a ModuleList."
                    raise invalid(f"model, layer {name!r}", where, one, fix)


def _replacement(name: str, old: Any, kind: str, ghost_size: int | None) -> Normalization:
    check_plain(name, old)
    argument = f"model, layer {name!r}" if name else "model"
    if old.momentum is None:
        fix = "Give it a momentum, such as 0.1; a cumulative average is not followed."
        raise invalid(argument, "batch normalization with a momentum", old, fix)
    ours = isinstance(old, Normalization)
    if not ours and (not old.track_running_stats or old.running_mean is None):
        fix = "Make it with track_running_stats=True, and call refresh_population."
        raise invalid(argument, "batch normalization with running statistics", old, fix)
    channels, epsilon = (old.channels, old.epsilon) if ours else (old.num_features, old.eps)
    new = Normalization(channels, kind, ghost_size, epsilon, old.momentum)
    new.train(old.training)
    example = old.running_mean if old.weight is None else old.weight
    new.to(example.device, example.dtype)
    for part in new.state_dict():
        value = getattr(old, part)
        if value is not None:
            setattr(new, part, value)
        else:  # without γ and β they stay 1 and 0
            getattr(new, part).requires_grad_(False)
    new.reference_size = old.reference_size if ours else 0
    return new
