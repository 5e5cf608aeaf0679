"""The grammar of activations: what an expression may be made of, and how its text is read.

    value  = Symbol('z', real=True) | Integer(n) | Rational(p, q) | Float('0.5', precision=53)
           | pi | E | ... | FUNCTIONS(value, ...) | Piecewise(branch, ...)
    branch = ExprCondPair(value, truth) | Tuple(value, truth)
    truth  = true | false | RELATIONS(value, value) | CONNECTIVES(truth, ...)

The text is what `sympy.srepr` writes, but it may come from anybody's file. It is therefore taken
apart by `ast` into nodes, which are held against the tables and the bounds below, and only then are
SymPy's classes called: with numbers and expressions, never with a string that they would evaluate.
An expression of the user is held against the same tables, so what is accepted can be read again.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import mpmath
import sympy as sp
from sympy.functions.elementary.piecewise import ExprCondPair

from statmech_bn.errors import InvalidStore, invalid

LONGEST_TEXT = 50_000
"""A text has at most so many characters."""
MOST_PARTS = 1000
"""An expression has at most so many nodes."""
DEEPEST = 50
"""At most so many nodes lie between the root of an expression and a leaf."""
LARGEST_POWER = 1000
"""An exponent that is a number has at most this absolute value."""
MOST_BITS = 1000
"""An integer has at most so many bits, about 300 digits: it is finite in double precision."""
LARGEST_EXPONENT = 8192
"""The |log₂| of an argument is at most this: SymPy computes with as many bits."""
PROBES = (-3.1, 0.7, 3.3)
"""At these values of z no argument may be larger than 2**LARGEST_EXPONENT."""

SYMBOL = sp.Symbol("z", real=True)
"""Every expression that is read has this symbol."""
CONSTANTS: dict[str, sp.Basic] = {
    "pi": sp.pi, "E": sp.E, "EulerGamma": sp.EulerGamma, "GoldenRatio": sp.GoldenRatio,
    "Catalan": sp.Catalan, "true": sp.true, "false": sp.false,
}  # fmt: skip
ELEMENTARY = [
    "exp", "log", "erf", "erfc", "sinh", "cosh", "tanh", "coth", "sech", "csch", "asinh",
    "acosh", "atanh", "acoth", "asech", "sin", "cos", "tan", "cot", "sec", "csc", "asin", "acos",
    "atan", "acot", "sinc", "sign",
]  # fmt: skip


class NodeKind(NamedTuple):
    """What a node is made of."""

    build: Callable[..., Any]
    takes: str  # kind of its arguments: value, truth or branch
    gives: str
    least: int  # arguments
    most: int
    at: Callable[..., Any] | None = None  # its value at numbers; without, the largest of them


def _unevaluated(cls: Any) -> Callable[..., Any]:
    """Return a constructor that computes nothing: what SymPy wrote is already evaluated."""
    return lambda *arguments: cls(*arguments, evaluate=False)


MANY = MOST_PARTS
NODES: dict[str, NodeKind] = {
    "Add": NodeKind(sp.Add, "value", "value", 1, MANY, lambda *terms: sum(terms)),
    "Mul": NodeKind(sp.Mul, "value", "value", 1, MANY, lambda *factors: math.prod(factors)),
    "Pow": NodeKind(sp.Pow, "value", "value", 2, 2, lambda base, exponent: base**exponent),
    **{
        name: NodeKind(
            _unevaluated(getattr(sp, name)), "value", "value", 1, 1, getattr(mpmath, name)
        )
        for name in ELEMENTARY
    },
    "Abs": NodeKind(_unevaluated(sp.Abs), "value", "value", 1, 1),
    "Heaviside": NodeKind(_unevaluated(sp.Heaviside), "value", "value", 1, 2,
                          lambda *_: mpmath.mpf(1)),
    "Max": NodeKind(_unevaluated(sp.Max), "value", "value", 1, MANY),
    "Min": NodeKind(_unevaluated(sp.Min), "value", "value", 1, MANY),
    "Piecewise": NodeKind(_unevaluated(sp.Piecewise), "branch", "value", 1, MANY),
    "ExprCondPair": NodeKind(ExprCondPair, "value truth", "branch", 2, 2),
    **{
        cls.__name__: NodeKind(_unevaluated(cls), "value", "truth", 2, 2)
        for cls in (
            sp.StrictGreaterThan, sp.GreaterThan, sp.StrictLessThan, sp.LessThan,
            sp.Equality, sp.Unequality,
        )
    },
    "And": NodeKind(_unevaluated(sp.And), "truth", "truth", 1, MANY),
    "Or": NodeKind(_unevaluated(sp.Or), "truth", "truth", 1, MANY),
    "Not": NodeKind(_unevaluated(sp.Not), "truth", "truth", 1, 1),
}  # fmt: skip
NODES["Tuple"] = NODES["ExprCondPair"]
CLASSES = {name: getattr(sp, name, ExprCondPair) for name in NODES}
ALLOWED = (
    "Allowed are numbers, one symbol, + - * / **, Max, Min, Abs, Heaviside, Piecewise with "
    f"comparisons, And, Or, Not, and {', '.join(ELEMENTARY)}."
)
TOKENS = re.compile(r"(?>[A-Za-z_]\w{0,99}|-?\d+|'[^'\\\n]{0,400}'|[(),=]|\s)*+", re.ASCII)
"""A text consists of these, without operators, attributes, indices or escapes. The groups are
atomic: a text that does not match is not tried in other divisions."""
NUMBER = re.compile(r"-?\d{1,400}(\.\d{0,400})?(e[+-]?\d{1,3})?", re.ASCII)


class Node(NamedTuple):
    """A node that is not a leaf; leaves are SymPy's numbers and constants, and `SYMBOL`."""

    name: str
    arguments: tuple[Any, ...]


