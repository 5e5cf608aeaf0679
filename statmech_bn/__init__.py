"""A statistical-mechanics laboratory for batch normalization.

One physical system, a student that learns from a teacher through a normalization, at three levels
that agree: `macroscopic` (ODEs, N → ∞), `mesoscopic` (the exact chain of the order parameters at
finite N) and `microscopic` (N weights). `symbolic` derives what they compute.

Each name is imported when it is first asked for (PEP 562), so that ``import statmech_bn`` does not
wait for SymPy, Numba or matplotlib. `networks` needs PyTorch, and is not in ``__all__``.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

if _TYPE_CHECKING:
    from statmech_bn import (
        codegen,
        depth,
        errors,
        geometry,
        inference,
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
    from statmech_bn.measurement import measure
    from statmech_bn.online import momentum, rates, schedules
    from statmech_bn.online.gamma.batch_loss import batch_loss, loss_minimum
    from statmech_bn.online.gamma.coupled_decay import coupled_gamma_decay
    from statmech_bn.online.gamma.effective_decay import effective_gamma_decay
    from statmech_bn.online.gamma.stationary import stationary_gamma
    from statmech_bn.online.inputs import Inputs
    from statmech_bn.online.macroscopic import macroscopic
    from statmech_bn.online.mesoscopic import mesoscopic
    from statmech_bn.online.microscopic import microscopic
    from statmech_bn.spectrum import Spectrum
    from statmech_bn.sweeps.run import sweep
    from statmech_bn.teacher_student import OrderParameters, TeacherStudent

    __version__: str

_PLACES = {
    "Activation": "activations:Activation",
    "Inputs": "online.inputs:Inputs",
    "OrderParameters": "teacher_student:OrderParameters",
    "Spectrum": "spectrum:Spectrum",
    "TeacherStudent": "teacher_student:TeacherStudent",
    "activation": "activations:activation",
    "batch_loss": "online.gamma.batch_loss:batch_loss",
    "codegen": "codegen",
    "coupled_gamma_decay": "online.gamma.coupled_decay:coupled_gamma_decay",
    "depth": "depth",
    "effective_gamma_decay": "online.gamma.effective_decay:effective_gamma_decay",
    "errors": "errors",
    "geometry": "geometry",
    "inference": "inference",
    "layers": "layers",
    "loss_minimum": "online.gamma.batch_loss:loss_minimum",
    "macroscopic": "online.macroscopic:macroscopic",
    "measure": "measurement:measure",
    "mesoscopic": "online.mesoscopic:mesoscopic",
    "microscopic": "online.microscopic:microscopic",
    "momentum": "online.momentum",
    "networks": "networks",
    "offline": "offline",
    "open": "dataset:open_dataset",
    "plot": "plot",
    "rates": "online.rates",
    "save": "dataset:save",
    "schedules": "online.schedules",
    "stationary_gamma": "online.gamma.stationary:stationary_gamma",
    "study": "study",
    "sweep": "sweeps.run:sweep",
    "sweeps": "sweeps",
    "symbolic": "symbolic",
}
"""Each public name has a module, and a name in it unless it is the module itself."""

__all__ = [
    "Activation",
    "Inputs",
    "OrderParameters",
    "Spectrum",
    "TeacherStudent",
    "__version__",
    "activation",
    "batch_loss",
    "codegen",
    "coupled_gamma_decay",
    "depth",
    "effective_gamma_decay",
    "errors",
    "geometry",
    "inference",
    "layers",
    "loss_minimum",
    "macroscopic",
    "measure",
    "mesoscopic",
    "microscopic",
    "momentum",
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


def __getattr__(name: str) -> _Any:
    if name == "__version__":
        value: _Any = _import_module("importlib.metadata").version(__name__)
    elif name in _PLACES:
        module, _, attribute = _PLACES[name].partition(":")
        try:
            value = _import_module(f"{__name__}.{module}")
        except ImportError as error:
            errors = _import_module(f"{__name__}.errors")
            if not isinstance(error, errors.MissingLibrary):
                raise
            value = errors.Missing(f"{__name__}.{module}", error)
        if attribute:
            value = getattr(value, attribute)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
