"""A statistical-mechanics laboratory for batch normalization.

One physical system, a student that learns from a teacher through a normalization, at three levels
that agree: `macroscopic` (ODEs, N → ∞), `mesoscopic` (the exact chain of the order parameters at
finite N) and `microscopic` (N weights). `symbolic` derives what they compute.
"""

from importlib.metadata import version as _version

from statmech_bn import codegen, errors, offline, plot, plot_offline, symbolic
from statmech_bn.activations import Activation, activation
from statmech_bn.dataset import open_dataset as open
from statmech_bn.dataset import save
from statmech_bn.online import Inputs, macroscopic, mesoscopic, microscopic
from statmech_bn.teacher_student import OrderParameters, TeacherStudent

__version__ = _version("statmech_bn")
__all__ = [
    "Activation",
    "Inputs",
    "OrderParameters",
    "TeacherStudent",
    "__version__",
    "activation",
    "codegen",
    "errors",
    "macroscopic",
    "mesoscopic",
    "microscopic",
    "offline",
    "open",
    "plot",
    "plot_offline",
    "save",
    "symbolic",
]
