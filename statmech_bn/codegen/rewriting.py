r"""Identities that keep digits, applied wherever they fit.

Floating-point numbers lose what is added to a much larger number, and eᵃ overflows beyond a = 709.
The left sides do either, the right sides neither; s = e^(−2|a|), σ(a) = 1/(1 + e⁻ᵃ):

    w eᵃ − w       = w expm1 a              1 − tanh² a   = 4s/(1 + s)²
    w + w tanh a   = 2w σ(2a)               w − w erf a   = w erfc a
    w − w cos a    = 2w sin²(a/2)           eᵃ ∓ e⁻ᵃ      = 2 sinh a, 2 cosh a
    log(1 + a)     = log1p a                log(1 + eᵃ)   = max(a, 0) + log1p e^(−|a|)
    eᵃ/(1 + eᵃ)    = σ(a)                   log cosh a    = |a| + log1p(s) − log 2
    w σ(a) − w σ(b) = −w σ(a) σ(−b) expm1(b − a)

Here σ(a) = (e + (1 − e) H(a))/(1 + e) with e = e^(−|a|). A polynomial under a logarithm is, beyond
|z| = 10¹⁸, its leading power.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy as sp
from sympy.codegen.cfunctions import expm1, log1p

FAR = sp.Float(1e18)
"""Size of z beyond which the leading power of a polynomial is all of it, to rounding."""


class Logistic(sp.Function):
    """The function σ(a) while identities are applied."""


class ErfComplement(sp.Function):
    """The function erfc, which SymPy itself would turn back: erfc(−a) into 2 − erfc(a)."""


def identities(expression: sp.Expr) -> sp.Expr:
    """Return the same function of real symbols, with σ written out."""
    found = expression.replace(
        lambda e: isinstance(e, (sp.Add, sp.Mul, sp.Pow, sp.log)),
        lambda e: RULES[sp.Pow if e.is_Pow else e.func](e),
    )
    return found.replace(Logistic, _logistic)


def by_rules(expression: sp.Expr) -> sp.Expr:
    """Apply the identities, and keep polynomials under a logarithm from overflow."""
    return identities(expression).replace(
        lambda e: isinstance(e, (sp.log, log1p)), _without_overflow
    )


def _logistic(a: sp.Expr) -> sp.Expr:
    e = sp.exp(-sp.Abs(a))
    return (e + (1 - e) * sp.Heaviside(a, 0)) / (1 + e)


def _sech_squared(a: sp.Expr) -> sp.Expr:
    s = sp.exp(-2 * sp.Abs(a))
    return 4 * s / (1 + s) ** 2


PAIRS: tuple[tuple[Any, int, int, Callable[[sp.Expr, sp.Expr], sp.Expr]], ...] = (
    (sp.tanh, 2, -1, lambda w, a: -w * _sech_squared(a)),
    (sp.tanh, 1, 1, lambda w, a: 2 * w * Logistic(2 * a)),
    (sp.tanh, 1, -1, lambda w, a: -2 * w * Logistic(-2 * a)),
    (sp.erf, 1, 1, lambda w, a: w * ErfComplement(-a)),
    (sp.erf, 1, -1, lambda w, a: -w * ErfComplement(a)),
    (sp.cos, 1, -1, lambda w, a: -2 * w * sp.sin(a / 2) ** 2),
    (sp.exp, 1, -1, lambda w, a: w * expm1(a)),
)
"""Function f, power n, sign ±, and what w fⁿ(a) ± w is."""


def _sum(total: sp.Add) -> sp.Expr:
    """Join the pairs of terms that cancel."""
    terms = list(total.args)
    for function, power, sign, joined in PAIRS:
        for term in list(terms):
            for factor in sp.Mul.make_args(term):
                base: Any
                base, exponent = (factor, 1) if function is sp.exp else factor.as_base_exp()
                if not isinstance(base, function) or exponent != power:
                    continue
                weight = term / factor
                if term in terms and sign * weight in terms:
                    terms.remove(term)
                    terms.remove(sign * weight)
                    terms.append(joined(weight, base.args[0]))
    return sp.Add(*_logistics(_hyperbolic(terms)))


def _hyperbolic(terms: list[sp.Expr]) -> list[sp.Expr]:
    """Join w eᵃ ± w e⁻ᵃ."""
    for term in list(terms):
        for factor in sp.Mul.make_args(term):
            if not isinstance(factor, sp.exp) or term not in terms:
                continue
            weight, a = term / factor, factor.args[0]
            for sign, joined in ((1, sp.cosh), (-1, sp.sinh)):
                if (partner := sign * weight * sp.exp(-a)) in terms:
                    terms.remove(term)
                    terms.remove(partner)
                    terms.append(2 * weight * joined(a))
                    break
    return terms


def _logistics(terms: list[sp.Expr]) -> list[sp.Expr]:
    """Join w σ(a) − w σ(b) = −w σ(a) σ(−b) expm1(b − a), for a − b a number."""
    for term in list(terms):
        for first in term.atoms(Logistic) if term in terms else ():
            if (partner := -term * first) in terms:  # σ − σ² = σ(a) σ(−a)
                terms.remove(term)
                terms.remove(partner)
                return _logistics([*terms, _product(term * Logistic(-first.args[0]))])
            for other in list(terms):
                for second in other.atoms(Logistic) - {first}:
                    a, b = first.args[0], second.args[0]
                    shift = sp.expand(b - a)
                    cancel = sp.expand(term / first + other / second) == 0
                    if shift.is_number and cancel and not (term / first).has(Logistic):
                        terms.remove(term)
                        terms.remove(other)
                        joined = Logistic(a) * Logistic(-b) * expm1(shift)
                        return _logistics([*terms, -term / first * joined])
    return terms


def _product(product: sp.Mul) -> sp.Expr:
    """Join eᵃ/(1 + eᵃ), sinh/cosh and σ(a) σ(−a)."""
    powers = {base: sp.sympify(n) for base, n in product.as_powers_dict().items()}
    for base in list(powers):
        n = powers.get(base, sp.S.Zero)
        if not base.args or not n.is_Integer:
            continue
        a: sp.Expr = base.args[0]
        if isinstance(base, Logistic):
            for m in range(int(n), 0, -1):
                # SymPy takes eᵃ apart into the base E and the power a
                if powers.get(sp.E, sp.S.Zero) == -m * a:
                    del powers[sp.E]
                    powers[base] = n - m
                    powers[Logistic(-a)] = powers.get(Logistic(-a), sp.S.Zero) + m
                    break
        elif isinstance(base, sp.sinh) and n > 0:
            m = min(n, -powers.get(sp.cosh(a), sp.S.Zero))
            if m > 0:
                powers[base] -= m
                powers[sp.cosh(a)] += m
                powers[sp.tanh(a)] = powers.get(sp.tanh(a), sp.S.Zero) + m
    for base in [b for b in powers if isinstance(b, Logistic)]:
        opposite = Logistic(-base.args[0])
        m = min(powers[base], powers.get(opposite, sp.S.Zero))
        if m.is_Integer and m > 0:
            powers[base] -= m
            powers[opposite] -= m
            square = _sech_squared(base.args[0] / 2) / 4
            powers[square] = powers.get(square, sp.S.Zero) + m
    return sp.Mul(*(base**n for base, n in powers.items()))


def _power(power: sp.Pow) -> sp.Expr:
    """Turn 1/(1 + eᵃ) into σ(−a)."""
    base, n = power.as_base_exp()
    if isinstance(base, sp.Add) and n.is_Integer and n < 0:
        rest = base - 1
        if isinstance(rest, sp.exp):
            return Logistic(-rest.args[0]) ** -n
    return power


def _logarithm(logarithm: sp.log) -> sp.Expr:
    [a] = logarithm.args
    if isinstance(a, sp.cosh):
        size = sp.Abs(a.args[0])
        return size + log1p(sp.exp(-2 * size)) - sp.log(2)
    if isinstance(a, (sp.Mul, sp.Pow, Logistic)) and a.has(Logistic):
        powers = a.as_powers_dict()
        if all(isinstance(base, Logistic) or base.is_positive for base in powers):
            return sp.Add(
                *(
                    -n * _softplus(-base.args[0])
                    if isinstance(base, Logistic)
                    else n * _logarithm(sp.log(base))
                    for base, n in powers.items()
                )
            )
    if isinstance(a, sp.Add) and a.as_coeff_Add()[0] == 1:
        rest = a - 1
        return _softplus(rest.args[0]) if isinstance(rest, sp.exp) else log1p(rest)
    return logarithm


def _softplus(a: sp.Expr) -> sp.Expr:
    return sp.Max(a, 0) + log1p(sp.exp(-sp.Abs(a)))


def _without_overflow(logarithm: sp.Expr) -> sp.Expr:
    [a] = logarithm.args
    symbols = a.free_symbols
    if len(symbols) != 1 or not a.is_polynomial(*symbols):
        return logarithm
    [x] = symbols
    degree, leading = sp.degree(a, x), sp.LC(a, x)
    if degree < 2 or not leading.is_positive:
        return logarithm
    far = degree * sp.log(sp.Abs(x)) + sp.log(leading)
    return sp.Piecewise((far, sp.Abs(x) > FAR), (logarithm, True), evaluate=False)


RULES = {sp.Add: _sum, sp.Mul: _product, sp.Pow: _power, sp.log: _logarithm}
