"""Figures, one function per kind, each taking Datasets and returning a matplotlib Figure.

Figures are made without pyplot: there is nothing to close. `save_figure` writes them.
"""

from statmech_bn.plot.style import save_figure
from statmech_bn.plot.trajectories import VARIABLES, final_error, trajectories

__all__ = ["VARIABLES", "final_error", "save_figure", "trajectories"]
