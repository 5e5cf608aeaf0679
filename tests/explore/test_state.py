"""The state of the explorer, its address, and activations that are typed."""

from dataclasses import fields
from urllib.parse import parse_qs

import pytest
import sympy as sp

from statmech_bn.activations import z
from statmech_bn.errors import InvalidSetup
from statmech_bn.explore import typed
from statmech_bn.explore.state import INTEGERS, SLIDERS, State, from_address

UNITS = {"student_units", "teacher_units"}
OTHER = State(
    activation="Piecewise((x, x > 0), (exp(x) - 1, True))",
    normalizations=("population", "ghost(8)"),
    chain=True, data="ring", tab="partition",
    **{name: slider.values[2] for name, slider in SLIDERS.items() if name not in UNITS},
)  # fmt: skip
SEVERAL = State(student_units=2, teacher_units=3)


@pytest.mark.parametrize("state", [State(), OTHER, SEVERAL], ids=["usual", "other", "several"])
def test_the_address_holds_the_whole_state(state):
    arguments = parse_qs(state.address())
    assert set(arguments) == {field.name for field in fields(State)}
    assert from_address(arguments) == (state, ())


def test_every_field_of_the_other_states_is_another():
    for f in fields(State):
        other = SEVERAL if f.name in UNITS else OTHER
        assert getattr(other, f.name) != getattr(State(), f.name)


def test_several_units_have_isotropic_inputs():
    with pytest.raises(InvalidSetup, match="exponent: expected 0 with several hidden units"):
        State(student_units=2, exponent=1.0)
    state, [message] = from_address({"exponent": ["1"], "teacher_units": ["2"]})
    assert (state.exponent, state.teacher_units) == (1.0, 1)
    assert message.startswith("exponent")


def test_an_address_of_bytes_is_read():
    state, messages = from_address({"activation": [b"Max(x, x/10)"], "chain": [b"1"]})
    assert (state.activation, state.chain, messages) == ("Max(x, x/10)", True, ())


@pytest.mark.parametrize("name", sorted(SLIDERS))
@pytest.mark.parametrize("text", ["1e9", "-1e9", "nan", "inf", "1; import os", "", "9" * 500])
def test_a_number_beyond_its_limits_is_named(name, text):
    state, [message] = from_address({name: [text]})
    assert state == State()
    assert message.startswith(name)


@pytest.mark.parametrize("name", sorted(INTEGERS))
def test_integers_are_integers(name):
    low = SLIDERS[name].values[0]
    assert from_address({name: [str(low + 0.5)]})[1]
    assert isinstance(getattr(State(**{name: float(low)}), name), int)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("normalizations", ""), ("normalizations", "batch,batch"), ("normalizations", "layer"),
        ("normalizations", "ghost(9)"), ("tab", "../etc/passwd"), ("data", "digits"),
        ("chain", "yes"), ("activation", ""), ("activation", b"\xff"), ("folder", "/tmp"),
    ],
)  # fmt: skip
def test_what_is_no_choice_is_named(name, text):
    state, [message] = from_address({name: [text]})
    assert state == State()
    assert name in message


def test_a_bad_value_spoils_no_other():
    state, messages = from_address({"batch_size": ["8"], "label_noise": ["-1"]})
    assert (state.batch_size, state.label_noise, len(messages)) == (8, 0.5, 1)


@pytest.mark.parametrize("name", sorted(SLIDERS))
def test_sliders_stop_at_allowed_values(name):
    values = SLIDERS[name].values
    assert list(values) == sorted(set(values))
    for value in values:
        assert getattr(State(**{name: value}), name) == value
    assert getattr(State(), name) in values


x = sp.Symbol("x")


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("relu", sp.Max(0, x)), (" tanh ", sp.tanh(x)), ("Max(x, x/10)", sp.Max(x, x / 10)),
        ("x*erf(x) - 2", x * sp.erf(x) - 2), ("-0.5*t", -sp.Float(0.5) * x),
        ("sqrt(1 + y**2)", sp.sqrt(1 + x**2)), ("+u/3", x / 3), ("pi*x + E", sp.pi * x + sp.E),
        ("Piecewise((x, x > 0), (exp(x) - 1, True))",
         sp.Piecewise((x, x > 0), (sp.exp(x) - 1, True))),
    ],
)  # fmt: skip
def test_typed_activations_are_read(text, expression):
    found = typed.read(text).expression
    assert found == expression.subs(x, z)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('id')", "x.__class__", "lambda: 0", "x + y", "1e400*x",
        "9**9**9**9*x", "x**99999", "Symbol('x')", "Integer('3')", "f'{x}'", "x; x", "x\nx",
        "x if x > 0 else 0", "tanhh(x)", "ReLu", "Max", "I*x", "x*1j", "b'1'*x", "x[0]", "[x]",
        "{x}", "x > 0", "True", "open('f')", "eval('x')", "sympify('x')", "Max(x, *x)",
        "Max(x, key=x)", "(" * 60 + "x" + ")" * 60, "exp(" * 30 + "x" + ")" * 30, "x" * 500,
        "x := 1", "-" * 110 + "x", "x @ x", "x // 2", "x % 2", "not x", "'x'", "\0", "3",
    ],
)  # fmt: skip
def test_what_is_no_activation_is_refused(text):
    with pytest.raises(InvalidSetup, match="activation"):
        typed.read(text)


def test_a_near_name_is_proposed():
    with pytest.raises(InvalidSetup, match="Did you mean 'relu'"):
        typed.read("ReLu".lower() + "u")


def test_a_step_is_refused_where_it_is_checked():
    with pytest.raises(InvalidSetup, match="continuous"):
        typed.checked("Heaviside(x)")
