"""Products of random matrices against the law, exact moments and exact exponents."""

import numpy as np
import pytest

import statmech_bn as sbn
from statmech_bn.depth import (
    fuss_catalan_cumulative,
    fuss_catalan_density,
    growth_exponents,
    product_conditions,
    product_spectra,
    representation_conditions,
    second_moments,
    typical_condition_number,
)
from statmech_bn.errors import InvalidSetup


@pytest.fixture(scope="module")
def spectra():
    return product_spectra(8, dimension=80, replicas=24, seed=2)["squared_singular_value"]


def test_the_law_is_marchenko_pastur_for_one_factor():
    x = np.array([0.01, 1.0, 3.9])
    known = np.sqrt(x * (4 - x)) / (2 * np.pi * x)
    np.testing.assert_allclose(fuss_catalan_density(1, x), known, rtol=2e-5)
    assert fuss_catalan_density(1, 4.1) == 0
    half = (4 / np.pi) * (np.arcsin(np.sqrt(0.25)) + np.sqrt(0.25 * 0.75)) / 2
    assert fuss_catalan_cumulative(1, 1.0) == pytest.approx(half, abs=1e-5)


def test_moments_are_those_of_the_law(spectra):
    for order, expected in ((1, np.ones(8)), (2, second_moments(8, 80))):
        measured = (spectra**order).mean("rank")
        error = measured.std("replica", ddof=1) / np.sqrt(24)
        assert (np.abs(measured.mean("replica") - expected) < 3.5 * error).all()
    for s, limit in enumerate(second_moments(8, 10**9), start=1):
        law = sbn.symbolic.fuss_catalan(s)
        assert limit == pytest.approx(float(law.moment.subs(sbn.symbolic.k, 2)), rel=1e-6)


@pytest.mark.parametrize("s", range(1, 9))
def test_spectra_follow_the_law(spectra, s):
    values = spectra.sel(factors=s).values
    quantiles = np.interp(
        [0.2, 0.4, 0.6, 0.8], *_tabulated(s)
    )  # x below which these shares of the law are
    shares = (values[:, :, None] < quantiles).mean(axis=1)
    error = shares.std(axis=0, ddof=1) / np.sqrt(len(shares))
    apart = np.abs(shares.mean(axis=0) - [0.2, 0.4, 0.6, 0.8])
    assert (apart < 3.5 * error + 0.5 / 80).all()  # the law is that of N → ∞


def _tabulated(s):
    x = np.geomspace(1e-12, 1.5 * (s + 1) ** (s + 1) / s**s, 5000)
    return fuss_catalan_cumulative(s, x), x


def test_the_largest_value_is_near_the_edge(spectra):
    for s in (1, 4, 8):
        edge = float(sbn.symbolic.fuss_catalan(s).edge)
        largest = spectra.sel(factors=s).max("rank").mean().item()
        assert largest == pytest.approx(edge, rel=0.25)


def test_determinants_grow_by_the_sum_of_the_exponents(spectra):
    logarithm = 0.5 * np.log(spectra.values).sum(axis=2)
    error = logarithm.std(axis=1, ddof=1) / np.sqrt(24)
    expected = np.arange(1, 9) * growth_exponents(80).sum()
    assert (np.abs(logarithm.mean(axis=1) - expected) < 3.5 * error).all()


def test_condition_numbers_grow_exponentially():
    found = product_conditions(60, dimension=8, replicas=24)["condition_number"]
    logarithm = np.log(found.transpose("factors", "replica").values)
    growth = (logarithm[-1] - logarithm[9]) / 50
    exponents = growth_exponents(8)
    error = growth.std(ddof=1) / np.sqrt(24)
    assert abs(growth.mean() - (exponents[0] - exponents[-1])) < 3.5 * error


def test_condition_numbers_are_those_of_the_singular_values():
    found = product_conditions(3, dimension=10, replicas=2, normalization="batch", seed=5)
    assert (found["condition_number"] > 1).all()
    plain = product_conditions(1, dimension=50, replicas=40)["condition_number"]
    ratio = np.log(plain / typical_condition_number(1, 50)).mean().item()
    assert abs(ratio) < 1.0  # the smallest singular value varies by its own size
    # A single Gaussian matrix has E ln κ → ln N + 1.537 (Edelman 1988).
    expected, logarithm = np.log(50) + 1.537, np.log(plain.values).ravel()
    assert abs(logarithm.mean() - expected) < 3.5 * logarithm.std(ddof=1) / np.sqrt(40)


def test_normalization_keeps_nonlinear_representations_conditioned():
    last = {}
    for activation in ("linear", "relu"):
        for normalization in ("none", "batch"):
            found = representation_conditions(
                activation, 20, 16, 64, replicas=5, normalization=normalization
            )
            last[activation, normalization] = np.log10(found["condition_number"]).median("replica")
    assert last["relu", "batch"].isel(depth=-1) < 4
    for others in (("relu", "none"), ("linear", "none"), ("linear", "batch")):
        assert last[others].isel(depth=-1) > 8


def test_arguments_are_checked():
    for function in (product_conditions, representation_conditions):
        with pytest.raises(InvalidSetup, match="normalization"):
            function(*(("relu", 2) if function is representation_conditions else (2,)),
                     normalization="layer")  # fmt: skip
    with pytest.raises(InvalidSetup, match="factors"):
        product_spectra(0)
