r"""Classifiers of images: a dense network, a plain convolutional one, and a small residual one.

    dense      depth × [linear → normalization → ReLU] → linear
    plain      depth × [convolution 3×3 → normalization → ReLU] → mean over positions → linear
    residual   one such block, then blocks x ← ReLU(x + f(x)),
               f = convolution → normalization → ReLU → convolution → normalization

Only the top has a bias, as β is there in the others. In convolutional networks the image is halved
by a stride of 2, at a third and at two thirds of the depth, while it has more than two rows and
columns; the number of channels is the same in all layers. Weights are drawn from N(0, 2/n) with n
the number of inputs of a unit (He et al. 2015), those of the top from N(0, 1/n); γ = 1 and β = 0.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from statmech_bn.checks import integer, integers
from statmech_bn.errors import invalid
from statmech_bn.networks.normalization import Normalization
from statmech_bn.random.streams import stream

DEEPEST = 32
"""The plain network has at most so many hidden layers."""
MOST_BLOCKS = 1000
"""The residual network has at most so many blocks."""
MOST_CHANNELS = 4096
"""A layer has at most so many channels, as wider ones hardly fit into memory."""
SMALLEST_IMAGE = 2


class ResidualBlock(nn.Module):
    """x ← ReLU(s(x) + f(x)), f of two convolutions; s takes every other position if f does.

    Parameters
    ----------
    channels : int
    normalization, ghost_size
        As for `Normalization`.
    stride : {1, 2}
    """

    def __init__(
        self, channels: int, normalization: str, ghost_size: int | None, stride: int
    ) -> None:
        super().__init__()
        self.stride = stride
        self.branch = nn.Sequential(
            *_block(channels, channels, normalization, ghost_size, stride),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            Normalization(channels, normalization, ghost_size),
        )
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Evaluate on images (batch, channels, rows, columns)."""
        kept = x[:, :, :: self.stride, :: self.stride]
        return self.activation(kept + self.branch(x))


def plain_network(
    shape: tuple[int, int, int],
    classes: int = 10,
    depth: int = 4,
    channels: int = 16,
    normalization: str = "batch",
    ghost_size: int | None = None,
    seed: int = 0,
) -> nn.Sequential:
    """Make a plain convolutional network.

    Parameters
    ----------
    shape : tuple of int
        Channels, rows and columns of the images.
    classes : int
    depth : int
        Hidden layers, 1 to 32.
    channels : int
        Channels of each hidden layer.
    normalization : {"none", "batch", "mean", "spread", "population", "frozen"}
        As for `Normalization`.
    ghost_size : int, optional
        As for `Normalization`.
    seed : int
        The initial weights follow from it alone, on any device.

    Returns
    -------
    torch.nn.Sequential

    Raises
    ------
    InvalidSetup
        An argument is outside of its range.

    Examples
    --------
    >>> import torch
    >>> plain_network((1, 8, 8), depth=2)(torch.zeros(5, 1, 8, 8)).shape
    torch.Size([5, 10])
    """
    depth = integer("depth", depth, 1, maximum=DEEPEST)
    channels = integer("channels", channels, 1, maximum=MOST_CHANNELS)
    layers: list[nn.Module] = []
    below = _channels(shape)
    for stride in _strides(depth, shape):
        layers += _block(below, channels, normalization, ghost_size, stride)
        below = channels
    return _initialized(nn.Sequential(*layers, *_top(channels, classes)), seed)


