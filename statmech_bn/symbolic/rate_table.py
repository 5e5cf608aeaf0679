r"""Table 1 of Luo et al. (2019), derived: fixed points, maximum and effective learning rates.

Their table compares a student without normalization, weight normalization (WN), and batch
normalization (BN), which they treat as population normalization with gamma decay: the fixed point
(γ₀, R₀, L₀), the maximum learning rate and the effective one. No cell is copied: all are derived
here from the flow, without label noise, with η_max where the eigenvalue ∂(dR/dt)/∂R of the
Jacobian changes sign. So defined, gamma decay raises η_max, as they say of BN.

A row of this project's is added, batch normalization at finite M without approximation.

References
----------
P. Luo, X. Wang, W. Shao, Z. Peng, ICLR 2019, arXiv:1809.00846.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from statmech_bn.activations import activation as as_activation
from statmech_bn.activations import z
from statmech_bn.normalization import (
    BatchNormalization,
    Normalization,
    Unnormalized,
    WeightNormalization,
)
from statmech_bn.symbolic.flow import UNIT_FIELDS
from statmech_bn.symbolic.gamma_decay import batch_moments, excess_kurtosis
from statmech_bn.symbolic.gaussian import gaussian_average
from statmech_bn.symbolic.rates import fixed_point
from statmech_bn.symbolic.symbols import Delta, M, u, v, zeta

ACTIVATIONS = ("linear", "relu")
PENALIZED, PUBLISHED = "weight_gamma_decay", "batch_as_gamma_decay"
STUDENTS: dict[str, tuple[Normalization, str]] = {
    Unnormalized.kind: (Unnormalized(), ""),
    WeightNormalization.kind: (WeightNormalization(), ""),
    PENALIZED: (
        WeightNormalization(),
        "With a penalty B does not vanish at R = 1: (R₀, γ₀) is the limit while L grows, and the "
        "rates are those at the length L.",
    ),
    PUBLISHED: (
        WeightNormalization(),
        "Luo et al.: population normalization with the ζ of statistics that are independent of "
        "the sample.",
    ),
    BatchNormalization.kind: (
        BatchNormalization(),
        "Exact at finite M. A sample is one of the M that normalize it, so that γ₀ shrinks half "
        "as much. The projection leaves M − 2 of M directions and the noise carries E[1/σ_B²] = "
        "M/(M − 3): η_max is below that of weight normalization, where gamma decay puts it above. "
        "At R = 1 a linear unit has no noise left; ReLU has, so its length grows.",
    ),
}
"""The normalization of each student, and in what its row differs from the literature's."""


@dataclass(frozen=True)
class RateTableRow:
    """One student of the table.

    Attributes
    ----------
    activation, student : str
        The student is one of "none", "weight", "weight_gamma_decay", "batch_as_gamma_decay" (ζ
        of independent statistics) and "batch" (exact).
    gamma, overlap, length : sympy.Expr or None
        Fixed point; a length that is free is the symbol `L`. None where no closed form is known.
    maximum, effective : sympy.Expr or None
        η_max and η_eff there.
    remark : str
    """

    activation: str
    student: str
    gamma: sp.Expr | None
    overlap: sp.Expr | None
    length: sp.Expr | None
    maximum: sp.Expr | None
    effective: sp.Expr | None
    remark: str


def learning_rate_table() -> tuple[RateTableRow, ...]:
    """Derive the table, without label noise.

    Returns
    -------
    tuple of RateTableRow
        ReLU under exact batch statistics has no closed form: its cells are None, and
        `statmech_bn.rates.table` integrates them.

    Examples
    --------
    >>> learning_rate_table()[1].maximum
    2*L**2*M
    """
    return tuple(_row(unit, student) for unit in ACTIVATIONS for student in STUDENTS)


def independent_gamma_decay(activation: str) -> sp.Expr:
    """Derive ζ of independent statistics for Gaussian fields and squared loss, at γ = 1.

    ζ = (ρ_h + 2)/(8M) E[g'(u)²u²] + E[g'(u)²]/(2M): half of what the moments E[(û − u)² | u]
    weigh the curvature g'² of the loss with.

    Parameters
    ----------
    activation : {"linear", "relu"}

    Returns
    -------
    sympy.Expr

    Examples
    --------
    >>> independent_gamma_decay("linear")
    3/(4*M)
    """
    slope = as_activation(activation).derivative.subs(z, u)
    _, square = batch_moments("independent")
    product = square.subs(excess_kurtosis, 0) * slope**2 / 2
    return gaussian_average(sp.expand(product), (u, v), UNIT_FIELDS)


def _row(unit: str, student: str) -> RateTableRow:
    rule, remark = STUDENTS[student]
    if rule.of_batch and unit != "linear":
        return RateTableRow(unit, student, None, None, None, None, None, remark)
    point = fixed_point(rule, unit)
    penalty = sp.S.Zero
    if student == PENALIZED:
        penalty = zeta
    elif student == PUBLISHED:
        penalty = independent_gamma_decay(unit)
    cells = {
        name: _positive(sp.factor(getattr(point, name).subs({Delta: 0, zeta: penalty})))
        for name in ("gamma", "overlap", "length", "maximum", "effective")
    }
    return RateTableRow(unit, student, **cells, remark=remark)


def _positive(cell: sp.Expr) -> sp.Expr:
    """Write a/(1 − b) rather than −a/(b − 1)."""
    numerator, denominator = sp.fraction(cell)
    flip = denominator.subs({zeta: 0, M: 10}).is_negative
    return -numerator / sp.expand(-denominator) if flip else cell
