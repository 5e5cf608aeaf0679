"""Derivations in SymPy: pure algebra, no numbers. The symbols are documented in `symbols`."""

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
    "A", "B", "BatchNormGradient", "D", "Delta", "FussCatalan", "GammaDecay", "L", "M", "N",
    "Q", "R", "batch_field_averages", "batch_moments", "batch_norm_gradient", "c",
    "correlation_kernel", "correlation_map", "depth", "eta", "eta_gamma", "excess_kurtosis",
    "field_averages", "fuss_catalan", "gamma", "gamma_decay", "gaussian_average",
    "generalization_error", "gradient_multiplier", "k", "lamda", "late_correlation",
    "linear_scale", "order_parameter_flow", "phi", "q", "rho", "skewness", "spread_moment", "t",
    "u", "v", "zeta",
]  # fmt: skip
