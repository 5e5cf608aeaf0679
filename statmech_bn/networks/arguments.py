"""Checks of what functions of networks take: a module, a batch that it accepts, a device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from statmech_bn.checks import instance
from statmech_bn.errors import NoDevice, StatmechError, invalid, shown

LARGEST_RATE = 1e30
"""Learning rates and decays are at most this, so that float32 holds them."""
MISFITS = (RuntimeError, ValueError, TypeError, IndexError, AttributeError)
"""What PyTorch raises for tensors of a shape or type that a module does not take."""


def check_model(model: Any) -> nn.Module:
    """Return a module of PyTorch."""
    return instance("model", model, nn.Module, "Make one by plain_network.")


def check_inputs(name: str, inputs: Any) -> Tensor:
    """Return a batch of at least one sample, finite and of floating-point numbers."""
    instance(name, inputs, Tensor, "Use torch.as_tensor.")
    if inputs.ndim < 2 or not inputs.numel() or not inputs.is_floating_point():
        got = f"{inputs.dtype} of shape {tuple(inputs.shape)}"
        raise invalid(name, "floating-point numbers of shape (samples, channels, ...)", got)
    if not torch.isfinite(inputs).all():
        raise invalid(name, "finite numbers", "some that are not")
    return inputs


def check_labels(name: str, labels: Any, inputs: Tensor, loss: str = "cross_entropy") -> Tensor:
    """Return a label for each sample: a class, or for the squared loss also a vector."""
    instance(name, labels, Tensor, "Use torch.as_tensor.")
    of_classes = labels.dtype == torch.int64 and labels.ndim == 1 and bool((labels >= 0).all())
    vectors = loss == "squared" and labels.is_floating_point() and labels.ndim == 2
    if not (of_classes or vectors) or len(labels) != len(inputs):
        got = f"{labels.dtype} of shape {tuple(labels.shape)}"
        expected = f"classes ≥ 0, int64, for each of the {len(inputs)} samples"
        raise invalid(name, expected, labels if of_classes else got, "Use labels.long().")
    return labels


def check_device(device: Any) -> torch.device:
    """Return a device on which a tensor can be made."""
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (*MISFITS, AssertionError, NotImplementedError) as error:
        raise NoDevice(f"device: PyTorch has no {shown(device)}. Use 'cpu' or 'cuda'.") from error
    return found


@contextmanager
def fitting(inputs: Tensor) -> Iterator[None]:
    """Say which batch it was that a model, or the loss of what it returns, does not take."""
    try:
        yield
    except (StatmechError, torch.OutOfMemoryError):
        raise
    except MISFITS as error:
        reason = f"The model says: {type(error).__name__}: {error}"
        expected = "a batch that the model and the loss take"
        raise invalid("inputs", expected, f"shape {tuple(inputs.shape)}", reason) from error
