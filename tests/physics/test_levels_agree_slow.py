"""The levels compared with more runs, more activations and larger dimensions; takes minutes."""

import numpy as np
import pytest
import sympy as sp
from scipy import stats

import statmech_bn as sbn

pytestmark = pytest.mark.slow
x = sp.Symbol("x")
LEAKY, CLAMP = sp.Max(x, x / 10), sp.Max(-sp.Rational(1, 2), sp.Min(x, 1))
VARIABLES = ("overlap", "length", "gamma")


@pytest.mark.parametrize("activation", ["tanh", "softplus", LEAKY, CLAMP], ids=str)
@pytest.mark.parametrize("normalization", ["none", "weight", "population", "batch"])
def test_chain_and_network_have_the_same_law_at_200(normalization, activation):
    setup = sbn.TeacherStudent(activation, normalization, 6, label_noise=0.3, weight_decay=0.05)
    run = {"learning_rate": 1.5, "time": [3.0], "start": sbn.OrderParameters(0.2, 0.8)}
    chain = sbn.mesoscopic(setup, dimension=200, replicas=20_000, seed=1, **run)
    network = sbn.microscopic(setup, dimension=200, replicas=3000, seed=2, **run)
    for name in VARIABLES:
        first, second = chain[name].values.ravel(), network[name].values.ravel()
        if np.ptp(first) > 0:  # γ of the student that has none is constant
            assert stats.ks_2samp(first, second).pvalue > 1e-5, name
            assert stats.ttest_ind(first, second, equal_var=False).pvalue > 1e-5, name


@pytest.mark.parametrize("batch_size", [6, 8, 32, 128])
@pytest.mark.parametrize("activation", ["linear", "relu", "erf", "tanh", LEAKY, CLAMP], ids=str)
def test_chain_follows_the_flow_of_batch_normalization(activation, batch_size):
    """At N = 40000, within 4.5 standard errors (288 numbers) and O(1/N) with a constant of 20."""
    setup = sbn.TeacherStudent(activation, "batch", batch_size, label_noise=0.4)
    run = {"learning_rate": 1.0, "time": [1, 2, 4, 8], "start": sbn.OrderParameters(0.2, 1, 0.8)}
    flow = sbn.macroscopic(setup, **run)
    chain = sbn.mesoscopic(setup, dimension=40_000, replicas=16, seed=5, **run)
    for name in VARIABLES:
        values = chain[name].isel(learning_rate=0).values
        error = values.std(axis=0, ddof=1) / 4
        # the spread of 16 runs is itself uncertain by 18 %
        allowed = 4.5 * 1.2 * error + 20 / 40_000
        np.testing.assert_array_less(np.abs(values.mean(axis=0) - flow[name].values[0]), allowed)
