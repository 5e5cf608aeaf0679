"""The chain of a SiLU student far out, where exp overflows, against a loop of plain NumPy."""

import numpy as np
import pytest
import sympy as sp
from scipy import stats
from scipy.special import expit

import statmech_bn as sbn

pytestmark = pytest.mark.thorough

x = sp.Symbol("x")
SILU = x / (1 + sp.exp(-x))
DIMENSION = 60


def lengths(start, rate, batch_size, noise, times, seed):
    """Return L(t) of a network without normalization, by gradient descent with a stable sigmoid."""
    rng, root = np.random.default_rng(seed), np.sqrt(DIMENSION)
    teacher, weights = np.eye(2, DIMENSION) * root
    weights = start * (0.1 * teacher + np.sqrt(0.99) * weights)
    found = []
    for step in range(1, int(times[-1] * DIMENSION) + 1):
        samples = rng.standard_normal((batch_size, DIMENSION))
        h, target = samples @ weights / root, samples @ teacher / root
        s = expit(h)
        label = target * expit(target) + noise * rng.standard_normal(batch_size)
        gradient = s * (1 + h * (1 - s)) * (label - h * s)
        weights = weights + rate / (batch_size * root) * (gradient @ samples)
        if step in [int(time * DIMENSION) for time in times]:
            found.append(np.linalg.norm(weights) / root)
    return found


@pytest.mark.parametrize(
    ("start", "rate", "batch_size", "noise", "times"),
    [(1000.0, 1.0, 8, 0.0, [5, 10, 15]), (1.0, 36.0, 16, 0.3, [1, 2, 3, 4])],
    ids=["learns", "diverges"],
)
def test_chain_has_the_law_of_the_loop(start, rate, batch_size, noise, times):
    """By Kolmogorov and Smirnov, p > 1e-5 at each of seven times with fixed seeds."""
    loop = [lengths(start, rate, batch_size, noise, times, seed) for seed in range(60)]
    setup = sbn.TeacherStudent(SILU, "none", batch_size, label_noise=noise)
    begin = sbn.OrderParameters(0.1, start)
    chain = sbn.mesoscopic(setup, rate, times, begin, DIMENSION, replicas=600)
    assert chain["diverged_at"].isnull().all()
    for k in range(len(times)):
        own = np.array(loop)[:, k]
        assert stats.ks_2samp(own, chain["length"].values[0, :, k]).pvalue > 1e-5, times[k]
