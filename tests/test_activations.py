"""What follows from an expression: derivative, kinks, name, text."""

import numpy as np
import pytest
import sympy as sp

import statmech_bn as sbn
from statmech_bn.activations import z
from statmech_bn.codegen import numba_function
from statmech_bn.errors import InvalidSetup, InvalidStore, NotPrintable

x = sp.Symbol("any_name")


@pytest.mark.parametrize(
    ("expression", "kinks"),
    [
        (sp.tanh(x), ()),
        (sp.Max(0, x), (0.0,)),
        (sp.Max(x, x / 10), (0.0,)),
        (sp.Abs(x - 1) + sp.Max(x, -2), (-2.0, 1.0)),
        (sp.Max(-sp.Rational(1, 2), sp.Min(x, 1)), (-0.5, 1.0)),
        (sp.Piecewise((x, x > 0), (sp.exp(x) - 1, True)), (0.0,)),
        (x * sp.Heaviside(x - 2) - 2 * sp.Heaviside(x - 2), (2.0,)),
    ],
    ids=str,
)
def test_kinks_come_from_the_expression(expression, kinks):
    assert sbn.activation(expression).kinks == kinks


@pytest.mark.parametrize(
    "expression", [x * sp.Heaviside(x), x * (1 + sp.sign(x)) / 2, (x + sp.Abs(x)) / 2], ids=str
)
def test_relu_in_other_words(expression):
    """A step times what vanishes at the step is continuous: the Dirac delta sifts out."""
    written, known = sbn.activation(expression), sbn.activation("relu")
    assert written.kinks == known.kinks
    for point in (-2, -0.1, 0.3, 5):
        assert written.expression.subs(z, point) == known.expression.subs(z, point)
        assert written.derivative.subs(z, point) == known.derivative.subs(z, point)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("linear", True), ("relu", True), ("leaky_relu", True), (sp.Abs(x) - x / 3, True),
        (x * sp.Heaviside(x), True), (sp.Piecewise((x, x > 0), (0.3 * x, True)), True),
        ("erf", False), ("silu", False), ("hard_tanh", False), (sp.Max(0, x - 1), False),
        (x**3, False), (x + 1, False), (sp.Abs(x) ** 1.5, False),
    ],
    ids=str,
)  # fmt: skip
def test_homogeneous(expression, expected):
    assert sbn.activation(expression).homogeneous is expected


def test_the_symbol_has_any_name():
    assert sbn.activation(x**3) == sbn.activation(sp.Symbol("y") ** 3)


def test_a_named_activation_is_found_by_its_expression():
    assert sbn.activation(sp.Max(0, x)).name == "relu"
    assert sbn.activation(sp.Max(0, x)) == sbn.activation("relu")


def test_a_hole_that_can_be_filled_is_no_pole():
    assert sbn.activation(sp.sin(x) / x).kinks == ()
    assert sbn.activation(sp.Piecewise((1 / x, x > 1), (x, True))).kinks == (1.0,)


@pytest.mark.parametrize(
    ("expression", "slopes"),
    [
        (sp.Max(0, x), {0: 0}),
        (sp.Max(x, x / 10), {0: 0.1}),
        (sp.Min(x, x / 10), {0: 0.1}),
        (sp.Abs(x), {0: 0}),
        (sp.Max(x, -x / 2), {0: 0}),
        (sp.Min(sp.Max(x, 0), 6), {0: 0, 6: 0}),
        (sp.Max(-1, sp.Min(1, x)), {-1: 0, 1: 0}),
        (sp.Piecewise((x, x > 0), (2 * sp.exp(x) - 2, True)), {0: 1}),
        (sp.Piecewise((x, x >= 0), (x / 10, True)), {0: 0.1}),
        (sp.Piecewise((-x, x < 0), (2 * x, True)), {0: 0}),
        (sp.Piecewise((x, sp.Abs(x) < 1), (sp.sign(x), True)), {-1: 0, 1: 0}),
        (sp.Piecewise((x, sp.And(x > -1, x < 1)), (sp.sign(x), True)), {-1: 0, 1: 0}),
        (sp.Piecewise((-1, x < -1), (1, x > 1), (x, True)), {-1: 0, 1: 0}),
    ],
    ids=str,
)
def test_the_slope_at_a_kink_is_that_of_least_magnitude(expression, slopes):
    g = sbn.activation(expression)
    assert g.kinks == tuple(map(float, slopes))
    for kink, slope in slopes.items():
        assert float(g.derivative.subs(z, kink)) == slope


