"""A statistical-mechanics laboratory for batch normalization.

One physical system, a student that learns from a teacher through a normalization, at three levels
that agree: `macroscopic` (ODEs, N → ∞), `mesoscopic` (the exact chain of the order parameters at
finite N) and `microscopic` (N weights). `symbolic` derives what they compute.
"""

from importlib.metadata import version as _version

from statmech_bn import (
    codegen,
    errors,
    geometry,
    layers,
    offline,
    plot,
    study,
    sweeps,
    symbolic,
)
from statmech_bn.activations import Activation, activation
from statmech_bn.dataset import open_dataset as open
from statmech_bn.dataset import save
from statmech_bn.online import (
    Inputs,
    batch_loss,
    effective_gamma_decay,
    loss_minimum,
    macroscopic,
    mesoscopic,
    microscopic,
    rates,
    schedules,
    stationary_gamma,
)
from statmech_bn.sweeps import sweep
from statmech_bn.teacher_student import OrderParameters, TeacherStudent

__version__ = _version("statmech_bn")
__all__ = [
    "Activation",
    "Inputs",
    "OrderParameters",
    "TeacherStudent",
    "__version__",
    "activation",
    "batch_loss",
    "codegen",
    "effective_gamma_decay",
    "errors",
    "geometry",
    "layers",
    "loss_minimum",
    "macroscopic",
    "mesoscopic",
    "microscopic",
    "offline",
    "open",
    "plot",
    "rates",
    "save",
    "schedules",
    "stationary_gamma",
    "study",
    "sweep",
    "sweeps",
    "symbolic",
]
