"""Where an activation jumps, found by numbers alone.

A text from a file may be made so that solving an equation for it takes for ever; evaluating it
does not. A function of the grammar (`statmech_bn.activation_text`) can only jump where the argument
s(z) of a step or the difference s(z) of a comparison changes its sign, or at a pole, where g itself
does. Each such change on a grid is bisected to neighbouring floats z₋ < z₊, and

    |g(z₊) − g(z₋)| > 10⁻⁶ (1 + |g(z₋)|)

is a jump. The work is bounded; two changes between the same points of the grid, and changes beyond
the grid, are not seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import Any

import mpmath
import sympy as sp

from statmech_bn.activation_text import CONSTANTS, ELEMENTARY, SYMBOL

REACH, MOST_POINTS, LEAST_POINTS = 40.0, 800, 40
"""The grid is [−REACH, REACH]."""
WORK = 50_000
"""Nodes that are evaluated on the grid, and again in all bisections."""
LARGEST = 1e30
"""A value beyond this is not finite."""
TOLERANCE = 1e-6
"""Change of a value, by 1 + |value|, that is a jump."""

AT = {
    **{getattr(sp, name): getattr(mpmath.fp, name, getattr(mpmath, name)) for name in ELEMENTARY},
    sp.Add: lambda *terms: sum(terms),
    sp.Mul: lambda *factors: math.prod(factors),
    sp.Pow: lambda base, exponent: base**exponent,
    sp.Abs: abs,
    sp.Heaviside: lambda x, *_: float(x > 0),
    sp.Max: max,
    sp.Min: min,
    sp.And: lambda *truths: all(truths),
    sp.Or: lambda *truths: any(truths),
    sp.Not: lambda truth: not truth,
    sp.StrictGreaterThan: lambda a, b: a > b,
    sp.GreaterThan: lambda a, b: a >= b,
    sp.StrictLessThan: lambda a, b: a < b,
    sp.LessThan: lambda a, b: a <= b,
    sp.Equality: lambda a, b: a == b,
    sp.Unequality: lambda a, b: a != b,
}
LEAVES = {constant: float(constant) for constant in CONSTANTS.values() if constant.is_number}


def jump(expression: sp.Expr) -> float | None:
    """Find a point at which an activation jumps or has a pole.

    Parameters
    ----------
    expression : sympy.Expr
        Of the grammar, in `SYMBOL`.

    Returns
    -------
    float or None
        None where no jump is seen.
    """
    switches = [expression, *_switches(expression)]
    parts = sum(_parts(switch) for switch in switches)
    points = min(MOST_POINTS, max(LEAST_POINTS, WORK // parts))
    step = 2 * REACH / points
    # no usual kink is on the grid
    grid = [(i - points / 2 + math.e / 10) * step for i in range(points)]
    steps = WORK // max(_parts(expression), *map(_parts, switches))
    changes = ((s, *ends) for s in switches for ends in _changes(s, grid))
    for switch, left, right in islice(changes, max(1, steps // 60)):
        left, right = _bisected(switch, left, right)
        before, after = value(expression, left), value(expression, right)
        if before is None or after is None:
            continue
        if abs(after - before) > TOLERANCE * (1 + abs(before)):
            return 0.0 if abs(right) < TOLERANCE else right
    return None


def gap(expression: sp.Expr) -> float | None:
    """Find a point at which no branch of a Piecewise holds; one beside each of its numbers, too.

    Parameters
    ----------
    expression : sympy.Expr
        Of the grammar, in `SYMBOL`.

    Returns
    -------
    float or None
        None where no gap is seen.
    """
    pieces = expression.atoms(sp.Piecewise)
    numbers = {float(n) for piece in pieces for _, c in piece.args for n in c.atoms(sp.Number)}
    sizes = {0.0, *(10.0**k for k in range(-6, 7)), *(abs(n) for n in numbers)}
    near = {size * (1 + s * 1e-9) for size in sizes for s in (-1, 0, 1)} if pieces else set()
    points = sorted({side * size for size in near for side in (-1, 1)}, key=abs)
    return next((point for point in points if not _covered(expression, point)), None)


def _covered(node: sp.Basic, point: float) -> bool:
    """Say whether every Piecewise that is used at a point has a branch that holds."""
    if isinstance(node, sp.Piecewise):
        try:
            used = next((branch for branch, holds in node.args if _at(holds, point)), None)
        except (ArithmeticError, TypeError, ValueError):  # a pole in a condition
            return True
        return used is not None and _covered(used, point)
    return all(_covered(argument, point) for argument in node.args)


def value(expression: sp.Expr, point: float) -> float | None:
    """Return a real value below `LARGEST`, or None where there is none."""
    try:
        found = _at(expression, point)
    except (ArithmeticError, TypeError, ValueError):
        return None
    real = found is not None and not isinstance(found, (complex, mpmath.mpc))
    return float(found) if real and abs(found) < LARGEST else None


def _at(node: sp.Basic, point: float) -> Any:
    """Evaluate an expression or a condition in floats."""
    if node == SYMBOL:
        return point
    if isinstance(node, sp.Piecewise):
        return next((_at(branch, point) for branch, holds in node.args if _at(holds, point)), None)
    if node in LEAVES or not node.args:
        return LEAVES[node] if node in LEAVES else float(node) if node.is_number else bool(node)
    return AT[node.func](*[_at(argument, point) for argument in node.args])


def _switches(expression: sp.Expr) -> Iterator[sp.Expr]:
    """Iterate over the expressions at whose zeros something switches."""
    for node in sp.preorder_traversal(expression):
        if isinstance(node, (sp.sign, sp.Heaviside)):
            yield node.args[0]
        elif isinstance(node, sp.core.relational.Relational):
            yield sp.Add(node.lhs, -node.rhs, evaluate=False)


def _parts(expression: sp.Expr) -> int:
    return sum(1 for _ in sp.preorder_traversal(expression))


def _changes(switch: sp.Expr, grid: list[float]) -> Iterator[tuple[float, float]]:
    """Iterate over the intervals of the grid in which an expression changes its sign."""
    values = ((point, value(switch, point)) for point in grid)
    for (left, a), (right, b) in pairwise(values):
        if a is not None and b is not None and (a > 0) != (b > 0):
            yield left, right


def _bisected(switch: sp.Expr, left: float, right: float) -> tuple[float, float]:
    """Bring the two points of a change of sign as close as floats are."""
    start = value(switch, left)
    for _ in range(60):
        middle = (left + right) / 2
        found = value(switch, middle)
        if start is None or found is None or middle in (left, right):
            break
        if (found > 0) == (start > 0):
            left = middle
        else:
            right = middle
    return left, right
