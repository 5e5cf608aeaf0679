"""Losses over batches against closed forms, exact averages and automatic differences."""

import numpy as np
import pytest
import scipy.stats
import sympy as sp

import statmech_bn as sbn
from statmech_bn.activations import activation
from statmech_bn.averages.choice import Quadrature
from statmech_bn.errors import InvalidSetup

SIZE = 8


def scaled_spread(size):
    """E[σ_B/σ_P] of Gaussian fields, s_M."""
    s = sbn.symbolic
    pull = s.batch_field_averages("linear")[1]
    return float(pull.subs({s.R: 1, s.gamma: 0, s.M: size}))


def errors_away(measured, expected):
    error = measured.std("replica", ddof=1) / np.sqrt(measured.sizes["replica"])
    return float(np.abs((measured.mean("replica") - expected) / error).max())


def test_linear_unit_has_a_closed_loss():
    """½ E(h* − γû)² = ½(1 + γ²) − γ R s_M."""
    gamma, overlap = np.array([0.0, 0.7, 1.3]), 0.6
    found = sbn.batch_loss("linear", SIZE, gamma, overlap=overlap, batches=4000, replicas=16)
    expected = (1 + gamma**2) / 2 - gamma * overlap * scaled_spread(SIZE)
    assert errors_away(found.loss, expected) < 4
    assert errors_away(found.loss_slope, gamma - overlap * scaled_spread(SIZE)) < 4


@pytest.mark.parametrize("name", ["relu", "erf"])
def test_slope_is_the_exact_pull(name):
    rule = Quadrature.for_activation(activation(name))
    gamma, overlap = 0.8, 0.7
    found = sbn.batch_loss(name, SIZE, gamma, overlap=overlap, batches=8000, replicas=16)
    assert errors_away(found.loss_slope, -rule.batch_averages(overlap, gamma, SIZE)[1]) < 4


@pytest.mark.parametrize("part", ["mean", "spread", "both"])
def test_slope_is_the_derivative_of_the_loss(part):
    gamma, step = 0.9, 1e-4
    found = sbn.batch_loss("tanh", SIZE, gamma + step * np.array([-1, 0, 1]), part, batches=50)
    difference = found.loss.isel(gamma=2) - found.loss.isel(gamma=0)
    np.testing.assert_allclose(difference / (2 * step), found.loss_slope.isel(gamma=1), atol=1e-8)


def test_parts_have_their_closed_minima():
    """E h*û / E û² of the linear unit: 1 with μ_B alone, E[σ_B⁻¹u²]/E[u²/σ_B²] with σ_B alone."""
    gamma, size = np.array([0.5, 1.1]), 6
    losses = sbn.batch_loss("linear", size, gamma, "mean", batches=200)
    np.testing.assert_allclose(sbn.loss_minimum(losses), 1.0, rtol=1e-12)
    losses = sbn.batch_loss("linear", size, gamma, "spread", batches=20_000, replicas=16)
    # Σu² = M σ_B² + M ū², with ū² independent of σ_B and E ū² = 1/M
    s = sbn.symbolic
    first, inverse, square = (
        float(s.spread_moment(power).subs(s.M, size)) for power in (1, -1, -2)
    )
    expected = (first + inverse / size) / (1 + square / size)
    assert errors_away(sbn.loss_minimum(losses), expected) < 4


@pytest.mark.parametrize("part", ["mean", "spread", "both"])
def test_correlated_theory_for_skewed_fields(part):
    """The remainder is of order 1/M² for a smooth unit: below 3 % of the shift at M = 128."""
    field, size = scipy.stats.gamma(4.0), 128
    theory = sbn.stationary_gamma("softplus", size, field=field).sel(part=part, batch_size=size)
    near = theory.gamma.sel(statistics="correlated").item()
    losses = sbn.batch_loss(
        "softplus", size, near + np.array([-0.05, 0, 0.05]), part, batches=2000, replicas=16,
        field=field, seed=3,
    )  # fmt: skip
    assert errors_away(sbn.loss_minimum(losses), near) < 4
    independent = theory.gamma.sel(statistics="independent").item()
    if part != "spread":  # whose two predictions are too close
        assert errors_away(sbn.loss_minimum(losses), independent) > 10


def test_values_do_not_depend_on_company():
    few = sbn.batch_loss("relu", 5, [0.5], batches=30_000, replicas=2, seed=7)
    many = sbn.batch_loss("relu", 5, [0.5, 1.0], batches=30_000, replicas=3, seed=7)
    np.testing.assert_array_equal(few.loss[0], many.loss[0, :2])
    opposite = sbn.batch_loss("linear", 5, [0.5], overlap=-1.0, batches=10, replicas=1)
    assert opposite.loss.item() > 0.5


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"batch_size": 2}, "batch_size"),
        ({"part": "none"}, "part"),
        ({"overlap": 1.5}, "overlap"),
        ({"gamma": [np.nan]}, "gamma"),
        ({"gamma": [[1.0]]}, "gamma"),
        ({"batches": 0}, "batches"),
        ({"field": "laplace"}, "field"),
        ({"field": scipy.stats.cauchy()}, "field"),
        ({"activation": sp.Symbol("x") * sp.Symbol("y")}, "activation"),
    ],
)
def test_bad_input_is_named(change, named):
    arguments = {"activation": "relu", "batch_size": 4, "gamma": [1.0], "batches": 3, **change}
    with pytest.raises(InvalidSetup, match=named):
        sbn.batch_loss(**arguments)


def test_no_minimum_is_an_error():
    losses = sbn.batch_loss("linear", SIZE, [1.5, 1.6], batches=100)
    with pytest.raises(InvalidSetup, match="rise through zero"):
        sbn.loss_minimum(losses)
