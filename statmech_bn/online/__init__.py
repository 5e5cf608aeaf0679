"""Online learning: fresh samples at each step, at three levels that must agree."""

from statmech_bn.online import rates, schedules
from statmech_bn.online.batch_loss import batch_loss, loss_minimum
from statmech_bn.online.effective_decay import effective_gamma_decay
from statmech_bn.online.inputs import Inputs
from statmech_bn.online.macroscopic import macroscopic
from statmech_bn.online.mesoscopic import mesoscopic
from statmech_bn.online.microscopic import microscopic
from statmech_bn.online.stationary_gamma import stationary_gamma

__all__ = [
    "Inputs",
    "batch_loss",
    "effective_gamma_decay",
    "loss_minimum",
    "macroscopic",
    "mesoscopic",
    "microscopic",
    "rates",
    "schedules",
    "stationary_gamma",
]
