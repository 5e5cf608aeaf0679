"""Ghost batches: the three levels agree, and the statistics are those of a group."""

import numpy as np
import pytest
import sympy as sp
from scipy import stats

import statmech_bn as sbn
from statmech_bn.symbolic import M, eta, gamma

x = sp.Symbol("x")
START = sbn.OrderParameters(0.1, 1.0, 0.8)


def test_one_group_of_all_samples_is_batch_normalization():
    run = {"learning_rate": 1.5, "time": [0.0, 1.0, 4.0], "start": START}
    for level, more in (
        (sbn.macroscopic, {}),
        (sbn.mesoscopic, {"dimension": 50, "replicas": 3}),
        (sbn.microscopic, {"dimension": 50, "replicas": 3}),
    ):
        one, other = (
            level(sbn.TeacherStudent("relu", name, 8, 0.3), **run, **more)
            for name in ("ghost(8)", "batch")
        )
        for name in ("overlap", "length", "gamma", "generalization_error"):
            np.testing.assert_array_equal(one[name], other[name])


def test_the_derived_flow_has_the_statistics_of_a_group_and_the_noise_of_all_samples():
    ghost = sbn.symbolic.order_parameter_flow("ghost(5)", "linear")
    batch = sbn.symbolic.order_parameter_flow("batch", "linear")
    for state, rate in ghost.items():
        of_group = sp.expand(batch[state].subs(M, 5))
        # noise, the part quadratic in η, is that of a group divided by the number of groups
        expected = of_group.coeff(eta, 1) * eta + of_group.coeff(eta, 2) * eta**2 * 5 / M
        if state == gamma:
            expected = of_group
        assert sp.simplify(rate - expected) == 0


@pytest.mark.parametrize(
    "activation", ["linear", "relu", pytest.param("tanh", marks=pytest.mark.thorough)]
)
def test_the_chain_follows_the_flow(activation):
    """N = 5000, 24 replicas, groups of 8 of 32: within 4 standard errors plus 2/N."""
    setup = sbn.TeacherStudent(activation, "ghost(8)", 32, 0.4, gamma_decay=0.02, weight_decay=0.1)
    run = {"learning_rate": 3.0, "time": [1.0, 4.0], "start": START}
    flow = sbn.macroscopic(setup, **run)
    chain = sbn.mesoscopic(setup, dimension=5000, replicas=24, **run)
    for name in ("overlap", "length", "gamma"):
        mean, error = chain[name].mean("replica"), chain[name].std("replica", ddof=1) / 24**0.5
        assert (abs(mean - flow[name]) < 4 * error + 2 / 5000).all(), name


def test_a_flow_at_the_whole_batch_or_at_one_group_is_noticed():
    """The comparison above tells groups of 8 of 32 from batches of 32, and of 8."""
    run = {"learning_rate": 3.0, "time": [4.0], "start": START}
    chain = sbn.mesoscopic(
        sbn.TeacherStudent("relu", "ghost(8)", 32, 0.4), dimension=5000, replicas=24, **run
    )
    for batch_size in (8, 32):
        flow = sbn.macroscopic(sbn.TeacherStudent("relu", "batch", batch_size, 0.4), **run)
        scores = [
            abs(chain[name].mean() - flow[name]) / (chain[name].std() / 24**0.5 + 2 / 5000)
            for name in ("overlap", "length", "gamma")
        ]
        assert max(float(score.max()) for score in scores) > 10


@pytest.mark.thorough
@pytest.mark.parametrize("activation", ["relu", sp.Max(x, x / 5) + sp.sin(x) / 3], ids=str)
def test_chain_and_network_have_the_same_law(activation):
    setup = sbn.TeacherStudent(activation, "ghost(4)", 12, 0.3, gamma_decay=0.05, weight_decay=0.1)
    run = {"learning_rate": 0.8, "time": [2.0], "start": sbn.OrderParameters(0.3, 0.9)}
    chain = sbn.mesoscopic(setup, dimension=10, replicas=2000, seed=1, **run)
    network = sbn.microscopic(setup, dimension=10, replicas=1000, seed=2, **run)
    for name in ("overlap", "length", "gamma"):
        first, second = (found[name].values.ravel() for found in (chain, network))
        assert stats.ttest_ind(first, second, equal_var=False).pvalue > 1e-4
        assert stats.ks_2samp(first, second).pvalue > 1e-4


def test_linear_units_stop_at_the_spread_of_a_group():
    """γ₀ = E[s] of 5 samples at R = 1, whatever M is."""
    spread = float(sp.N(sbn.symbolic.spread_moment(1).subs(M, 5)))
    for batch_size in (5, 20):
        setup = sbn.TeacherStudent("linear", "ghost(5)", batch_size)
        assert sbn.rates.fixed_point(setup, 0.1)["gamma"].item() == pytest.approx(spread, rel=1e-6)
