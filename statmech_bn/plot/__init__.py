"""Figures, one function per kind, each taking Datasets and returning a matplotlib Figure.

Figures are made without pyplot: there is nothing to close. `save_figure` writes them.
"""

from statmech_bn.plot.curves import Panel, curves
from statmech_bn.plot.finite_sets import against
from statmech_bn.plot.gamma_decay import (
    differences,
    effective_decay,
    loss_landscape,
    shrinkage,
    shrinkage_kurtosis,
    shrinkage_parts,
)
from statmech_bn.plot.geometry import (
    boundary_density,
    boundary_jitter,
    flip_rates,
    margins,
    partitions,
    squared_distance,
)
from statmech_bn.plot.phase_diagram import phase_diagram
from statmech_bn.plot.style import save_figure
from statmech_bn.plot.trajectories import VARIABLES, final_error, trajectories

__all__ = [
    "Panel",
    "VARIABLES",
    "against",
    "curves",
    "boundary_density",
    "boundary_jitter",
    "differences",
    "effective_decay",
    "final_error",
    "flip_rates",
    "loss_landscape",
    "margins",
    "partitions",
    "phase_diagram",
    "save_figure",
    "shrinkage",
    "shrinkage_kurtosis",
    "shrinkage_parts",
    "squared_distance",
    "trajectories",
]
