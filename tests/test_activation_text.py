"""The text of an activation is held against a grammar: nothing is run, nothing hangs."""

import pytest
import sympy as sp
from hypothesis import example, given, settings
from hypothesis import strategies as st

import statmech_bn as sbn
from statmech_bn import activation_text
from statmech_bn.activations import NAMED
from statmech_bn.errors import InvalidSetup, InvalidStore
from tests.processor_time import at_once

z = activation_text.SYMBOL
x = sp.Symbol("x")
Z = "Symbol('z', real=True)"


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """Yield calls that leave a file behind; the file must never be there."""
    fired = tmp_path / "fired"
    monkeypatch.chdir(tmp_path)
    yield f"__import__('pathlib').Path('{fired}').touch()"
    assert not fired.exists()


def hostile(call):
    """Return every place of the grammar with the call as a string, a name, or Python."""
    quoted = repr(call)
    names = [*activation_text.NODES, *activation_text.CONSTANTS, "Integer", "Rational", "Symbol",
             "S", "sympify", "Lambda", "Sum", "Product", "Integral", "Function", "Dummy", "Wild",
             "factorial", "Derivative", "Subs", "Matrix", "Poly", "Eq", "eval", "exec", "open",
             "__import__", "getattr", "preview", "lambdify", "parse_expr"]  # fmt: skip
    for name in names:
        for arguments in (quoted, f"{Z}, {quoted}", f"{quoted}, {Z}", call, f"{Z}, {call}"):
            yield f"{name}({arguments})"
            yield f"Add({Z}, {name}({arguments}))"
    yield from (call, quoted, f"Symbol({quoted}).name", f"{Z} + {call}", f"{Z} if {call} else 1")
    yield from (f"Float({quoted})", f"Float('1', precision={call})", f"Float('1', {quoted})")
    yield from (f"Rational({quoted}, 1)", f"Rational(1, {quoted})", f"[{call}]", f"({call}, 1)")
    yield from (f"Symbol('z', real={call})", f"Symbol('z', **{{{quoted}: 1}})", f"exp(*{quoted})")
    yield from (f"lambda: {call}", f"(a := {call})", f"f'{{{call}}}'", f"`{call}`", f"#\n{call}")


def test_no_place_of_the_grammar_runs_what_a_text_says(canary):
    for text in hostile(canary):
        with at_once(), pytest.raises(InvalidStore, match="activation"):
            sbn.Activation.from_text(text)


WORDS = st.sampled_from(
    [
        *activation_text.NODES, *activation_text.CONSTANTS, "Integer", "Rational", "Float",
        "Symbol", "Sum", "Lambda", "S", "sympify", "open", "eval", "(", ")", "(", ")", ",", ",",
        "=", "'", '"', "-", "+", "**", ".", "[", "]", "{", "}", "\n", "\\", "\0", "1", "10" * 9,
        "precision", "real", "True", "'z'", Z, "Integer(1)", "nan", "'inf'", "é", "٣",
        "open('fired', 'w')", "\"open('fired', 'w')\"", "'[open(1)][0]'",
    ]
)  # fmt: skip


@settings(max_examples=3000)
@given(text=st.lists(WORDS, max_size=12).map("".join) | st.text(max_size=60))
@example(text="")
@example(text="Add()")
@example(text="Piecewise(Tuple())")
def test_any_text_is_read_or_refused(text):
    """The words would write a file called `fired`, here, if anything evaluated them."""
    with at_once():
        try:
            read = sbn.Activation.from_text(text)
        except InvalidStore:
            return
    assert read.expression.free_symbols <= {z}


def test_the_words_have_not_fired():
    with pytest.raises(FileNotFoundError):
        open("fired").close()


NUMBERS = (
    st.integers(-(10**20), 10**20).map(sp.Integer)
    | st.fractions().map(sp.Rational)
    | st.floats(-1e300, 1e300).map(sp.Float)
    | st.sampled_from([sp.pi, sp.E, sp.Float("0.1", 40), sp.EulerGamma])
)
SMALL = st.integers(-3, 3).map(sp.Integer) | st.sampled_from([sp.Rational(1, 2), sp.Float(0.7)])
FUNCTIONS = [getattr(sp, name) for name in activation_text.ELEMENTARY]


def grown(below):
    truth = st.builds(lambda rel, a, b: rel(a, b), st.sampled_from([sp.Gt, sp.Le, sp.Ne]),
                      st.just(z), SMALL)  # fmt: skip
    return st.one_of(
        st.builds(lambda f, a: f(a), st.sampled_from(FUNCTIONS), below),
        st.builds(sp.Add, below, below),
        st.builds(sp.Mul, below, below),
        st.builds(sp.Pow, below, SMALL),
        st.builds(sp.Abs, below),
        st.builds(sp.Max, st.just(z), SMALL),
        st.builds(sp.Min, st.just(z), SMALL, st.just(z**2)),
        st.builds(sp.Heaviside, st.just(z), st.sampled_from([0, 1, sp.Rational(1, 2)])),
        st.builds(lambda a, b, t: sp.Piecewise((a, t), (b, True)), below, below, truth),
        st.builds(
            lambda a, b, t, s: sp.Piecewise((a, sp.Or(t, sp.And(s, z < 7))), (b, True)),
            below, below, truth, truth,
        ),
    )  # fmt: skip


