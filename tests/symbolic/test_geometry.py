"""The derivations against sums over samples, orthant probabilities and simulation."""

import numpy as np
import pytest
import sympy as sp
from scipy.stats import multivariate_normal

from statmech_bn.errors import InvalidSetup
from statmech_bn.symbolic import M, boundary_variance, flip_rate, least_squares_offset
from statmech_bn.symbolic.gamma_decay import excess_kurtosis, skewness
from statmech_bn.symbolic.geometry import g, h, offset, samples, shift


@pytest.mark.parametrize("folded", [False, True])
def test_the_mean_is_the_only_minimum(folded):
    derived, number = least_squares_offset(folded), 4
    values = sp.symbols("x_1:5", real=True)
    lengths = sp.symbols("l_1:5", positive=True)

    def concrete(expression):
        written = expression.subs(samples, number).doit()
        fields = {h[k + 1]: value for k, value in enumerate(values)}
        return written.subs(fields | {g[k + 1]: length for k, length in enumerate(lengths)})

    slope = sp.diff(concrete(derived.total), offset)
    assert sp.simplify(slope.subs(offset, concrete(derived.minimizer))) == 0
    assert sp.simplify(sp.diff(slope, offset) - concrete(derived.curvature)) == 0
    assert concrete(derived.curvature).is_positive
    if not folded:
        assert sp.simplify(concrete(derived.minimizer) - sum(values) / number) == 0


def test_folds_of_equal_slope_change_nothing():
    folded, flat = (least_squares_offset(f).minimizer for f in (True, False))
    equal = folded.replace(lambda e: isinstance(e, sp.Indexed) and e.base == g, lambda _: sp.S(3))
    assert sp.simplify(equal.doit() - flat) == 0


@pytest.mark.parametrize("size", [2, 3, 10])
@pytest.mark.parametrize("sample", ["inside", "outside"])
def test_the_flip_rate_is_the_probability_of_two_orthants(sample, size):
    inside = sample == "inside"
    cross, square = (1 - 1 / size, 1 - 1 / size) if inside else (1.0, 1 + 1 / size)
    both = multivariate_normal.cdf([0, 0], [0, 0], [[1, cross], [cross, square]])
    assert float(flip_rate(sample).subs(M, size)) == pytest.approx(1 - 2 * both, abs=1e-6)


def test_the_flip_rate_of_a_batch_of_two_is_a_quarter():
    assert flip_rate("inside").subs(M, 2) == sp.Rational(1, 4)
    assert sp.limit(sp.sqrt(M) * flip_rate("outside"), M, sp.oo) == 1 / sp.pi


def test_the_exact_variance_has_the_general_limit():
    exact = boundary_variance("gaussian").subs(shift, sp.Rational(3, 2))
    limit = boundary_variance().subs({skewness: 0, excess_kurtosis: 0, shift: sp.Rational(3, 2)})
    ratio = [float((exact / limit).subs(M, size)) for size in (1000, 2000)]
    assert 2 * (ratio[1] - 1) == pytest.approx(ratio[0] - 1, rel=0.01)
    assert boundary_variance("gaussian").subs(shift, 0) == 1 / M


def test_skewed_fields_move_the_boundary_as_derived():
    """Exponential fields: skewness 2, excess kurtosis 6."""
    size, number = 400, 20_000
    fields = np.random.default_rng(0).exponential(size=(number, size)) - 1
    found = (fields.mean(axis=1) - 0.8 * (fields.std(axis=1) - 1)) ** 2
    derived = boundary_variance().subs({skewness: 2, excess_kurtosis: 6, shift: 0.8, M: size})
    error = found.std() / np.sqrt(number)
    assert abs(found.mean() - float(derived)) < 4 * error


def test_words_are_checked():
    with pytest.raises(InvalidSetup, match="sample"):
        flip_rate("beside")
    with pytest.raises(InvalidSetup, match="field"):
        boundary_variance("cauchy")