@pytest.mark.parametrize(
    "expression",
    [
        sp.Piecewise((x, sp.Abs(x) < 1), (2 * sp.sign(x), True)),
        sp.Piecewise((sp.sin(x) / x, sp.Ne(x, 0)), (2, True)),
    ],
    ids=str,
)
def test_a_true_jump_is_refused(expression):
    with pytest.raises(sbn.errors.InvalidSetup, match="a continuous function"):
        sbn.activation(expression)


POLES = [
    (x / sp.sin(x), "3.14159"), (sp.tan(x), "1.5708"), (1 / x, "0.0"), (x / (x - 1), "1.0"),
    (1 / (x**2 - 2), "1.41421"), (x / (sp.exp(x) - 2), "0.693147"), (1 / (x - 1) ** 2, "1.0"),
    (x / (x - 1000), "1000"), (1 / (x + sp.tanh(x) - 1), "0.521298"), (sp.log(x**2), "0.0"),
    (sp.exp(1 / x), "0.0"), (sp.Piecewise((1 / (x - 5), x > 1), (x, True)), "5.0"),
    (sp.sqrt(sp.Abs(x)), "0.0"), (sp.sqrt(x + 10), "-10.0"), (sp.log(x), "-3.1"),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "place"), POLES, ids=str)
def test_a_pole_is_refused_with_its_place(expression, place):
    with pytest.raises(sbn.errors.InvalidSetup, match=rf"z = .*{place}"):
        sbn.activation(expression)


HOLES = [
    x / sp.tanh(x), (sp.exp(x) - 1) / x, sp.sinc(x),
    sp.Piecewise((sp.sin(x) / x, sp.Ne(x, 0)), (1, True)),
]  # fmt: skip


@pytest.mark.parametrize("expression", HOLES, ids=str)
def test_a_hole_runs_at_all_levels(expression):
    """The three levels agree: errors of the mean over replicas, and 1/N beside."""
    setup, start = sbn.TeacherStudent(expression, "weight", 4), sbn.OrderParameters(0.2)
    time, rate = [0.0, 1.0], 0.3
    flow = sbn.macroscopic(setup, rate, time, start).overlap.values.ravel()[-1]
    chain = sbn.mesoscopic(setup, rate, time, start, 1000, replicas=16).overlap
    vectors = sbn.microscopic(setup, rate, time, start, 1000, replicas=4).overlap
    for found in (chain, vectors):
        last = found.isel(time=-1).values.ravel()
        error = last.std(ddof=1) / np.sqrt(last.size)
        assert np.isfinite(last).all()
        assert abs(last.mean() - flow) < 4 * error + 2e-3


@pytest.mark.parametrize(
    ("expression", "place"),
    [
        (sp.Piecewise((x, x < 0), (2 * x, x < 5)), "5"),
        (sp.Piecewise((x, x < 0), (2 * x, x > 0)), "0"),
        (sp.Piecewise((sp.Piecewise((x, x < 1), (1, x < 3)), x > -1), (-1, True)), "3"),
    ],
)
def test_a_piecewise_without_a_value_somewhere_is_refused(expression, place):
    with pytest.raises(InvalidSetup, match=f"a value at every z.*none at z = {place}:"):
        sbn.activation(expression)
    text = sp.srepr(expression.subs(x, z))
    with pytest.raises(InvalidStore, match="a value at every z"):
        sbn.Activation.from_text(text)


def test_what_no_branch_is_asked_for_needs_no_value():
    inside = sp.Piecewise((x, x < 1), (1, x < 3))
    assert sbn.activation(sp.Piecewise((inside, x < 2), (1, True))).kinks == (1.0, 2.0)


def test_an_entry_of_a_matrix_is_no_symbol():
    with pytest.raises(InvalidSetup, match="exactly one symbol"):
        sbn.activation(sp.MatrixSymbol("M", 1, 1)[0, 0])


def test_a_function_that_no_level_has_is_refused():
    with pytest.raises(InvalidSetup, match="Allowed are"):
        sbn.activation(sp.erfi(x / 5))
    with pytest.raises(NotPrintable):
        numba_function([sp.erfi(z)], [z])
