"""Every public function, called with one or two odd arguments, follows one rule (see `odd`)."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from good_calls import GOOD
from odd import ODD, SECONDS, call, nans, time_limit
from public import EXCEPTIONS, public_functions

FUNCTIONS = public_functions()
NOT_VARIED = {"self", "processes", "scheduler"}
"""Arguments that stay: processes and clusters take seconds to start (tests/sweeps has them)."""
SLOW_TO_CALL = {
    "batch_loss", "effective_gamma_decay", "loss_minimum", "mesoscopic", "microscopic",
    "offline.replica_symmetric", "online.rates.plateau", "online.rates.table", "stationary_gamma",
}  # fmt: skip
"""Functions whose calls take seconds, or are compiled first; by default few are made."""
FEW, MANY = 3, 8
"""Calls by default; one in five is a call that works, which takes longest."""


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """Let what a function writes under an odd name go to a folder of the test."""
    monkeypatch.chdir(tmp_path)


def fuzz(name, data, seconds=SECONDS):
    good = GOOD[name]()
    varied = sorted(good.keys() - NOT_VARIED)
    number = data.draw(st.integers(1, min(2, len(varied))))
    places = st.lists(st.sampled_from(varied), min_size=number, max_size=number, unique=True)
    odd = {place: ODD[data.draw(st.sampled_from(sorted(ODD)))]() for place in data.draw(places)}
    call(name, FUNCTIONS[name], {**good, **odd}, seconds)


def test_every_public_function_has_a_good_call():
    """A new one is in the table, or among the exceptions, which have reasons."""
    assert FUNCTIONS.keys() == GOOD.keys()
    assert FUNCTIONS.keys() >= SLOW_TO_CALL
    assert not EXCEPTIONS.keys() & GOOD.keys()
    assert all(len(reason) > 20 for reason in EXCEPTIONS.values())


@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - SLOW_TO_CALL))
def test_good_calls_are_good(name):
    with time_limit(name, 3 * SECONDS):
        assert not list(nans(FUNCTIONS[name](**GOOD[name]()), name.rpartition(".")[2]))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SLOW_TO_CALL))
def test_slow_good_calls_are_good(name):
    with time_limit(name, 3 * SECONDS):
        assert not list(nans(FUNCTIONS[name](**GOOD[name]()), name.rpartition(".")[2]))


@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - SLOW_TO_CALL))
@settings(max_examples=MANY)
@given(data=st.data())
def test_odd_arguments(name, data):
    fuzz(name, data)


@pytest.mark.parametrize("name", sorted(SLOW_TO_CALL))
@settings(max_examples=FEW)
@given(data=st.data())
def test_odd_arguments_of_slow_functions(name, data):
    fuzz(name, data, 3 * SECONDS)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
@settings(max_examples=400)
@given(data=st.data())
def test_many_odd_arguments(name, data):
    fuzz(name, data)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_odd_value_at_every_place(name):
    for place in sorted(GOOD[name]().keys() - NOT_VARIED):
        for odd in ODD.values():
            call(name, FUNCTIONS[name], {**GOOD[name](), place: odd()})


FOUND = [
    ("Spectrum", "eigenvalues", "array of bools"),
    ("depth.measure_gradients", "epsilon", "largest"),
    ("depth.measure_gradients", "scale", "largest"),
    ("inference.dropout_scale", "batch_size", "huge integer"),
    ("inference.first_order_gap", "own_weight", "largest"),
    ("inference.first_order_gap", "scale", "largest"),
    ("inference.training_loss", "batch_size", "huge integer"),
    ("measure", "weights", "longdouble"),
    ("offline.ridge", "ridge", "smallest"),
    pytest.param("offline.replica_symmetric", "load", "smallest", marks=pytest.mark.thorough),
    ("offline.replica_symmetric", "ridge", "huge integer"),
    ("offline.replica_symmetric", "start", "None"),
    ("online.momentum.heavy_ball", "learning_rate", "largest"),
    ("online.rates.modes", "length", "smallest"),
    pytest.param(
        "online.rates.plateau", "learning_rate", "huge integer", marks=pytest.mark.thorough
    ),
    ("online.rates.table", "batch_size", "largest"),
    ("online.rates.table", "length", "smallest"),
    ("OrderParameters.random", "dimension", "huge integer"),
    ("networks.Images.to", "device", "beyond digits"),
    ("networks.gradient_shift", "learning_rate", "largest"),
    ("networks.train", "learning_rate", "largest"),
    ("networks.train", "schedule", "much to pass"),
    ("networks.train", "schedule", "nothing to pass"),
    ("networks.train", "weight_decay", "largest"),
    ("networks.training_run", "weight_decay", "largest"),
    ("networks.unit_quantiles", "number", "bool of numpy"),
    ("networks.unit_quantiles", "number", "variable of no dimension"),
    ("sweep", "grid", "other dataset"),
    ("study.decide", "effect", "array of no dimension"),
    ("symbolic.gradient_multiplier", "batch_size", "kinked of sympy"),
]
"""What the long runs found once, of each function."""


@pytest.mark.parametrize(("name", "place", "odd"), FOUND)
def test_odd_arguments_that_once_failed(name, place, odd):
    if name.startswith("networks."):
        pytest.importorskip("torch")
    call(name, FUNCTIONS[name], {**GOOD[name](), place: ODD[odd]()})


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda: float("nan"), "returns NaN"),
        (lambda: np.array([1.0, np.nan]), "returns NaN"),
        (lambda: 1 / 0, "raises ZeroDivisionError"),
        (lambda: __import__("warnings").warn("odd", stacklevel=1), "raises UserWarning"),
    ],
)
def test_the_rule_can_be_broken(function, reason):
    with pytest.raises(AssertionError, match=rf"ours\(\) {reason}"):
        call("ours", function, {})
