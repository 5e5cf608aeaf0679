r"""What follows from g(z) as a function on the line: filled holes, kinks, and g' at a kink.

A kink is a point k at which the slope jumps from g'(k⁻) to g'(k⁺). There

    g'(k) = the one of g'(k⁻) and g'(k⁺) of smaller magnitude, 0 if they differ in sign.

A step H has H(0) = 0. Written as H(z − k) it gives a derivative its left slope at k, and written as
1 − H(k − z) its right one. Where neither is wanted, χ = 1 − H(z − k) − H(k − z), which is 1 at k
and 0 elsewhere, corrects the value; a Gaussian average does not see it.
"""

from __future__ import annotations

import sympy as sp

from statmech_bn.errors import InvalidSetup, invalid

ASIDE = sp.Rational(1, 10**9)
"""The sides of a point are looked at so far from it, in units of z."""


def filled(expression: sp.Expr, z: sp.Symbol) -> sp.Expr:
    """Remove branches that hold at one point, where they agree with the limit of their neighbour.

    Raises
    ------
    InvalidSetup
        The value at the point is another one.
    """
    expression = expression.replace(sp.sinc, lambda a: sp.sin(a) / a)
    return expression.replace(sp.Piecewise, lambda *branches: _without_points(branches, z))


def _without_points(branches: tuple[sp.Tuple, ...], z: sp.Symbol) -> sp.Expr:
    kept, rest = [], list(branches)
    while rest:
        value, condition = rest.pop(0)
        if isinstance(condition, (sp.Ne, sp.Eq)) and rest:
            points = sp.solveset(condition.lhs - condition.rhs, z, sp.S.Reals)
            at_point, around = value, sp.Piecewise(*rest)
            if isinstance(condition, sp.Ne):
                at_point, around = around, value
            for point in points if isinstance(points, sp.FiniteSet) else ():
                gap = sp.limit(around, z, point) - at_point.subs(z, point)
                if abs(sp.N(gap)) > 1e-9:
                    raise invalid(
                        "activation",
                        "a continuous function",
                        sp.Piecewise(*branches),
                        f"At z = {point} its value is not its limit.",
                    )
            if isinstance(condition, sp.Ne):
                kept.append((value, True))
                break
            continue
        kept.append((value, condition))
    return sp.Piecewise(*kept)


def sifted(expression: sp.Expr, z: sp.Symbol) -> sp.Expr:
    """Drop each Dirac delta that acts in no branch, or whose factor vanishes: z δ(z) = 0."""
    if not expression.has(sp.DiracDelta):
        return expression
    for node in expression.atoms(sp.Piecewise):
        branches = [
            (_where_it_holds(value, node, i, z), condition)
            for i, (value, condition) in enumerate(node.args)
        ]
        expression = expression.xreplace({node: sp.Piecewise(*branches)})
    for delta in expression.atoms(sp.DiracDelta):
        expression = sp.expand(expression)
        factor = expression.coeff(delta)
        roots = sp.solveset(delta.args[0], z, sp.S.Reals)
        if isinstance(roots, sp.FiniteSet) and all(factor.subs(z, root) == 0 for root in roots):
            expression = sp.expand(expression - factor * delta)
    return expression


def _where_it_holds(value: sp.Expr, node: sp.Piecewise, branch: int, z: sp.Symbol) -> sp.Expr:
    """Drop the deltas of a branch that act at its edge or outside of it, or on what is zero."""
    for delta in value.atoms(sp.DiracDelta):
        roots = sp.solveset(delta.args[0], z, sp.S.Reals)
        if isinstance(roots, sp.FiniteSet) and not any(
            _holds_around(node, branch, root, z) for root in roots
        ):
            value = value.xreplace({delta: sp.S.Zero})
    return sifted(value, z) if value.has(sp.DiracDelta) else value


def _holds_around(node: sp.Piecewise, branch: int, point: sp.Expr, z: sp.Symbol) -> bool:
    return all(_active(node, point + side, z) == branch for side in (-ASIDE, ASIDE))


def _active(node: sp.Piecewise, point: sp.Expr, z: sp.Symbol) -> int:
    """Return the index of the branch that holds at a point."""
    conditions = (condition.subs(z, point) for _, condition in node.args)
    return next((i for i, condition in enumerate(conditions) if condition == True), -1)  # noqa: E712