def residual_network(
    shape: tuple[int, int, int],
    classes: int = 10,
    depth: int = 4,
    channels: int = 16,
    normalization: str = "batch",
    ghost_size: int | None = None,
    seed: int = 0,
) -> nn.Sequential:
    """Make a residual network of `depth` blocks of two convolutions; as `plain_network`.

    Parameters
    ----------
    shape : tuple of int
        Channels, rows and columns of the images.
    classes : int
    depth : int
        Number of blocks.
    channels : int
        Channels of each hidden layer.
    normalization : {"none", "batch", "mean", "spread", "population", "frozen"}
        As for `Normalization`.
    ghost_size : int, optional
        As for `Normalization`.
    seed : int
        The initial weights follow from it alone, on any device.

    Returns
    -------
    torch.nn.Sequential
    """
    depth = integer("depth", depth, 1, maximum=MOST_BLOCKS)
    channels = integer("channels", channels, 1, maximum=MOST_CHANNELS)
    stem = _block(_channels(shape), channels, normalization, ghost_size, 1)
    blocks = [
        ResidualBlock(channels, normalization, ghost_size, stride)
        for stride in _strides(depth, shape)
    ]
    return _initialized(nn.Sequential(*stem, *blocks, *_top(channels, classes)), seed)


def dense_network(
    shape: tuple[int, int, int],
    classes: int = 10,
    depth: int = 4,
    channels: int = 64,
    normalization: str = "batch",
    ghost_size: int | None = None,
    seed: int = 0,
) -> nn.Sequential:
    """Make a network of dense layers of as many units as there are channels; as `plain_network`.

    Parameters
    ----------
    shape : tuple of int
        Channels, rows and columns of the images.
    classes : int
    depth : int
        Hidden layers, 1 to 32.
    channels : int
        Units of each hidden layer.
    normalization : {"none", "batch", "mean", "spread", "population", "frozen"}
        As for `Normalization`.
    ghost_size : int, optional
        As for `Normalization`.
    seed : int
        The initial weights follow from it alone, on any device.

    Returns
    -------
    torch.nn.Sequential
    """
    units = integer("channels", channels, 1, maximum=MOST_CHANNELS)
    _channels(shape)
    layers: list[nn.Module] = [nn.Flatten()]
    below = math.prod(shape)
    for _ in range(integer("depth", depth, 1, maximum=DEEPEST)):
        layers += [
            nn.Linear(below, units, bias=False),
            Normalization(units, normalization, ghost_size),
            nn.ReLU(),
        ]
        below = units
    outputs = integer("classes", classes, 2, maximum=MOST_CHANNELS)
    return _initialized(nn.Sequential(*layers, nn.Linear(units, outputs)), seed)


NETWORKS = {"dense": dense_network, "plain": plain_network, "residual": residual_network}


def _block(
    below: int, channels: int, normalization: str, ghost_size: int | None, stride: int
) -> list[nn.Module]:
    return [
        nn.Conv2d(below, channels, 3, stride, padding=1, bias=False),
        Normalization(channels, normalization, ghost_size),
        nn.ReLU(),
    ]


def _top(channels: int, classes: int) -> list[nn.Module]:
    outputs = integer("classes", classes, 2, maximum=MOST_CHANNELS)
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, outputs)]


def _channels(shape: tuple[int, int, int]) -> int:
    sizes = integers("shape", shape, 1)
    if len(sizes) != 3:
        raise invalid("shape", "channels, rows and columns", shape)
    return sizes[0]


def _strides(depth: int, shape: tuple[int, int, int]) -> list[int]:
    side, strides = min(shape[1:]), []
    halved = {depth // 3, 2 * depth // 3} if depth > 1 else set()
    for level in range(depth):
        stride = 2 if level in halved and side > SMALLEST_IMAGE else 1
        side = math.ceil(side / stride)
        strides.append(stride)
    return strides


def _initialized(model: nn.Sequential, seed: int) -> nn.Sequential:
    generator = stream(integer("seed", seed, 0), 40)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                shape = module.weight.shape
                gain = 1.0 if module.bias is not None else 2.0
                deviation = math.sqrt(gain / math.prod(shape[1:]))
                drawn = torch.from_numpy(deviation * generator.standard_normal(tuple(shape)))
                module.weight.copy_(drawn)
                if module.bias is not None:
                    module.bias.zero_()
    return model
