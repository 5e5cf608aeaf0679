r"""Losses as exponential families: ℓ(o) = A(o) − y·o up to a constant, of outputs o and labels y.

    cross_entropy   A = log Σ_k exp o_k     A'' = diag(p) − pp' = Σ_k p_k (e_k − p)(e_k − p)'
    squared         A = ½|o|²               A'' = Σ_k e_k e_k'

y is the unit vector of the class, for the squared loss any vector. A'' is the Fisher information of
the outputs; what it is a sum of squares of are its roots.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from statmech_bn.checks import choice


class Loss(NamedTuple):
    """A loss and its curvature.

    Attributes
    ----------
    mean : callable
        (outputs, labels) ↦ the mean over samples.
    roots : callable
        Outputs (samples, classes) ↦ vectors r of shape (classes, samples, classes) with
        A'' = Σ_k r_k r_k' in each sample.
    """

    mean: Callable[[Tensor, Tensor], Tensor]
    roots: Callable[[Tensor], Tensor]


def loss_named(name: str) -> Loss:
    """Return a loss, or raise InvalidSetup."""
    choice("loss", name, LOSSES)
    return LOSSES[name]


def _squared(outputs: Tensor, labels: Tensor) -> Tensor:
    if labels.ndim == 1:
        labels = functional.one_hot(labels, outputs.shape[1])
    return ((outputs - labels) ** 2).sum(1).mean() / 2


def _unit_vectors(outputs: Tensor) -> Tensor:
    unit = torch.eye(outputs.shape[1], dtype=outputs.dtype, device=outputs.device)
    return unit[:, None].expand(-1, len(outputs), -1)


def _softmax_roots(outputs: Tensor) -> Tensor:
    p = outputs.softmax(1)
    return p.sqrt().T[:, :, None] * (_unit_vectors(outputs) - p)


LOSSES = {
    "cross_entropy": Loss(functional.cross_entropy, _softmax_roots),
    "squared": Loss(_squared, _unit_vectors),
}
