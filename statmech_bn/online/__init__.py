"""Online learning: fresh samples at each step, at three levels that must agree."""

from statmech_bn.online import rates
from statmech_bn.online.inputs import Inputs
from statmech_bn.online.macroscopic import macroscopic
from statmech_bn.online.mesoscopic import mesoscopic
from statmech_bn.online.microscopic import microscopic
from statmech_bn.online.stationary_gamma import stationary_gamma

__all__ = ["Inputs", "macroscopic", "mesoscopic", "microscopic", "rates", "stationary_gamma"]
