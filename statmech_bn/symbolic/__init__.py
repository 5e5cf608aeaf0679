"""Derivations in SymPy: pure algebra, no numbers. The symbols are documented in `symbols`."""

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
    "A", "B", "BatchNormGradient", "D", "Delta", "GammaDecay", "L", "M", "N", "Q", "R",
    "batch_field_averages", "batch_moments", "batch_norm_gradient", "eta", "eta_gamma", "excess_kurtosis",
    "field_averages", "gamma", "gamma_decay", "gaussian_average", "generalization_error", "lamda",
    "linear_scale", "order_parameter_flow", "phi", "rho", "skewness", "spread_moment", "t", "u",
    "v", "zeta",
]  # fmt: skip
