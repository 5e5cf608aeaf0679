"""Derivations in SymPy: pure algebra, no numbers. The symbols are documented in `symbols`."""

from statmech_bn.symbolic import offline
from statmech_bn.symbolic.annealing import (
    drive_kink,
    drive_slope,
    equilibrium,
    eta_eff,
    late_time,
    misalignment,
)
from statmech_bn.symbolic.correlation_map import (
    c,
    correlation_kernel,
    correlation_map,
    depth,
    gradient_multiplier,
    late_correlation,
    q,
)
from statmech_bn.symbolic.flow import (
    batch_field_averages,
    field_averages,
    generalization_error,
    order_parameter_flow,
    spread_moment,
)
from statmech_bn.symbolic.gamma_decay import (
    GammaDecay,
    batch_moments,
    excess_kurtosis,
    gamma_decay,
    linear_scale,
    phi,
    skewness,
)
from statmech_bn.symbolic.gaussian import gaussian_average
from statmech_bn.symbolic.geometry import (
    LeastSquares,
    boundary_variance,
    flip_rate,
    least_squares_offset,
)
from statmech_bn.symbolic.own_weight import own_weight
from statmech_bn.symbolic.positions import position_decay
from statmech_bn.symbolic.rate_table import (
    RateTableRow,
    independent_gamma_decay,
    learning_rate_table,
)
from statmech_bn.symbolic.rates import (
    FixedPoint,
    divergence_learning_rate,
    effective_learning_rate,
    fixed_point,
    flow_jacobian,
    maximum_learning_rate,
)
from statmech_bn.symbolic.spectra import FussCatalan, fuss_catalan, k
from statmech_bn.symbolic.symbols import (
    A,
    B,
    D,
    Delta,
    L,
    M,
    N,
    Q,
    R,
    eta,
    eta_gamma,
    gamma,
    lamda,
    rho,
    t,
    u,
    v,
    zeta,
)
from statmech_bn.symbolic.transform import BatchNormGradient, batch_norm_gradient

__all__ = [
    "A", "B", "BatchNormGradient", "D", "Delta", "FixedPoint", "FussCatalan", "GammaDecay", "L",
    "LeastSquares", "M", "N", "Q", "R", "RateTableRow", "batch_field_averages", "batch_moments",
    "batch_norm_gradient", "boundary_variance", "c", "correlation_kernel", "correlation_map",
    "depth", "divergence_learning_rate", "drive_kink", "drive_slope", "effective_learning_rate",
    "equilibrium", "eta", "eta_eff", "eta_gamma", "excess_kurtosis", "field_averages",
    "fixed_point", "flip_rate", "flow_jacobian", "fuss_catalan", "gamma", "gamma_decay",
    "gaussian_average", "generalization_error", "gradient_multiplier", "independent_gamma_decay",
    "k", "lamda", "late_correlation", "late_time", "learning_rate_table", "least_squares_offset",
    "linear_scale", "maximum_learning_rate", "misalignment", "offline", "order_parameter_flow",
    "own_weight", "phi", "position_decay", "q", "rho", "skewness", "spread_moment", "t", "u", "v",
    "zeta",
]  # fmt: skip
