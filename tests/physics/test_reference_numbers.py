"""Numbers of an independent implementation, and those given with the theory.

`reference_numbers.json`: means over 24 runs of the chain at N = 40000 with standard errors, and
means and standard deviations over 200000 runs at N = 10, for seven setups.
"""

import json
from pathlib import Path

import numpy as np
import pytest

import statmech_bn as sbn

pytestmark = pytest.mark.thorough

CASES = json.loads((Path(__file__).parent / "reference_numbers.json").read_text())["cases"]
NAMES = ("overlap", "length", "gamma")


def name(case):
    setup = case["setup"]
    return f"{setup['normalization']}-{setup['activation']}-{setup['batch_size']}"


def columns(dataset):
    return np.stack([dataset[variable].isel(learning_rate=0).values for variable in NAMES], axis=-1)


def arguments(case):
    start = sbn.OrderParameters(**case["start"])
    rates = {key: case[key] for key in ("learning_rate", "gamma_learning_rate")}
    return sbn.TeacherStudent(**case["setup"]), {"start": start, **rates}


@pytest.mark.parametrize("case", CASES, ids=name)
def test_flow_agrees_with_the_reference_at_large_dimension(case):
    setup, run = arguments(case)
    large = case["large_N"]
    flow = columns(sbn.macroscopic(setup, time=large["time"], **run))
    error, mean = np.array(large["standard_error"]), np.array(large["mean"])
    # 4 standard errors (84 numbers), the last digit given, and O(1/N) with a constant of 20
    allowed = 4 * error + 1e-5 + 20 / large["dimension"]
    np.testing.assert_array_less(np.abs(flow - mean), allowed)


@pytest.mark.parametrize("case", CASES, ids=name)
def test_chain_agrees_with_the_reference_at_small_dimension(case):
    setup, run = arguments(case)
    small, replicas = case["small_N"], 20_000
    chain = columns(
        sbn.mesoscopic(
            setup,
            time=small["time"],
            dimension=small["dimension"],
            replicas=replicas,
            seed=1,
            **run,
        )
    )
    mean, std = np.array(small["mean"]), np.array(small["std"])
    standard_error = std * np.sqrt(1 / replicas + 1 / small["runs"])
    deviation = np.abs(chain.mean(axis=0) - mean)
    np.testing.assert_array_less(deviation, 4 * standard_error + 1e-5)
    if setup.normalization == "batch" and setup.batch_size == 4:
        return  # 1/s has heavy tails there, and the reference's spread is only indicative
    # The standard deviation's own error from the sample's fourth moment, 5 standard errors
    centred = chain - chain.mean(axis=0)
    fourth = (centred**4).mean(axis=0) / np.maximum((centred**2).mean(axis=0) ** 2, 1e-300)
    spread_error = std * np.sqrt(np.maximum(fourth - 1, 0) / 4 * (1 / replicas + 1 / 200_000))
    np.testing.assert_array_less(np.abs(chain.std(axis=0) - std), 5 * spread_error + 1e-5)


@pytest.mark.parametrize(
    ("setup", "overlap", "length", "gamma"),
    [
        (
            sbn.TeacherStudent("linear", "batch", 8, label_noise=0.5),
            [0.6270, 0.8974, 0.9858], [1.0523, 1.0920, 1.2046], [0.4249, 0.6156, 0.8722],
        ),
        (
            sbn.TeacherStudent("relu", "weight", 2, label_noise=0.3, gamma_decay=0.05),
            [0.2735, 0.4582, 0.8332], [1.0515, 1.0926, 1.2158], [0.4295, 0.4352, 0.6069],
        ),
    ],
    ids=["batch-linear", "weight-relu"],
)  # fmt: skip
def test_flow_gives_the_numbers_of_the_theory(setup, overlap, length, gamma):
    """η = 2, η_γ = 1, from (R, L, γ) = (0.05, 1, 0.5), at t = 1, 2, 5, to the digits given."""
    start = sbn.OrderParameters(0.05, 1.0, 0.5)
    flow = sbn.macroscopic(setup, 2.0, [1, 2, 5], start, gamma_learning_rate=1.0)
    np.testing.assert_allclose(columns(flow).T, [overlap, length, gamma], atol=5.01e-5, rtol=0)
    chain = sbn.mesoscopic(
        setup, 2.0, [1, 2, 5], start, 20_000, replicas=20, gamma_learning_rate=1.0
    )
    values = columns(chain)
    standard_error = values.std(axis=0, ddof=1) / np.sqrt(20)
    np.testing.assert_array_less(
        np.abs(values.mean(axis=0) - columns(flow)), 5 * standard_error + 1e-4
    )
