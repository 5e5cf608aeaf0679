r"""Weight normalization in networks: φ = γ h/|w| + β, whatever the batch (Salimans & Kingma 2016).

The fields h = w·x of a channel are divided by the length of its weights, which gradients know: they
have no part along w. As there, the first γ and β come from data, so that φ has mean 0 and variance
1 over a sample. With the initial weights w₀ and the statistics μ₀, σ₀ of their fields on the
sample,

    φ = γ (|w₀| h/|w| − μ₀)/σ₀ + β,    γ = 1 and β = 0 at first,

which is population normalization at the start. There, and for centred isotropic inputs always, both
are the same; in a network, σ_P of a layer moves with the layers below it, and |w| does not.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from statmech_bn.errors import invalid
from statmech_bn.networks.arguments import check_inputs, check_model
from statmech_bn.networks.normalization import kind_of
from statmech_bn.networks.surgery import fix_statistics, normalization_layers

WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
"""Maps whose first axis of weights is that of the outputs."""


class ConstantLength(nn.Module):
    """w ↦ |w₀| w/|w| for the weights of each output.

    Parameters
    ----------
    weight : torch.Tensor
        w₀, (outputs, *inputs).
    """

    length: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("length", _length(weight))

    def forward(self, weight: Tensor) -> Tensor:
        """Scale weights (outputs, *inputs)."""
        return weight * (self.length / _length(weight))


def normalize_weights(model: nn.Module, inputs: Tensor) -> nn.Module:
    """Replace every normalization layer by weight normalization of the map before it.

    Parameters
    ----------
    model : torch.nn.Module
        Each normalization layer directly follows a convolution or a linear map in one module, as
        in a Sequential. It is changed in place, unless it is refused: then nothing is.
    inputs : torch.Tensor
        (samples, channels, *positions), the sample from which the first scales come.

    Returns
    -------
    torch.nn.Module
        The model. γ and β are the same objects as before; its layers are no longer normalization
        layers of a kind, as nothing of theirs depends on data.

    Raises
    ------
    InvalidSetup
        As `replace_normalization`; or no layer is normalized, or one follows no map, or one whose
        weights are zero.

    Examples
    --------
    >>> import torch
    >>> from statmech_bn import networks
    >>> model = networks.plain_network((1, 8, 8), depth=2)
    >>> sample = torch.randn(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    >>> networks.normalize_weights(model, sample)(sample).shape
    torch.Size([20, 10])
    """
    check_inputs("inputs", inputs)
    pairs = [
        pair for parent in check_model(model).modules() for pair in pairwise(parent.children())
    ]
    maps = {layer: below for below, layer in pairs if isinstance(below, WEIGHTED)}
    layers = {n: m for n, m in normalization_layers(model).items() if kind_of(m).is_normalized}
    if not layers:
        raise invalid("model", "a model with normalized layers", type(model).__name__)
    for name, layer in layers.items():
        argument = f"model, layer {name!r}"
        if layer not in maps:
            raise invalid(argument, "a convolution or a linear map directly before it", layer)
        if not (_length(_weight(maps[layer])) > 0).all():
            raise invalid(argument, "weights before it that are not zero", maps[layer])
    fixed = fix_statistics(model, inputs)
    for layer in layers.values():
        constant = ConstantLength(_weight(maps[layer]))
        parametrize.register_parametrization(maps[layer], "weight", constant)
    return fixed


def _weight(layer: nn.Module) -> Tensor:
    return cast(Tensor, layer.weight).detach()


def _length(weight: Tensor) -> Tensor:
    return torch.linalg.vector_norm(weight, dim=tuple(range(1, weight.ndim)), keepdim=True)
