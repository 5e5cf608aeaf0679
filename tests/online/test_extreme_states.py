"""Starts at the ends of what is legal: all levels agree, or say the same."""

from itertools import product

import numpy as np
import pytest
import sympy as sp
from scipy import stats

import statmech_bn as sbn
from statmech_bn.activations import z
from statmech_bn.errors import InvalidSetup
from statmech_bn.online.rates.states import averages

pytestmark = pytest.mark.thorough

x = sp.Symbol("x")
LEAKY = sp.Max(x, x / 10)
SHIFTED = sp.Max(x - 1, 0)  # its kink is not at zero
OTHERS = ["linear", "erf", "softplus", "tanh", LEAKY, sp.Abs(x), SHIFTED]
UNITS = ["relu", *(pytest.param(unit, marks=pytest.mark.slow) for unit in OTHERS)]
LENGTHS, OVERLAPS = (1e-50, 1.0, 1e50), (-1.0, 0.5, 1.0)
GAMMAS = (0.0, 1e-12, -1e-12, 1.0, 1e6, -1e6)
SMALLEST_P = 1e-6  # over some thousand comparisons with fixed seeds
NAMES = ("overlap", "length", "gamma")
LARGE = 10**6
"""The chain costs nothing in N, and is then at a distance of 1/N from the flow."""


def cells(normalization, gammas=GAMMAS):
    """Starts with learning rates η = 0.3 L²/max(1, γ²), whose steps turn w by an angle of one."""
    scaled = normalization != "none"
    for length, gamma, overlap in product(LENGTHS, gammas if scaled else (1.0,), OVERLAPS):
        start = sbn.OrderParameters(overlap, length, gamma)
        rate = 0.3 * length**2 / max(1.0, gamma**2) if scaled else 0.3
        yield start, {"learning_rate": rate, "gamma_learning_rate": 0.3}


def setup_of(normalization, activation):
    return sbn.TeacherStudent(activation, normalization, 8, 0.3, weight_decay=0.0)


def parts(setup, overlap):
    """Whether the flow leads away from γ = 0 on both sides, so that samples choose one."""
    if not setup.normalizer.has_scale or 0.0 not in setup.activation.kinks:
        return False
    above, below = averages(setup, np.full(2, overlap), np.array([1e-30, -1e-30]))[1]
    return above > -1e-12 and below < 1e-12  # at R = −1 ReLU has A₂ = −γ/2 above zero


def values(run, name):
    """Values over (replica, time) in units in which they are of order one."""
    found = run[name].isel(learning_rate=0).values
    return found if name != "length" else np.log(found)


def assert_same_law(chain, network, start):
    for name in NAMES:
        first, second = values(chain, name)[:, -1], values(network, name)[:, -1]
        assert (np.isposinf(first).mean() < 1) == (np.isposinf(second).mean() < 1), (start, name)
        first, second = first[np.isfinite(first)], second[np.isfinite(second)]
        if first.size == 0:
            continue
        size = max(np.abs(first).max(), np.abs(second).max(), 1e-5)
        if max(np.ptp(first), np.ptp(second)) < 1e-9 * size:  # rounding
            np.testing.assert_allclose(first.mean(), second.mean(), rtol=1e-9, atol=1e-12)
        else:
            assert stats.ks_2samp(first, second).pvalue > SMALLEST_P, (start, name)


@pytest.mark.parametrize("activation", UNITS, ids=str)
@pytest.mark.parametrize("normalization", ["none", "weight", "population", "batch"])
def test_chain_and_network_have_the_same_law(normalization, activation):
    setup = setup_of(normalization, activation)
    for start, rates in cells(normalization, (0.0, 1e-12, 1.0, -1e6)):
        run = {**rates, "time": [0.0, 0.1, 0.25], "start": start, "dimension": 20}
        chain = sbn.mesoscopic(setup, replicas=200, seed=1, **run)
        network = sbn.microscopic(setup, replicas=80, seed=2, **run)
        assert_same_law(chain, network, start)


FLOWS = [(name, unit) for name in ("none", "weight", "batch") for unit in ("linear", "relu")]
FLOWS += [("weight", unit) for unit in ("erf", "tanh", LEAKY, sp.Abs(x))]


@pytest.mark.parametrize(("normalization", "activation"), FLOWS, ids=str)
def test_chain_agrees_with_the_flow(normalization, activation):
    compared = 0
    setup = setup_of(normalization, activation)
    for start, rates in cells(normalization):
        run = {**rates, "time": [0.0, 5e-4, 2e-3], "start": start}
        chain = sbn.mesoscopic(setup, dimension=LARGE, replicas=16, seed=3, **run)
        moves = setup.activation.derivative.subs(z, 0) != 0
        if start.gamma == 0 and moves and parts(setup, start.overlap):
            with pytest.raises(InvalidSetup, match="drawn away on both sides"):
                sbn.macroscopic(setup, **run)
            continue
        flow = sbn.macroscopic(setup, **run)
        if abs(start.gamma) == 1e-12 and parts(setup, start.overlap):
            continue  # a step of 1/N chooses the sign: no N that floats count is large
        gone, diverged = chain["diverged_at"].notnull(), flow["diverged_at"].notnull().item()
        assert (gone == diverged).all(), start
        if diverged:
            continue
        compared += 1
        for name in NAMES:
            several, one = values(chain, name), values(flow, name)
            error = several.std(axis=0, ddof=1) / 4
            size = max(1.0, abs(start.gamma)) if name == "gamma" else 1.0
            room = 5 * error + 20 / LARGE * size
            np.testing.assert_array_less(
                np.abs(several.mean(axis=0) - one), room, err_msg=f"{start} {name}"
            )
    assert compared > 5


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("length", sbn.OrderParameters(0.5, 1e150)),
        ("length", sbn.OrderParameters(0.5, 1e-150)),
        ("gamma", sbn.OrderParameters(0.5, 1.0, -1e150)),
    ],
)
def test_every_level_refuses_what_is_no_float_in_the_same_words(name, start):
    setup = setup_of("weight", "linear")
    told = set()
    for run in (sbn.macroscopic, sbn.mesoscopic, sbn.microscopic):
        size = {} if run is sbn.macroscopic else {"dimension": 20}
        with pytest.raises(InvalidSetup, match=rf"start\.{name}") as refused:
            run(setup, 0.3, [1.0], start, **size)
        told.add(str(refused.value))
    assert len(told) == 1
