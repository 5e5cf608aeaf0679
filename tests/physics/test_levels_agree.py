"""The three levels describe one system: N-vector and chain in law, chain and flow as N → ∞."""

import numpy as np
import pytest
import sympy as sp
from scipy import stats

import statmech_bn as sbn

pytestmark = pytest.mark.thorough

x = sp.Symbol("x")
USER_ACTIVATION = sp.Max(x, x / 5) + sp.sin(x) / 3
VARIABLES = ("overlap", "length", "gamma")
SMALLEST_P = 1e-5  # over about 400 comparisons with fixed seeds


def setup_with_everything(normalization, activation):
    decay = 0.0 if normalization == "none" else 0.05
    return sbn.TeacherStudent(
        activation, normalization, 5, label_noise=0.3, gamma_decay=decay, weight_decay=0.1
    )


def p_values(first, second):
    """Two-sided p-values for the means (Welch), the spreads (Brown-Forsythe) and the law (KS)."""
    if np.ptp(first) == 0 and np.ptp(second) == 0:
        return [float(first[0] == second[0])]
    return [
        stats.ttest_ind(first, second, equal_var=False).pvalue,
        stats.levene(first, second, center="median").pvalue,
        stats.ks_2samp(first, second).pvalue,
    ]


def final(dataset):
    return {name: dataset[name].isel(learning_rate=0, time=-1).values for name in VARIABLES}


@pytest.mark.parametrize("dimension", [3, 10, 50])
@pytest.mark.parametrize("activation", ["linear", "relu", "erf", USER_ACTIVATION], ids=str)
@pytest.mark.parametrize("normalization", ["none", "weight", "population", "batch"])
def test_chain_and_network_have_the_same_law(normalization, activation, dimension):
    setup = setup_with_everything(normalization, activation)
    run = {"learning_rate": 0.8, "time": [2.0], "start": sbn.OrderParameters(0.3, 0.9, 1.0)}
    chain = sbn.mesoscopic(setup, dimension=dimension, replicas=3000, seed=1, **run)
    network = sbn.microscopic(setup, dimension=dimension, replicas=1000, seed=2, **run)
    for name in VARIABLES:
        smallest = min(p_values(final(chain)[name], final(network)[name]))
        assert smallest > SMALLEST_P, f"{name}: p = {smallest:.1e}"


def test_a_slightly_wrong_chain_is_noticed():
    """The comparison above has the power to tell N = 10 from N = 12."""
    setup = setup_with_everything("batch", "relu")
    start = sbn.OrderParameters(0.3, 0.9, 1.0)
    right = sbn.microscopic(setup, 0.8, [2.0], start, 10, replicas=1200, seed=2)
    wrong = sbn.mesoscopic(setup, 0.8, [20 / 12], start, 12, replicas=4000, seed=1)
    assert min(p_values(final(wrong)["length"], final(right)["length"])) < SMALLEST_P


@pytest.mark.parametrize(
    ("normalization", "batch_size", "learning_rate", "time"),
    [("none", 2, 2.0, 2.0), ("weight", 1, 2.0, 1.0), ("batch", 8, 4.0, 0.5)],
)
def test_chain_approaches_the_flow(normalization, batch_size, learning_rate, time):
    """The mean is off by O(1/N), the spread by O(1/√N): fitted exponents −1 and −1/2.

    Large learning rates make the offset stand out of the noise. With batch statistics the
    correction contains E[1/σ_B⁴], which is finite for M ≥ 6 only.
    """
    setup = sbn.TeacherStudent("linear", normalization, batch_size, label_noise=0.5)
    run = {"learning_rate": learning_rate, "time": [time], "start": sbn.OrderParameters(0.3)}
    flow = sbn.macroscopic(setup, **run).overlap.item()
    dimensions, replicas = np.array([20, 40, 80, 160]), 6000
    chains = [
        sbn.mesoscopic(setup, dimension=dimension, replicas=replicas, seed=3, **run)
        for dimension in dimensions
    ]
    offsets = np.array([chain.overlap.mean().item() - flow for chain in chains])
    spreads = np.array([chain.overlap.std().item() for chain in chains])
    signal = np.abs(offsets) / spreads * np.sqrt(replicas)
    assert signal.min() > 4, "the offset must stand out of the noise"
    (slope, _), covariance = np.polyfit(
        np.log(dimensions), np.log(np.abs(offsets)), 1, w=signal, cov="unscaled"
    )
    assert abs(slope + 1) < 3 * np.sqrt(covariance[0, 0])
    spread_slope = np.polyfit(np.log(dimensions), np.log(spreads), 1)[0]
    assert abs(spread_slope + 0.5) < 0.1  # what the next order in 1/N leaves at N = 20