class _Refused(Exception):
    """Says what was expected and what came instead."""


def read(text: str) -> sp.Expr:
    """Read the text of an activation.

    Parameters
    ----------
    text : str
        What `sympy.srepr` writes for an expression of the grammar in one symbol.

    Returns
    -------
    sympy.Expr
        In the symbol `SYMBOL`, whatever it was called.

    Raises
    ------
    InvalidStore
        The text is not of the grammar, or beyond its bounds.
    """
    try:
        if not isinstance(text, str) or len(text) > LONGEST_TEXT:
            raise _Refused(f"a text of at most {LONGEST_TEXT} characters", type(text).__name__)
        if not TOKENS.fullmatch(text):
            raise _Refused("names, numbers and calls", text[:80])
        if _nesting(text) > 2 * DEEPEST:
            raise _Refused(f"at most {DEEPEST} nested functions", _nesting(text))
        names: set[str] = set()
        root = _from_ast(ast.parse(text.strip(), mode="eval").body, names)
        _check(root)
        if len(names) != 1:
            raise _Refused("exactly one symbol", sorted(names))
        return _build(root)
    except _Refused as refused:
        expected, got = refused.args
        raise InvalidStore(f"activation: expected {expected}, got {got!r}. {ALLOWED}") from refused
    except (SyntaxError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise InvalidStore(
            f"activation: expected a name or the srepr of a SymPy expression, got {text[:80]!r}."
        ) from error


def checked(expression: sp.Expr) -> sp.Expr:
    """Return an expression of the user as it will be read again.

    Parameters
    ----------
    expression : sympy.Expr
        In `SYMBOL`.

    Raises
    ------
    InvalidSetup
        It has a part that is not of the grammar, or is beyond its bounds.
    """
    try:
        budget = iter(range(MOST_PARTS))
        root = _from_sympy(expression, budget, 0)
        _check(root)
        return _build(root)
    except _Refused as refused:
        expected, got = refused.args
        raise invalid("activation", expected, got, ALLOWED) from refused


def _nesting(text: str) -> int:
    """Return how deep the parentheses of a text are nested."""
    depth = deepest = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        deepest = max(deepest, depth)
    return deepest


def _from_ast(node: ast.AST, names: set[str]) -> Any:
    """Turn parsed text into nodes and leaves; only leaves are SymPy's."""
    if isinstance(node, ast.Name) and node.id in CONSTANTS:
        return CONSTANTS[node.id]
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise _Refused("calls of functions and numbers", type(node).__name__)
    name = node.func.id
    if name in ("Integer", "Rational", "Float", "Symbol"):
        values = [_literal(argument) for argument in node.args]
        options = {keyword.arg: _option(keyword.value) for keyword in node.keywords}
        return _leaf(name, values, options, names)
    if node.keywords:
        raise _Refused("arguments without names", node.keywords[0].arg)
    return Node(name, tuple(_from_ast(argument, names) for argument in node.args))


def _literal(node: ast.AST) -> int | str:
    """Return an integer or the text of a number; nothing is evaluated."""
    sign = 1
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        sign, node = -1, node.operand
    value = node.value if isinstance(node, ast.Constant) else None
    if type(value) is int:
        return sign * value
    if type(value) is str and sign == 1:
        return value
    raise _Refused("a number that is written out", type(value).__name__)


def _option(node: ast.AST) -> int | bool:
    value = node.value if isinstance(node, ast.Constant) else None
    if type(value) not in (int, bool):
        raise _Refused("a number, True or False", type(node).__name__)
    return value  # type: ignore[return-value]


def _leaf(name: str, values: list[Any], options: dict[Any, Any], names: set[str]) -> sp.Basic:
    """Make a number from integers or checked text, or the symbol."""
    kinds = [type(value) for value in values]
    if name == "Symbol" and kinds == [str] and all(type(v) is bool for v in options.values()):
        names.add(values[0])
        return SYMBOL
    if name == "Integer" and kinds == [int] and not options:
        return sp.Integer(values[0])
    if name == "Rational" and kinds == [int, int] and values[1] != 0 and not options:
        return sp.Rational(*values)
    if name == "Float" and kinds == [str] and list(options) in ([], ["precision"]):
        precision = options.get("precision", 53)
        if NUMBER.fullmatch(values[0]) and 1 <= precision <= MOST_BITS:
            return sp.Float(values[0], precision=precision)
    raise _Refused(f"numbers of {name}", [*values, *options])


def _from_sympy(expression: Any, budget: Iterator[int], depth: int) -> Any:
    """Turn an expression into nodes and leaves."""
    if next(budget, None) is None:
        raise _Refused(f"an expression of at most {MOST_PARTS} parts", "more")
    if depth > DEEPEST:
        raise _Refused(f"at most {DEEPEST} nested functions", "more")
    if not expression.args:
        return expression
    name = type(expression).__name__
    if CLASSES.get(name) is not type(expression):
        raise _Refused("differentiable functions that all levels can compute", name)
    below = [_from_sympy(argument, budget, depth + 1) for argument in expression.args]
    return Node(name, tuple(below))


def _check(root: Any) -> None:
    """Hold nodes against the tables and the bounds, before SymPy computes with any.

    Raises
    ------
    _Refused
        With what was expected and what came.
    """
    count, pending = 0, [(root, "value", 1)]
    while pending:
        node, kind, depth = pending.pop()
        count += 1
        if count > MOST_PARTS:
            raise _Refused(f"an expression of at most {MOST_PARTS} parts", "more")
        if depth > DEEPEST:
            raise _Refused(f"at most {DEEPEST} nested functions", "more")
        if not isinstance(node, Node):
            _check_leaf(node, kind)
            continue
        form = NODES.get(node.name)
        if form is None or form.gives != kind:
            raise _Refused(f"a differentiable {kind} that all levels can compute", node.name)
        if not form.least <= len(node.arguments) <= form.most:
            raise _Refused(f"{form.least} to {form.most} arguments of {node.name}", len(node[1]))
        if node.name == "Pow" and isinstance(exponent := node.arguments[1], sp.Number):
            _check_leaf(exponent, "value")
            if abs(exponent) > LARGEST_POWER:
                raise _Refused(f"exponents of at most {LARGEST_POWER}", str(exponent)[:40])
        kinds = form.takes.split()
        below = zip(node.arguments, kinds * len(node.arguments), strict=False)
        pending += [(argument, expected, depth + 1) for argument, expected in below]
    for probe in PROBES:
        _value(root, mpmath.mpf(probe))


def _check_leaf(leaf: Any, kind: str) -> None:
    if kind == "truth":
        known = leaf is sp.true or leaf is sp.false
    elif isinstance(leaf, sp.Rational):
        known = leaf.is_finite and max(leaf.p.bit_length(), leaf.q.bit_length()) <= MOST_BITS
    elif isinstance(leaf, sp.Float):
        known = leaf.is_finite and (leaf == 0 or abs(mpmath.mag(leaf._to_mpmath(53))) <= MOST_BITS)
    else:
        known = leaf is not sp.true and leaf is not sp.false
        known = kind == "value" and known and (leaf == SYMBOL or leaf in CONSTANTS.values())
    if not known or kind == "branch":
        raise _Refused(f"a {kind}: numbers of at most 300 digits, one symbol", _named(leaf))


def _named(leaf: Any) -> str:
    """Name a leaf in a message; a number of a million digits is not printed."""
    return type(leaf).__name__ if isinstance(leaf, sp.Number) else str(leaf)[:80]


def _value(node: Any, z: Any) -> Any:
    """Return a node at z, None where it has no value; refuse arguments that are too large."""
    if not isinstance(node, Node):
        return z if node == SYMBOL else mpmath.mpf(float(node)) if node.is_number else None
    form = NODES[node.name]
    values = [_value(argument, z) for argument in node.arguments]
    if form.at is None:
        known = [value for value in values if value is not None and value == value]
        return max(known, key=abs, default=None)
    if any(value is None for value in values):
        return None
    sizes = [mpmath.mag(value) for value in values if value and mpmath.isfinite(value)]
    if node.name == "Pow":
        base, exponent = values
        sizes = [abs(mpmath.mag(base) * exponent)] if base and mpmath.isfinite(base) else []
    if node.name not in ("Add", "Mul") and any(size > LARGEST_EXPONENT for size in sizes):
        raise _Refused(f"arguments below 2^{LARGEST_EXPONENT} at |z| < 4", f"more in {node.name}")
    try:
        return form.at(*values)
    except (ArithmeticError, ValueError):  # a pole
        return None


def _build(node: Any) -> Any:
    """Call SymPy's classes, from the leaves up; no number may grow beyond the bounds."""
    if not isinstance(node, Node):
        return node
    built = NODES[node.name].build(*map(_build, node.arguments))
    if isinstance(built, sp.Expr):
        for number in built.atoms(sp.Number):
            _check_leaf(number, "value")
    return built
