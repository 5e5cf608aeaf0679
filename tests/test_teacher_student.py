"""Bad input is refused with a message that names the argument; good input survives a round trip."""

import json
import math

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

import statmech_bn as sbn
from statmech_bn.errors import InvalidSetup, InvalidStore, StatmechError

x, y = sp.symbols("x y")
START = sbn.OrderParameters()
SETUP = sbn.TeacherStudent("linear", "weight", 2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"normalization": "layer"}, ["normalization", "none, weight, population", "'layer'"]),
        ({"normalization": "Bacth"}, ["normalization", "Did you mean 'batch'?"]),
        ({"activation": "Relu"}, ["activation", "Did you mean 'relu'?"]),
        ({"activation": np.tanh}, ["activation", "SymPy expression", "sympy.tanh"]),
        ({"activation": 1 / x}, ["activation", "finite values", "z = 0"]),
        ({"activation": 1 / (x - 50)}, ["activation", "finite values", "z = 50"]),
        ({"activation": sp.tan(x)}, ["activation", "finite values", "z = -1.5708"]),
        ({"activation": sp.sqrt(sp.Abs(x))}, ["activation", "finite slopes", "z = 0"]),
        ({"batch_size": 2}, ["batch_size", "an integer ≥ 3", "2", "±1"]),
        ({"batch_size": 0, "normalization": "none"}, ["batch_size", "an integer ≥ 1", "0"]),
        ({"batch_size": 8.5}, ["batch_size", "an integer", "8.5"]),
        ({"batch_size": True, "normalization": "none"}, ["batch_size", "True"]),
        ({"label_noise": -0.1}, ["label_noise", "a finite number ≥ 0", "-0.1"]),
        ({"label_noise": math.nan}, ["label_noise", "finite", "nan"]),
        ({"label_noise": "0.5"}, ["label_noise", "number", "'0.5'"]),
        ({"gamma_decay": -1}, ["gamma_decay", "≥ 0", "-1"]),
        ({"gamma_decay": 0.1, "normalization": "none"}, ["gamma_decay", "no gamma"]),
        ({"weight_decay": math.inf}, ["weight_decay", "finite", "inf"]),
        ({"activation": "rectifier"}, ["activation", "relu", "'rectifier'", "sympy.Max"]),
        ({"activation": x + y}, ["activation", "exactly one symbol", "x + y"]),
        ({"activation": sp.sign(x)}, ["activation", "continuous", "erf"]),
        ({"activation": sp.log(x)}, ["activation", "finite real values", "log(z)"]),
        ({"activation": 3.0}, ["activation", "SymPy expression", "3.0"]),
        ({"activation": sp.floor(x)}, ["activation", "differentia", "floor"]),
    ],
    ids=str,
)
def test_setup_refuses(arguments, words):
    with pytest.raises(InvalidSetup) as caught:
        sbn.TeacherStudent(**arguments)
    for word in words:
        assert word in str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, StatmechError)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"overlap": 1.01}, "overlap"),
        ({"overlap": math.nan}, "overlap"),
        ({"length": 0.0}, "length"),
        ({"length": -1}, "length"),
        ({"gamma": math.inf}, "gamma"),
    ],
)
def test_start_refuses(arguments, name):
    with pytest.raises(InvalidSetup, match=f"^{name}: expected"):
        sbn.OrderParameters(**arguments)


def test_a_range_is_named_by_both_ends():
    with pytest.raises(InvalidSetup, match=r"a finite number ≥ -1 and ≤ 1, got 1\.01"):
        sbn.OrderParameters(overlap=1.01)


LEVELS = {
    "macroscopic": (sbn.macroscopic, {}),
    "mesoscopic": (sbn.mesoscopic, {"dimension": 5}),
    "microscopic": (sbn.microscopic, {"dimension": 5}),
}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"time": [0, 1, 1]}, "time"),
        ({"time": [-1, 1]}, "time"),
        ({"time": []}, "time"),
        ({"time": [0, np.nan]}, "time"),
        ({"time": [[0, 1]]}, "time"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": [1, -1]}, "learning_rate"),
        ({"learning_rate": "fast"}, "learning_rate"),
        ({"gamma_learning_rate": [1, 2, 3]}, "gamma_learning_rate"),
        ({"setup": "relu"}, "setup"),
        ({"start": (0.1, 1)}, "start"),
        (
            {
                "setup": sbn.TeacherStudent("linear", "none", 1),
                "start": sbn.OrderParameters(gamma=0.5),
            },
            "start.gamma",
        ),
    ],
    ids=str,
)
def test_levels_refuse(level, arguments, name):
    function, more = LEVELS[level]
    good = {"setup": SETUP, "learning_rate": [1.0, 2.0], "time": [0, 1], "start": START}
    with pytest.raises(InvalidSetup, match=f"^{name}: expected"):
        function(**{**good, **more, **arguments})


@pytest.mark.parametrize("level", ["mesoscopic", "microscopic"])
@pytest.mark.parametrize(
    "arguments", [{"dimension": 2}, {"replicas": 0}, {"seed": -1}, {"workers": 0}], ids=str
)
def test_simulations_refuse(level, arguments):
    function, more = LEVELS[level]
    name = next(iter(arguments))
    with pytest.raises(InvalidSetup, match=f"^{name}: expected an integer"):
        function(SETUP, 1.0, [1.0], START, **{**more, **arguments})


def test_macroscopic_needs_four_samples_for_batch():
    setup = sbn.TeacherStudent("linear", "batch", 3)
    with pytest.raises(InvalidSetup, match="batch_size: expected an integer ≥ 4"):
        sbn.macroscopic(setup, 1.0, [1.0], START)


@given(
    activation=st.sampled_from(
        [
            "linear", "relu", "erf", "softplus", "tanh", sp.Max(x, x / 10), x * sp.erf(x),
            sp.Piecewise((x, x > 0), (sp.exp(x) - 1, True)), sp.Float(0.3) * x + sp.sin(x),
            sp.Max(-sp.Rational(1, 2), sp.Min(y, 1)), sp.Abs(x - 1), sp.pi * x,
        ]
    ),
    normalization=st.sampled_from(["none", "weight", "population", "batch"]),
    batch_size=st.integers(3, 10**6),
    numbers=st.lists(st.floats(0, 1e6), min_size=3, max_size=3),
)  # fmt: skip
def test_setup_survives_the_attributes(activation, normalization, batch_size, numbers):
    noise, gamma_decay, weight_decay = numbers
    setup = sbn.TeacherStudent(
        activation, normalization, batch_size, noise,
        0.0 if normalization == "none" else gamma_decay, weight_decay,
    )  # fmt: skip
    attributes = setup.to_attrs()
    assert all(isinstance(value, str) for value in attributes.values())
    json.loads(attributes["setup"])
    assert sbn.TeacherStudent.from_attrs(attributes) == setup


@pytest.mark.parametrize(
    "attributes", [{}, {"setup": "{"}, {"setup": "[]"}, {"setup": '{"activation": "relu", "k": 1}'}]
)
def test_unreadable_attributes_are_refused(attributes):
    with pytest.raises(InvalidStore, match="no readable 'setup'"):
        sbn.TeacherStudent.from_attrs(attributes)