EXPRESSIONS = st.recursive(st.just(z) | NUMBERS | SMALL, grown, max_leaves=6)


@settings(max_examples=400)
@given(expression=EXPRESSIONS)
def test_what_is_accepted_is_read_back(expression):
    if expression.free_symbols != {z}:
        return
    try:
        accepted = activation_text.checked(expression)
    except InvalidSetup:
        return  # it has zoo, I, or a number that is too large
    assert activation_text.read(sp.srepr(accepted)) == accepted


ORDINARY = [
    *NAMED.values(), sp.Max(x, x / 10), x * sp.erf(x), sp.Abs(x - 1), x / (1 + sp.exp(-x)),
    sp.Piecewise((x, x > 0), (sp.exp(x) - 1, True)), sp.Float(0.3) * x + sp.sin(x),
    sp.sqrt(x**2 + 1), sp.Max(-sp.Rational(1, 2), sp.Min(x, 1)), x * sp.tanh(sp.log(1 + sp.exp(x))),
    sp.pi * x, sp.Piecewise((x, sp.And(x > -1, x < 1)), (sp.sign(x), True)), x * sp.Heaviside(x),
    sp.atan(x),
    2 * sp.log(sp.cosh(x / 2)), sp.Mul(2, x + 1, evaluate=False), sp.exp(-sp.exp(-1000 * x)),
    sp.Piecewise((x, sp.Ne(x, 0) & ~sp.Eq(x, 1)), (x**2, True)), sp.cbrt(2) * x, x**3 / 3 + x**7,
]  # fmt: skip


@pytest.mark.parametrize("expression", ORDINARY, ids=str)
def test_ordinary_activations_are_read_back_as_they_were(expression):
    (symbol,) = expression.free_symbols
    accepted = activation_text.checked(expression.subs(symbol, z))
    assert activation_text.read(sp.srepr(accepted)) == accepted
    assert all(
        abs(sp.N((accepted - expression).subs({symbol: p, z: p}))) < 1e-12 for p in (-1.7, 2)
    )


def test_texts_of_stores_already_written_are_read():
    """What SymPy 1.13 and 1.14 print, with the number nodes spelled out."""
    text = (
        "Piecewise(ExprCondPair(Symbol('z', real=True), StrictGreaterThan(Symbol('z', real=True), "
        "Integer(0))), ExprCondPair(Add(exp(Symbol('z', real=True)), Integer(-1)), true))"
    )
    assert activation_text.read(text) == sp.Piecewise((z, z > 0), (sp.exp(z) - 1, True))
    text = "Mul(Float('0.29999999999999999', precision=53), Pow(Symbol('y'), Rational(-1, 2)))"
    assert activation_text.read(text) == sp.Float(0.3) / sp.sqrt(z)


TEN = "Integer(10)"
BOMBS = {
    "power": f"Mul({Z}, Pow({TEN}, Pow({TEN}, {TEN})))",
    "integer power": f"Mul({Z}, Pow({TEN}, Integer(10000000000)))",
    "negative power": f"Mul({Z}, Pow({TEN}, Integer(-10000000000)))",
    "powers of powers": f"Mul({Z}, " + "Pow(" * 9 + TEN + ", Integer(900))" * 9 + ")",
    "coefficient": "Pow(" * 9 + f"Mul({TEN}, {Z})" + ", Integer(900))" * 9,
    "tower": f"Mul({Z}, " + f"Pow({TEN}, " * 9 + TEN + ")" * 10,
    "float tower": f"Mul({Z}, Pow(Float('1e300'), Pow(Float('1e300'), {TEN})))",
    "exp": f"Mul({Z}, exp(exp(exp(Integer(1000)))))",
    "exp of z": f"exp(exp(exp(Mul(Integer(1000), {Z}))))",
    "exp of large z": f"exp(exp(Mul(Float('1e300'), {Z})))",
    "comparison": f"Max({Z}, exp(exp(exp(Integer(1000)))), exp(exp(exp(Integer(1001)))))",
    "factorial": f"Mul({Z}, factorial(Integer(1000000000)))",
    "digits": f"Mul({Z}, Integer({'9' * 4000}))",
    "many digits": f"Mul({Z}, Integer({'9' * 10**6}))",
    "float exponent": f"Mul({Z}, Float('1e999999999'))",
    "precision": f"Mul({Z}, Float('1', precision=1000000000))",
    "parentheses": "(" * 10**5 + Z + ")" * 10**5,
    "few parentheses": "(" * 9000 + Z + ")" * 9000,
    "signs": "-" * 10**5 + "1",
    "nested": "exp(" * 10**5 + Z + ")" * 10**5,
    "deep": "exp(" * 199 + Z + ")" * 199,
    "wide": f"Add({', '.join([Z] * 10**5)})",
    "wide maximum": "Max(" + ", ".join(f"Mul({Z}, Integer({n}))" for n in range(240)) + ")",
    "empty": "Add(" + "Add(), " * 6000 + Z + ")",
    "exponent": f"Pow({Z}, Integer(1000000))",
    "expansion": "Pow(Add(" * 20 + Z + ", Integer(1)), Integer(2))" * 20,
    "condition": "Piecewise(Tuple(" + Z + ", StrictGreaterThan(Pow(Add(Pow(Pow(" + Z + ", Integer(2"
    ")), Integer(50)), " + Z + "), Integer(-1)), Integer(0))), Tuple(Integer(0), true))",
    "root": f"Mul({Z}, Pow(Integer({10**290 + 7}), Rational(1, {10**290 + 9})))",
    "sine": f"Mul({Z}, sin(Integer({10**290})), cos(Mul(pi, Rational(1, {10**290 + 9}))))",
    "imaginary error function": f"erfi(exp(exp(exp({Z}))))",
}
HARMLESS = {"wide maximum", "root", "sine"}
"""These are read, but nothing of them is computed."""


