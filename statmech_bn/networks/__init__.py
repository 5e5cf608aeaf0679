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

from statmech_bn.networks.covariate_shift import gradient_shift, unit_quantiles
from statmech_bn.networks.data import Images, load
from statmech_bn.networks.flips import flip_rate
from statmech_bn.networks.gamma_decay import decay_coefficients, gamma_penalty, layer_statistics
from statmech_bn.networks.models import dense_network, plain_network, residual_network
from statmech_bn.networks.noise import noise_behind
from statmech_bn.networks.normalization import Normalization
from statmech_bn.networks.run import training_run
from statmech_bn.networks.sharpness import fisher_eigenvalues, sharpness
from statmech_bn.networks.signals import signals
from statmech_bn.networks.steps import GammaDecay
from statmech_bn.networks.surgery import (
    fix_statistics,
    in_mode,
    keeping_buffers,
    normalization_layers,
    refresh_population,
    replace_normalization,
)
from statmech_bn.networks.training import evaluate, train
from statmech_bn.networks.weight_normalization import normalize_weights

__all__ = [
    "GammaDecay",
    "Images",
    "Normalization",
    "decay_coefficients",
    "dense_network",
    "evaluate",
    "fisher_eigenvalues",
    "fix_statistics",
    "flip_rate",
    "gamma_penalty",
    "gradient_shift",
    "in_mode",
    "keeping_buffers",
    "layer_statistics",
    "load",
    "noise_behind",
    "normalization_layers",
    "normalize_weights",
    "plain_network",
    "refresh_population",
    "replace_normalization",
    "residual_network",
    "sharpness",
    "signals",
    "train",
    "training_run",
    "unit_quantiles",
]
