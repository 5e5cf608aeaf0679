r"""Noise behind the normalization, which brings back the shift that the normalization took away.

In every forward pass of a training the output φ of each normalization layer becomes

    φ ← (1 + a + bζ)φ + m + bξ,   m from (−m₀, m₀), a from (0, a₀) for the channel and the pass,
                                  ξ, ζ from (−1, 1) for each unit of each sample, all uniform:

noise whose mean is not zero, whose variance is not one, and whose distribution is another one in
each step, after Santurkar et al. 2018 (arXiv:1805.11604, section 2.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from statmech_bn.checks import integer, real
from statmech_bn.networks.surgery import hooked, normalization_layers


@contextmanager
def noise_behind(
    model: nn.Module, shift: float = 0.5, stretch: float = 0.25, jitter: float = 0.1, seed: int = 0
) -> Iterator[None]:
    """Add noise behind all normalization layers in training mode for a while.

    Parameters
    ----------
    model : torch.nn.Module
    shift, stretch, jitter : float
        m₀, a₀ and b, all ≥ 0.
    seed : int
        The noise follows from it, on any device.
    """
    m, a = real("shift", shift, 0.0), real("stretch", stretch, 0.0)
    b, seed = real("jitter", jitter, 0.0), integer("seed", seed, 0)
    layers = list(normalization_layers(model).values())
    generator = torch.Generator().manual_seed(seed)

    def uniform(x: Tensor, *shape: int) -> Tensor:
        return torch.rand(shape, generator=generator).to(x)

    def disturb(layer: Any, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if not layer.training:
            return output
        channels = (1, output.shape[1], *[1] * (output.ndim - 2))
        scale = 1 + a * uniform(output, *channels)
        moved = m * (2 * uniform(output, *channels) - 1)
        single = b * (2 * uniform(output, 2, *output.shape) - 1)
        return (scale + single[0]) * output + moved + single[1]

    with hooked(layers, after=disturb):
        yield
