"""Activations by name: values and slopes beside SciPy's, and suggestions for misspelled names."""

import numpy as np
import pytest
import scipy.special
import sympy as sp

import statmech_bn as sbn
from statmech_bn.activations import ALIASES, NAMED, z
from statmech_bn.errors import InvalidSetup

FIELD = np.array([-40.0, -3.0, -0.7, -0.2, 0.3, 0.9, 1.7, 6.0, 40.0])
EXPIT, TANH = scipy.special.expit, np.tanh
DEFINED = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "erf": lambda x: scipy.special.erf(x / np.sqrt(2)),
    "softplus": lambda x: np.logaddexp(0, x),
    "tanh": TANH,
    "sigmoid": EXPIT,
    "gelu": lambda x: x * scipy.special.ndtr(x),
    "silu": lambda x: x * EXPIT(x),
    "mish": lambda x: x * TANH(np.logaddexp(0, x)),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
}


@pytest.mark.parametrize("name", NAMED)
def test_a_name_is_the_function_of_that_name(name):
    found, width = sbn.activation(name), 1e-6
    slope = (DEFINED[name](FIELD + width) - DEFINED[name](FIELD - width)) / (2 * width)
    values = sp.lambdify(z, [found.expression, found.derivative], "mpmath")
    value, derivative = np.array([[float(v) for v in values(x)] for x in FIELD]).T
    np.testing.assert_allclose(value, DEFINED[name](FIELD), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(derivative, slope, rtol=1e-8, atol=1e-8)
    assert found.name == found.to_text() == name
    assert sbn.activation(found.expression) == found == type(found).from_text(name)


@pytest.mark.parametrize(
    "name",
    [
        "gelu",
        "leaky_relu",
        *(
            pytest.param(name, marks=pytest.mark.thorough)
            for name in ("silu", "mish", "elu", "hard_tanh")
        ),
    ],
)
def test_flow_of_a_named_activation_follows_its_chain(name):
    setup, start = sbn.TeacherStudent(name, "weight", 8), sbn.OrderParameters(0.3)
    time, rate, dimension = [0.0, 2.0], 0.4, 4000
    theory = sbn.macroscopic(setup, rate, time, start).overlap.values.item(-1)
    runs = sbn.mesoscopic(setup, rate, time, start, dimension, 40, 1).overlap.values[..., -1]
    error = runs.std(ddof=1) / np.sqrt(runs.size)
    assert abs(runs.mean() - theory) < 4 * error + 3 / dimension


@pytest.mark.parametrize("name", ALIASES)
def test_a_second_name_is_the_same_function(name):
    assert sbn.activation(name) == sbn.activation(ALIASES[name])


@pytest.mark.parametrize(
    ("written", "meant"),
    [("Relu", "relu"), ("gellu", "gelu"), ("tan", "tanh"),
     ("siluu", "silu"), ("lienar", "linear"), ("Swish", "swish"),
     ("leakyrelu", "leaky_relu"), ("hard_tahn", "hard_tanh"),
     ("sigmod", "sigmoid"), ("rleu", "relu")],
)  # fmt: skip
def test_a_misspelled_name_has_a_suggestion(written, meant):
    with pytest.raises(InvalidSetup, match=f"Did you mean '{meant}'"):
        sbn.activation(written)


@pytest.mark.parametrize("written", ["softsign", "prelu", "selu", "CELU", "log", "x"])
def test_another_name_has_no_suggestion(written):
    with pytest.raises(InvalidSetup) as error:
        sbn.activation(written)
    assert "Did you mean" not in str(error.value)
    assert "Write your own" in str(error.value)
