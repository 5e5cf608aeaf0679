r"""Normalization layers of PyTorch whose statistics are random, or the population's, part by part.

The n values h of a channel, over the M samples of a group and over positions, become φ = γû + β
with

    batch        û = (h − μ_B)/σ_B     batch normalization; "both" of the parts below
    mean         û = (h − μ_B)/σ_P     only the mean of the batch is random
    spread       û = (h − μ_P)/σ_B     only its standard deviation is
    population   û = (h − μ_P)/σ_P     neither
    frozen       as population, μ_P and σ_P constant in gradients
    none         φ = h + β

`statmech_bn.networks.refresh_population` measures μ_P and σ_P on a large sample. They depend on the
weights, and the gradient must know it: the population-normalized student of the teacher–student
model differentiates σ_P = |w|/√N, so that its step is orthogonal to w. For sample m, dμ_P and dσ_P²
are taken to be those of the other samples of the batch, the means of dh and 2(h − μ_P)dh. With the
gradient g with respect to φ that makes (one position; ⟨·⟩ over the others)

    population   ∂L/∂h_m = (γ/σ_P)[g_m − ⟨g⟩ − û_m ⟨gû⟩],

whose mean over batches is the gradient of population normalization, as what is multiplied is of
different samples: with means over all of the batch it would be off by 1/M. It is a noisy estimate.
Where the population itself follows behind the batch (`reference_size`), μ_P, σ_P and their
gradients are exact. With "frozen", (γ/σ_P) g_m, a step along w lowers the loss of the moment and
nothing else, and |w| grows.

A batch larger than M = `ghost_size` is cut into groups of M, each with statistics of its own, while
the gradient is the mean over all of it: the noise of the statistics without that of the gradient.
(Ghost batches: Hoffer, Hubara & Soudry 2017, arXiv:1705.08741.)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from statmech_bn.checks import choice, count, integer, real
from statmech_bn.errors import invalid
from statmech_bn.normalization import BatchNormalization
from statmech_bn.normalization.network_layer import KINDS, LayerKind

MOST_CHANNELS = 2**24
"""A layer has at most so many channels."""
SMALLEST = 3
"""A channel needs so many values for its statistics; one or two are always normalized to ±1."""


class Normalization(nn.Module):
    """One normalization of the channels, axis 1, of any number of axes of positions.

    In evaluation mode all kinds but "none" are "frozen", as PyTorch's batch normalization. The
    names of parameters and buffers are PyTorch's, so that a state dict of either fits both.

    Parameters
    ----------
    channels : int
    kind : {"none", "batch", "mean", "spread", "population", "frozen"}
    ghost_size : int, optional
        M, the samples of a group; by default all of the batch, of which it must be a divisor.
        "population" and "frozen" have no use for it.
    epsilon : float
        Added to variances.
    momentum : float
        Weight of a batch in the moving averages that "batch" keeps as PyTorch does; the other kinds
        leave the population's statistics as they are.

    Attributes
    ----------
    weight, bias : torch.nn.Parameter
        γ and β, shape (channels,). "none" keeps γ but does not use it.
    running_mean, running_var : torch.Tensor
        μ_P and σ_P², shape (channels,).
    reference_size : int
        The last so many samples of a batch in training are the population: "mean", "spread" and
        "population" take μ_P and σ_P from them, and normalize them by both. 0 at first.

    Raises
    ------
    InvalidSetup
        An argument is outside of its range. In training: the batch is no multiple of the ghost
        size, or a group has fewer than three values for a channel.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(
        self,
        channels: int,
        kind: str = "batch",
        ghost_size: int | None = None,
        epsilon: float = 1e-5,
        momentum: float = 0.1,
    ) -> None:
        super().__init__()
        hint = "Ghost batches are 'batch' with ghost_size; normalize_weights normalizes weights."
        choice("kind", kind, KINDS, hint)
        self.channels = integer("channels", channels, 1, maximum=MOST_CHANNELS)
        self.kind = kind
        self.ghost_size = None if ghost_size is None else count("ghost_size", ghost_size)
        self.epsilon = real("epsilon", epsilon, 0.0)
        self.momentum = real("momentum", momentum, 0.0, 1.0)
        self.reference_size = 0
        self.weight = nn.Parameter(torch.ones(self.channels))
        self.bias = nn.Parameter(torch.zeros(self.channels))
        self.register_buffer("running_mean", torch.zeros(self.channels))
        self.register_buffer("running_var", torch.ones(self.channels))

    def extra_repr(self) -> str:
        """Say what makes this layer another than the next."""
        ghosts = "" if self.ghost_size is None else f", ghost_size={self.ghost_size}"
        return f"{self.channels}, {self.kind!r}{ghosts}"

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Take PyTorch's state too, whose count of batches is of no use with a momentum."""
        state_dict.pop(f"{prefix}num_batches_tracked", None)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def forward(self, x: Tensor) -> Tensor:
        """Normalize x of shape (batch, channels, *positions)."""
        rule = KINDS[self.kind]
        if not rule.is_normalized:
            return x + self.bias.view(-1, *[1] * (x.ndim - 2))
        if not (rule.is_differentiated and self.training):
            mean, variance = self.running_mean, self.running_var
            return functional.batch_norm(
                x, mean, variance, self.weight, self.bias, False, 0.0, self.epsilon
            )
        if self.reference_size:
            return self._beside_reference(x)
        return self._in_groups(x, self.running_mean, self.running_var)

    def _beside_reference(self, x: Tensor) -> Tensor:
        """Normalize a batch by the samples that follow it, and those by themselves."""
        own, reference = x.tensor_split([len(x) - self.reference_size])
        mean, variance = mean_and_variance(reference)
        gamma, beta = self.weight, self.bias
        output = functional.batch_norm(reference, None, None, gamma, beta, True, 0, self.epsilon)
        return torch.cat([self._in_groups(own, mean, variance), output])

    def _in_groups(self, x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        """Normalize a batch, given the population's statistics."""
        groups = self._groups(x)
        if groups == 1:
            return self._transform(x, self.weight, self.bias, mean, variance, 1)
        stacked = x.unflatten(0, (groups, -1)).transpose(0, 1).flatten(1, 2)
        gamma, beta = self.weight.repeat(groups), self.bias.repeat(groups)
        mean, variance = mean.repeat(groups), variance.repeat(groups)
        output = self._transform(stacked, gamma, beta, mean, variance, groups)
        return output.unflatten(1, (groups, -1)).transpose(0, 1).flatten(0, 1)

    def _groups(self, x: Tensor) -> int:
        rule = KINDS[self.kind]
        drawn = rule.batch_mean or rule.batch_spread
        size = self.ghost_size if self.ghost_size and drawn else max(1, len(x))
        if len(x) % size:
            raise invalid("ghost_size", f"a divisor of the batch of {len(x)}", size)
        groups = max(1, len(x) // size)
        if x.numel() < SMALLEST * groups * self.channels:
            name = "ghost_size" if self.ghost_size and len(x) else "x"
            raise invalid(name, "three values a channel", len(x) // groups)
        return groups

    def _transform(
        self, x: Tensor, gamma: Tensor, beta: Tensor, mean: Tensor, variance: Tensor, groups: int
    ) -> Tensor:
        """Normalize x of shape (samples of a group, groups × channels, *positions)."""
        rule = KINDS[self.kind]
        if rule.batch_mean and rule.batch_spread:
            output = functional.batch_norm(
                x, mean, variance, gamma, beta, True, self.momentum, self.epsilon
            )
            if groups > 1:
                with torch.no_grad():
                    self.running_mean.copy_(mean.view(groups, -1).mean(0))
                    self.running_var.copy_(variance.view(groups, -1).mean(0))
            return output
        positions = tuple(range(2, x.ndim))
        own_mean = x.mean(positions) if positions else x
        estimated = not self.reference_size
        if rule.batch_mean:
            mean = own_mean.mean(0)
        elif estimated:
            mean = mean + _derivative(own_mean)
        if rule.batch_spread:
            variance = mean_and_variance(x)[1]
        elif estimated:
            square = (x * x).mean(positions) if positions else x * x
            centre = self.running_mean.repeat(groups)
            variance = variance + _derivative(square - 2 * centre * own_mean)
        scale = gamma * torch.rsqrt(variance + self.epsilon)
        shift = beta - scale * mean
        shape = (-1, x.shape[1], *[1] * len(positions))
        return torch.addcmul(shift.view(shape), x, scale.view(shape))


def mean_and_variance(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance of each channel, axis 1, over all other axes.

    On a processor this takes a fifth of the time of `torch.var_mean`.
    """
    axes = (0, *range(2, x.ndim))
    mean = x.mean(axes, keepdim=True)
    return mean.flatten(), (x - mean).square().mean(axes)


def kind_of(layer: Any) -> LayerKind:
    """Return what a layer takes from the batch; those of PyTorch take both."""
    own = isinstance(layer, Normalization)
    return KINDS[layer.kind if own else BatchNormalization.kind]


def _derivative(values: Tensor) -> Tensor:
    """Return zeros with the derivatives of the mean over all other samples, axis 0."""
    others = (values.sum(0) - values) / (len(values) - 1)
    return others - others.detach()
