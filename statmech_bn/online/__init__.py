"""Online learning: fresh samples at each step, at three levels that must agree."""

from statmech_bn.online.macroscopic import macroscopic
from statmech_bn.online.mesoscopic import mesoscopic

__all__ = ["macroscopic", "mesoscopic"]
