"""An activation as somebody types it, such as ``Max(x, x/10)``, read by the safe parser.

The text comes from a page or from an address that a stranger sent. It is taken apart by `ast`, and
what it is made of is written down as a text of the grammar of `statmech_bn.activation_text`, which
alone decides what is allowed and makes expressions. Nothing is evaluated, and no name is looked up:

    x + y  →  Add(x, y)        x/y  →  Mul(x, Pow(y, Integer(-1)))        sqrt(x)  →  x**(1/2)
    x > y  →  StrictGreaterThan(x, y)        0.1  →  Float('0.1')         x  →  Symbol('x')
"""

from __future__ import annotations

import ast
import re

from statmech_bn import activation_text
from statmech_bn.activations import ALIASES, NAMED, Activation, activation, suggestion
from statmech_bn.errors import InvalidStore, invalid

LONGEST = 120
"""A typed activation has at most so many characters."""
EXAMPLE = "Write a name, or an expression in one symbol: Max(x, x/10), x*erf(x), log(1 + exp(x))."
SYMBOL = re.compile("[A-HJ-Za-z]")
"""A symbol is one letter, so that the misspelt name of an activation is not taken for one."""
OPERATORS = {ast.Add: "Add({}, {})", ast.Sub: "Add({}, Mul(Integer(-1), {}))",
             ast.Mult: "Mul({}, {})", ast.Div: "Mul({}, Pow({}, Integer(-1)))",
             ast.Pow: "Pow({}, {})"}  # fmt: skip
COMPARISONS = {ast.Gt: "StrictGreaterThan", ast.GtE: "GreaterThan", ast.Lt: "StrictLessThan",
               ast.LtE: "LessThan"}  # fmt: skip


def read(text: str) -> Activation:
    """Read an activation that was typed.

    Parameters
    ----------
    text : str
        A name, or an expression in one symbol, a letter, with + − * / **, numbers and the
        functions of `statmech_bn.activation_text`.

    Returns
    -------
    Activation
        Its values are not checked; see `checked`.

    Raises
    ------
    InvalidSetup
        It is not of the grammar.

    Examples
    --------
    >>> read("Max(x, x/10)").expression
    Max(z/10, z)
    """
    if not isinstance(text, str) or not 0 < len(text.strip()) <= LONGEST:
        raise invalid("activation", f"a text of 1 to {LONGEST} characters", text, EXAMPLE)
    text = ALIASES.get(text.strip(), text.strip())
    if text in NAMED:
        return Activation(NAMED[text])
    try:
        return Activation(activation_text.read(_written(ast.parse(text, mode="eval").body)))
    except InvalidStore as error:
        raise invalid("activation", "an expression in one symbol", text, str(error)) from error
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        expected = "an expression that can be read"
        fix = suggestion(text) or EXAMPLE
        raise invalid("activation", expected, text, fix) from error


def checked(text: str) -> Activation:
    """Read an activation, and check as `statmech_bn.activation` does; may take long.

    Raises
    ------
    InvalidSetup
        It is not of the grammar, jumps, or has no finite values.
    """
    return activation(read(text).expression)


def _written(node: ast.AST) -> str:
    """Write what was typed in the grammar of `activation_text`."""
    match node:
        case ast.Constant(value=bool() as truth):
            return str(truth).lower()
        case ast.Constant(value=int() as number):
            return f"Integer({number})"
        case ast.Constant(value=float() as number):
            return f"Float('{number!r}', precision=53)"
        case ast.Name(id=name) if name in activation_text.CONSTANTS:
            return name
        case ast.Name(id=name) if SYMBOL.fullmatch(name):
            return f"Symbol('{name}')"
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return f"Mul(Integer(-1), {_written(operand)})"
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _written(operand)
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in OPERATORS:
            return OPERATORS[type(operator)].format(_written(left), _written(right))
        case ast.Compare(left=left, ops=[operator], comparators=[right]):
            name = COMPARISONS.get(type(operator), "")
            return f"{name}({_written(left)}, {_written(right)})"
        case ast.Tuple(elts=elements):
            return f"Tuple({', '.join(map(_written, elements))})"
        case ast.Call(func=ast.Name(id="sqrt"), args=[argument], keywords=[]):
            return f"Pow({_written(argument)}, Rational(1, 2))"
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            return f"{name}({', '.join(map(_written, arguments))})"
    raise ValueError(f"{type(node).__name__} is no part of an expression.")
