"""Gamma decay over positions: one position is `gamma_decay`; several, against simulation."""

import numpy as np
import pytest
import sympy as sp

from statmech_bn.codegen import numpy_function
from statmech_bn.errors import InvalidSetup
from statmech_bn.symbolic import M, gamma, u
from statmech_bn.symbolic.gamma_decay import (
    PARTS,
    STATISTICS,
    batch_moments,
    excess_kurtosis,
    gamma_decay,
    skewness,
)
from statmech_bn.symbolic.positions import (
    beta_score,
    gamma_score,
    mean_variance,
    mixed_covariance,
    position_decay,
    sample_mean,
    sample_square,
    square_variance,
)

ONE_POSITION = {
    gamma_score: u * beta_score,
    sample_mean: u,
    sample_square: u**2,
    mean_variance: 1,
    square_variance: excess_kurtosis + 2,
    mixed_covariance: skewness,
}


@pytest.mark.parametrize("statistics", STATISTICS)
@pytest.mark.parametrize("part", PARTS)
def test_one_position_has_the_moments_of_a_unit(statistics, part):
    shift, square = batch_moments(statistics, part)
    own = u * shift if statistics == "correlated" else 0
    found = position_decay(statistics, part).subs(ONE_POSITION)
    assert sp.expand(found - beta_score**2 * (own + square) / 2) == 0


@pytest.mark.parametrize("statistics", STATISTICS)
def test_one_position_of_a_linear_unit_has_its_gamma_decay(statistics):
    integrand = position_decay(statistics).subs(ONE_POSITION).subs(beta_score, 1)
    moments = (1, 0, 1, skewness, excess_kurtosis + 3)
    found = sum(k * moments[n] for (n,), k in sp.Poly(integrand, u).terms())
    assert sp.simplify(found - gamma_decay(statistics, "linear").zeta.subs(gamma, 1)) == 0


@pytest.mark.parametrize("part", PARTS)
def test_correlated_positions_equal_a_simulation(part):
    """A linear unit reads the first of two correlated positions, of Gaussian fields: y = u₁.

    It stops at γ = E[y û₁]/E[û₁²], which is 1 − 2ζ to order 1/M. The noise of
    the mean alone does not move it: û₁ misses u₁ by what it is correlated with.
    """
    size, batches, correlation = 64, 40_000, 0.5
    generator = np.random.default_rng(2)
    x = generator.standard_normal((batches, size, 2))
    x[..., 1] = correlation * x[..., 0] + np.sqrt(1 - correlation**2) * x[..., 1]
    y, own, square = x[..., 0], x.mean(axis=2), (x**2).mean(axis=2)
    mean = own.mean(axis=1, keepdims=True)
    spread = np.sqrt(square.mean(axis=1, keepdims=True) - mean**2)
    output = (y - (part != "spread") * mean) / (1 if part == "mean" else spread)
    top, bottom = (y * output).mean(axis=1), (output**2).mean(axis=1)
    ratio = top.mean() / bottom.mean()
    error = np.std(top - ratio * bottom) / np.sqrt(batches) / bottom.mean()
    unit = {beta_score: 1, gamma_score: u, M: size}  # labels of unit variance: T = uG, E G² = 1
    law = {mean_variance: own.var(), square_variance: square.var(), mixed_covariance: 0}
    integrand = position_decay("correlated", part).subs(unit).subs(law)
    zeta = numpy_function([integrand], [u, sample_mean, sample_square])(y, own, square)[0].mean()
    assert zeta == pytest.approx(0, abs=1e-5) if part == "mean" else 2 * zeta > 20 / size**2
    assert abs(ratio - (1 - 2 * zeta)) < 4 * error + 1 / size**2


def test_unknown_arguments_are_refused():
    with pytest.raises(InvalidSetup, match="statistics"):
        position_decay("other")
    with pytest.raises(InvalidSetup, match="part"):
        position_decay(part="other")
