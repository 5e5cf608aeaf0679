"""The theory in networks of PyTorch: normalizations, gamma decay, training, measurements.

Needs PyTorch and scikit-learn: ``pip install ".[torch]"`` in a checkout.
"""

from statmech_bn.errors import MissingLibrary as _MissingLibrary
from statmech_bn.errors import installation as _installation

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise _MissingLibrary(
        f"statmech_bn.networks needs PyTorch, which is not installed. {_installation('torch')}"
    ) from error

from statmech_bn.networks.data import Images, load
from statmech_bn.networks.flips import flip_rate
from statmech_bn.networks.gamma_decay import decay_coefficients, gamma_penalty, layer_statistics
from statmech_bn.networks.models import plain_network, residual_network
from statmech_bn.networks.normalization import Normalization
from statmech_bn.networks.run import training_run
from statmech_bn.networks.sharpness import sharpness
from statmech_bn.networks.signals import signals
from statmech_bn.networks.steps import GammaDecay
from statmech_bn.networks.surgery import (
    in_mode,
    keeping_buffers,
    normalization_layers,
    refresh_population,
    replace_normalization,
)
from statmech_bn.networks.training import evaluate, train

__all__ = [
    "GammaDecay",
    "Images",
    "Normalization",
    "decay_coefficients",
    "evaluate",
    "flip_rate",
    "gamma_penalty",
    "in_mode",
    "keeping_buffers",
    "layer_statistics",
    "load",
    "normalization_layers",
    "plain_network",
    "refresh_population",
    "replace_normalization",
    "residual_network",
    "sharpness",
    "signals",
    "train",
    "training_run",
]