@pytest.mark.parametrize("kind", BOMBS)
def test_bombs_end_at_once(kind):
    with at_once():
        if kind in HARMLESS:
            sbn.Activation.from_text(BOMBS[kind])
        else:
            with pytest.raises(InvalidStore, match="activation"):
                sbn.Activation.from_text(BOMBS[kind])


@pytest.mark.parametrize(
    "text",
    [
        "Integer(1)", f"Add({Z}, Symbol('y', real=True))", f"Add({Z}, nan)", f"Add({Z}, oo)",
        f"Add({Z}, zoo)", f"Add({Z}, I)", f"Add({Z}, true)", f"Max({Z}, true)", f"And({Z}, true)",
        f"StrictGreaterThan({Z}, Integer(0))", f"Tuple({Z}, true)", f"Pow({Z})", "exp()", "Max()",
        f"exp({Z}, {Z})", f"Pow({Z}, Integer(2), Integer(3))", f"Piecewise({Z})",
        f"Piecewise(Tuple({Z}, {Z}))", f"Add({Z}, 1)", f"Add({Z}, Integer(1.0))",
        f"Add({Z}, Integer('1'))", f"Add({Z}, Integer(True))", f"Add({Z}, Rational(1, 0))",
        f"Add({Z}, Float('nan'))", f"Add({Z}, Float('inf'))", f"Add({Z}, Float('1_0'))",
        f"Add({Z}, Float(1))", f"Heaviside({Z}, Integer(0), Integer(0))", "Symbol(1)", "Symbol()",
        f"Add({Z}, Integer(1), evaluate=False)", f"add({Z})", f"{Z} {Z}", f"Add({Z}", "z",
        "Dummy('z')", f"Not({Z})", None, 3, ["relu"], {}, "relu ", "x" * 10**6,
    ],
    ids=str,
)  # fmt: skip
def test_other_texts_are_refused(text):
    with pytest.raises(InvalidStore, match="activation"):
        sbn.Activation.from_text(text)


k = sp.Symbol("r in range(1))), )\nimport os\nif 1:\n    zz = ((sum(1 for r")
F = sp.Function("f")


@pytest.mark.parametrize(
    ("expression", "named"),
    [
        (x + x * sp.Sum(1, (k, 1, 2)), "Sum"),
        (x * sp.Product(k, (k, 1, 3)), "Product"),
        (x * sp.Integral(sp.exp(k * k), (k, 0, 1)), "Integral"),
        (sp.Integral(sp.exp(k**k), (k, 0, x)), "Integral"),
        (F(x), "f"),
        (x + sp.Derivative(F(x), x), "Derivative"),
        (x * sp.Subs(F(k), k, 1), "Subs"),
        (x + sp.I, "'I'"),
        (sp.LambertW(x), "LambertW"),
        (sp.gamma(x), "gamma"),
        (sp.factorial(x), "factorial"),
        (sp.floor(x), "floor"),
        (sp.Mod(x, 2), "Mod"),
        (sp.oo * x, "Infinity"),
        (sp.DiracDelta(x), "DiracDelta"),
        (sp.Piecewise((x, sp.Contains(x, sp.Interval(0, 1))), (1, True)), "Contains"),
        (sp.UnevaluatedExpr(x), "UnevaluatedExpr"),
        (x + 10**400, "Integer"),
        (x**2000, "exponents"),
        (sp.exp(sp.exp(sp.exp(1000 * x))), "exp"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_expressions_outside_of_the_grammar_are_refused(expression, named):
    with pytest.raises(InvalidSetup, match="Allowed are numbers") as refused:
        sbn.activation(expression)
    assert named in str(refused.value)


@pytest.mark.thorough
def test_an_expression_of_many_parts_is_refused():
    with pytest.raises(InvalidSetup, match="1000 parts"):
        sbn.activation(sp.Add(*(sp.sin(n * x) for n in range(1, 1500))))


def test_a_class_that_only_has_the_name_is_refused():
    class exp(sp.Function):  # noqa: N801
        def _numpycode(self, printer):
            return "0\nraise SystemExit"

    with pytest.raises(InvalidSetup, match="got 'exp'"):
        sbn.activation(exp(x))
