"""Names in printed source: the program's own, so that no text of an expression is ever executed.

Symbols are renamed a0, a1, ... and x0, x1, ... before printing. What no renaming reaches, such as
the bound symbol of a sum or an undefined function, would be printed by its name and is refused.
"""

from __future__ import annotations

import keyword
from collections.abc import Iterable

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.logic.boolalg import BooleanAtom

from statmech_bn.errors import NotPrintable, invalid

BINDING = (sp.Sum, sp.Product, sp.Integral, sp.Derivative, sp.Subs, sp.Lambda, AppliedUndef)
"""Nodes of these classes have names of their own."""
NAMELESS = (sp.Number, sp.NumberSymbol, BooleanAtom)
"""Leaves of these classes are printed from a value."""


def identifier(name: str) -> str:
    """Return the name of a generated function.

    Raises
    ------
    InvalidSetup
        It is not an identifier, or it is a keyword.
    """
    plain = isinstance(name, str) and name.isascii() and name.isidentifier()
    if not plain or keyword.iskeyword(name):
        raise invalid("name", "letters, digits and underscores", name)
    return name


def check_names(expressions: Iterable[sp.Basic], arguments: Iterable[sp.Symbol]) -> None:
    """Refuse expressions of which a name would be printed that is not one of the arguments.

    Raises
    ------
    NotPrintable
        The message names the part.
    """
    known = set(arguments)
    for expression in expressions:
        for node in sp.preorder_traversal(expression):
            strange = not node.args and node not in known and not isinstance(node, NAMELESS)
            if strange or isinstance(node, BINDING):
                raise NotPrintable(
                    f"{type(node).__name__} cannot be printed: it is no function of the arguments "
                    "alone. Do its sum, integral or derivative first, and write the expression "
                    "with elementary functions and erf."
                )