def kinks(expression: sp.Expr, z: sp.Symbol) -> tuple[sp.Expr, ...]:
    """Return the real roots of the switching conditions that act, exactly, ascending."""
    roots: set[sp.Expr] = set()
    for switch, holders in _switches(expression, ()):
        solutions = sp.solveset(switch, z, sp.S.Reals) if switch.has(z) else sp.S.EmptySet
        if solutions is sp.S.EmptySet:
            continue
        if not isinstance(solutions, sp.FiniteSet):
            raise InvalidSetup(
                f"activation: cannot find where {switch} = 0 in {expression}. "
                "Write the kinks so that SymPy can solve for them, e.g. with Max or Piecewise."
            )
        for root in solutions:
            sides = [root - ASIDE, root + ASIDE]
            if all(any(_active(n, p, z) == i for p in sides) for n, i in holders):
                roots.add(root)
    return tuple(sorted(roots, key=float))


def _switches(
    node: sp.Basic, holders: tuple[tuple[sp.Piecewise, int], ...]
) -> list[tuple[sp.Expr, tuple[tuple[sp.Piecewise, int], ...]]]:
    """Return each expression whose zeros switch, with the branches in which it stands."""
    found = []
    if isinstance(node, sp.Piecewise):
        for i, (value, condition) in enumerate(node.args):
            found += [(r.lhs - r.rhs, holders) for r in condition.atoms(sp.Rel)]
            found += _switches(value, (*holders, (node, i)))
        return found
    if isinstance(node, (sp.Max, sp.Min)):
        found += [(a - b, holders) for i, a in enumerate(node.args) for b in node.args[i + 1 :]]
    elif isinstance(node, (sp.Abs, sp.sign, sp.Heaviside)):
        found.append((node.args[0], holders))
    for argument in node.args:
        found += _switches(argument, holders)
    return found


def with_value_at_kinks(slope: sp.Expr, points: tuple[sp.Expr, ...], z: sp.Symbol) -> sp.Expr:
    """Write a derivative such that at each kink it has the value of least magnitude."""
    slope = slope.replace(sp.Heaviside, lambda a, *_: sp.Heaviside(a, sp.S.Zero))
    slope = slope.replace(sp.sign, lambda a: sp.Heaviside(a, 0) - sp.Heaviside(-a, 0))
    for point in points:
        slope = _at_kink(slope, point, z)
    return slope


def _at_kink(slope: sp.Expr, point: sp.Expr, z: sp.Symbol) -> sp.Expr:
    left, right = (_number(slope, z, point + side * sp.Rational(1, 10**12)) for side in (-1, 1))
    if left is None or right is None:
        return slope
    wanted = 0.0 if left * right <= 0 else min(left, right, key=abs)
    for candidate in (slope, _turned(slope, point, z), _other_side(slope, point, z)):
        value = _number(candidate, z, point)
        if value is not None and abs(value - wanted) <= 1e-9 * (1 + abs(wanted)):
            return candidate
    value = _number(slope, z, point)
    if value is None:
        return slope
    only_there = 1 - sp.Heaviside(z - point, 0) - sp.Heaviside(point - z, 0)
    return slope + sp.nsimplify(wanted - value, rational=True, tolerance=1e-12) * only_there


def _turned(slope: sp.Expr, point: sp.Expr, z: sp.Symbol) -> sp.Expr:
    """Write each step at a point as 1 minus the opposite one: its right slope holds there."""
    turned = slope.replace(
        lambda e: isinstance(e, sp.Heaviside) and e.args[0].subs(z, point) == 0,
        lambda e: (
            1 - sp.Heaviside(-e.args[0], 0)
            if sp.diff(e.args[0], z).subs(z, point).is_negative
            else e
        ),
    )
    return sp.expand(turned) if turned != slope else slope


def _other_side(slope: sp.Expr, point: sp.Expr, z: sp.Symbol) -> sp.Expr:
    """Turn > into ≥ and < into ≤, and the reverse, where a condition switches at a point."""
    turn = {
        sp.StrictGreaterThan: sp.GreaterThan,
        sp.GreaterThan: sp.StrictGreaterThan,
        sp.StrictLessThan: sp.LessThan,
        sp.LessThan: sp.StrictLessThan,
    }
    relations = slope.atoms(*turn)
    at_point = [r for r in relations if (r.lhs - r.rhs).subs(z, point) == 0]
    return slope.xreplace({r: turn[r.func](*r.args) for r in at_point})


def _number(expression: sp.Expr, z: sp.Symbol, point: sp.Expr) -> float | None:
    try:
        value = complex(expression.subs(z, point).evalf())
    except (TypeError, ValueError):
        return None
    return value.real if abs(value.real) < 1e300 else None
