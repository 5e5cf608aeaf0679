"""Figures, one function per kind, each taking Datasets and returning a matplotlib Figure.

Figures are made without pyplot: there is nothing to close. `save_figure` writes them.
"""

from statmech_bn.plot.committees import overlaps
from statmech_bn.plot.curves import Panel, curves
from statmech_bn.plot.depth import (
    correlation_depth,
    correlation_maps,
    largest_step,
    step_growth,
    step_moments,
)
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
from statmech_bn.plot.gradients import (
    alignment_axes,
    depth_training,
    gradient_alignment,
    gradient_coherence,
    gradient_growth,
    gradient_noise,
    gradient_squares,
    step_noise,
    training_gain,
)
from statmech_bn.plot.network_noise import (
    gap_epochs,
    gap_shares,
    network_kinds,
    statistics_pull,
)
from statmech_bn.plot.network_rates import largest_rates, rate_accuracy
from statmech_bn.plot.network_signals import networks_beside_theory
from statmech_bn.plot.phase_diagram import phase_diagram
from statmech_bn.plot.printed import fit
from statmech_bn.plot.spectra import condition_numbers, spectra
from statmech_bn.plot.style import save_figure
from statmech_bn.plot.trajectories import VARIABLES, final_error, trajectories

__all__ = [
    "Panel",
    "VARIABLES",
    "against",
    "alignment_axes",
    "boundary_density",
    "boundary_jitter",
    "condition_numbers",
    "correlation_depth",
    "correlation_maps",
    "curves",
    "depth_training",
    "differences",
    "effective_decay",
    "final_error",
    "fit",
    "flip_rates",
    "gap_epochs",
    "gap_shares",
    "gradient_alignment",
    "gradient_coherence",
    "gradient_growth",
    "gradient_noise",
    "gradient_squares",
    "largest_rates",
    "largest_step",
    "loss_landscape",
    "margins",
    "networks_beside_theory",
    "network_kinds",
    "overlaps",
    "partitions",
    "phase_diagram",
    "rate_accuracy",
    "save_figure",
    "shrinkage",
    "shrinkage_kurtosis",
    "shrinkage_parts",
    "spectra",
    "squared_distance",
    "statistics_pull",
    "step_growth",
    "step_moments",
    "step_noise",
    "training_gain",
    "trajectories",
]
