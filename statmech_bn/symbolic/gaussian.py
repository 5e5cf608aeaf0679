r"""Exact averages over centred, jointly Gaussian variables, by Stein's lemma and Price's theorem.

With z ~ N(0, C), E_C[...] the average, and a·z a linear form of the variables, the average of
a product of factors is reduced step by step until nothing is left to average:

- Heaviside steps become signs, H(x) = (1 + sign x)/2; so do |x|, max, min and Piecewise.
- A Gaussian factor joins the measure:
  E_C[exp(-z'Sz/2) F] = det(I + CS)^(-1/2) E_D[F] with D = (I + CS)^(-1) C.
- A Dirac delta conditions the measure:
  E_C[δ(a·z) F] = (2π a'Ca)^(-1/2) E_D[F] with D = C - C a a'C / a'Ca.
- What is odd under z → -z, or odd in a form of zero variance, averages to zero; sign² = 1.
- A power goes by Stein's lemma: E_C[z_i F] = Σ_k E_C[z_i x_k] E_C[∂F/∂x_k], for F a product of
  functions of the linear forms x_k.
- Two odd functions f(x) k(y) of linear forms are left, each erf or sign. Price's theorem is
  ∂E[f(x) k(y)]/∂c = E[f'(x) k'(y)] for c = E[xy]. The steps above average the right side, and
  at c = 0 the average vanishes, so E[f(x) k(y)] is an integral from 0 to c: an arcsine.

Every product of powers, Gaussians and at most three erf and sign factors ends in this way.

References
----------
R. Price, IRE Trans. Inf. Theory 4 (1958) 69. C. Stein, Ann. Statist. 9 (1981) 1135.
D. Saad and S. A. Solla, Phys. Rev. E 52 (1995) 4225, has the averages of erf.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cache, lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np
import sympy as sp

from statmech_bn.checks import as_expression, sequence
from statmech_bn.errors import NoClosedForm, invalid
from statmech_bn.symbolic.integration import integrate

Variables = tuple[sp.Symbol, ...]


def gaussian_average(
    expression: sp.Expr, variables: Sequence[sp.Symbol], covariance: sp.Matrix
) -> sp.Expr:
    """Average an expression over centred, jointly Gaussian variables in closed form.

    Parameters
    ----------
    expression : sympy.Expr
        A sum of products of powers of the variables, exponentials of quadratic forms, and erf,
        erfc, sign, Heaviside, DiracDelta, Abs, Max, Min or Piecewise of linear forms without
        constant. Coefficients may be symbols, declared real or positive. The average has to
        exist.
    variables : sequence of sympy.Symbol
        The Gaussian variables, declared real.
    covariance : sympy.Matrix
        Their covariance, in the order of `variables`. It may hold symbols too.

    Returns
    -------
    sympy.Expr
        The average: rational functions, square roots and arcsines of the symbols.

    Raises
    ------
    NoClosedForm
        A factor is of another kind, or too many erf and sign factors are multiplied. The
        message names them.
    InvalidSetup
        A variable is not a real symbol, or the covariance does not match the variables.

    Examples
    --------
    >>> import sympy as sp
    >>> u, v, R = sp.symbols("u v R", real=True)
    >>> unit = sp.Matrix([[1, R], [R, 1]])
    >>> gaussian_average(u**2 * v**2, (u, v), unit)
    2*R**2 + 1
    >>> gaussian_average(sp.sign(u) * sp.Max(0, v), (u, v), unit)
    sqrt(2)*R/(2*sqrt(pi))
    """
    variables = tuple(sequence("variables", variables))
    covariance = _matrix(covariance)
    expression = as_expression("expression", expression)
    for variable in variables:
        # SymPy turns the sign of a symbol declared positive into 1 on its own.
        symbolic = isinstance(variable, sp.Symbol) and variable.is_real
        if not symbolic or variable.is_nonzero is not None:
            raise invalid("variables", "symbols declared real and nothing more", variable)
    if covariance.shape != (len(variables), len(variables)) or not covariance.is_symmetric():
        raise invalid("covariance", f"a symmetric matrix for {variables}", covariance)
    exact = covariance.applyfunc(lambda entry: _normal(sp.nsimplify(entry, rational=True)))
    in_signs = _in_signs(sp.nsimplify(expression, rational=True))
    return _compact(_average(in_signs, variables, exact))


def _matrix(covariance: Any) -> sp.ImmutableMatrix:
    try:
        entries = np.array(covariance, dtype=object)
    except (TypeError, ValueError) as error:
        raise invalid("covariance", "a matrix", covariance) from error
    if entries.ndim != 2:
        raise invalid("covariance", "a matrix", covariance)
    size = entries.shape
    flat = [as_expression("covariance", entry) for entry in entries.ravel()]
    return sp.ImmutableMatrix(*size, flat)


class _Factor(NamedTuple):
    """A power of a variable, or of erf, sign or DiracDelta of the linear form a·z."""

    base: sp.Expr
    exponent: int
    form: sp.Matrix

    @property
    def is_odd(self) -> bool:
        return self.base.func is not sp.DiracDelta and self.exponent % 2 == 1


def _average(expression: sp.Expr, variables: Variables, covariance: sp.Matrix) -> sp.Expr:
    """Average a sum, term by term."""
    total = sp.S.Zero
    for term in sp.Add.make_args(sp.expand(expression)):
        coefficient, product = term.as_independent(*variables, as_Add=False)
        total += coefficient * _average_product(product, variables, covariance)
    return total


@lru_cache(maxsize=4096)
def _average_product(product: sp.Expr, variables: Variables, covariance: sp.Matrix) -> sp.Expr:
    """Average a product of factors: take the first step that applies and go on from there."""
    if product.is_Integer:  # 1, or 0 after a derivative
        return product
    for factor in sp.Mul.make_args(product):
        if isinstance(factor, sp.exp):
            determinant, tilted = _tilt(factor, variables, covariance)
            return _average_product(product / factor, variables, tilted) / sp.sqrt(determinant)
    factors = [_read(factor, variables) for factor in sp.Mul.make_args(product)]
    if len(factors) <= 2 and all(factor.base.is_Symbol for factor in factors):
        return _moment(factors, variables, covariance)
    if _vanishes(factors, covariance):
        return sp.S.Zero
    for factor in factors:
        if factor.base.func is sp.DiracDelta:
            return _condition(factor, product / factor.base, variables, covariance)
    if sum(factor.is_odd for factor in factors) % 2:
        return sp.S.Zero
    for factor in factors:
        if factor.base.func is sp.sign and factor.exponent > 1:
            return _average_product(product / factor.base**2, variables, covariance)
    for factor in factors:
        if factor.base.is_Symbol:
            return _remove_power(factor.base, product / factor.base, variables, covariance)
    return _pair(factors, covariance)


def _moment(factors: list[_Factor], variables: Variables, covariance: sp.Matrix) -> sp.Expr:
    """Sum E uᵃvᵇ over the number j of pairs of a u and a v (Isserlis 1918)."""
    first, second = factors[0], factors[-1]
    a, b = first.exponent, second.exponent if len(factors) == 2 else 0
    i, k = variables.index(first.base), variables.index(second.base)
    total = sp.S.Zero
    for j in range(a % 2, min(a, b) + 1, 2) if (a + b) % 2 == 0 else ():
        alone = (a - j) // 2, (b - j) // 2
        ways = sp.factorial(a) * sp.factorial(b) / sp.factorial(j) / 2 ** sum(alone)
        for number in alone:
            ways /= sp.factorial(number)
        pairs = covariance[i, i] ** alone[0] * covariance[k, k] ** alone[1] * covariance[i, k] ** j
        total += ways * pairs
    return total


@lru_cache(maxsize=4096)
def _tilt(
    gaussian: sp.Expr, variables: Variables, covariance: sp.Matrix
) -> tuple[sp.Expr, sp.Matrix]:
    """Return det(I + CS) and the covariance of the measure that includes exp(-z'Sz/2)."""
    exponent, z = gaussian.args[0], sp.Matrix(variables)
    precision = -sp.hessian(exponent, variables)
    if precision.has(*variables) or sp.expand(exponent + (z.T * precision * z)[0] / 2) != 0:
        raise NoClosedForm(
            f"gaussian_average stopped at the factor {gaussian}: its exponent is not a quadratic "
            f"form in {', '.join(map(str, variables))}."
        )
    tilt = (sp.eye(len(variables)) + covariance * precision).applyfunc(_normal)
    determinant = _normal(tilt.det())
    scaled = tilt.adjugate() * covariance
    if determinant.is_nonpositive or any(variance.is_negative for variance in scaled.diagonal()):
        raise NoClosedForm(
            f"gaussian_average stopped at the factor {gaussian}: its average diverges."
        )
    return determinant, sp.ImmutableMatrix(scaled / determinant).applyfunc(_normal)


def _vanishes(factors: list[_Factor], covariance: sp.Matrix) -> bool:
    """Say whether a factor is zero, or ±1 symmetrically, wherever the measure lives."""
    at_zero = [f for f in factors if _pairing(f.form, covariance, f.form) == 0]
    if any(f.is_odd or f.base.func not in (sp.sign, sp.DiracDelta) for f in at_zero):
        return True
    if at_zero:
        raise NoClosedForm(
            f"gaussian_average stopped at the factor {at_zero[0].base}: its argument can only be "
            "zero where a Dirac delta or a singular covariance puts it, and it is undefined there."
        )
    return False


def _condition(
    delta: _Factor, rest: sp.Expr, variables: Variables, covariance: sp.Matrix
) -> sp.Expr:
    """Restrict the measure to where the argument of a Dirac delta is zero."""
    variance = _pairing(delta.form, covariance, delta.form)
    column = covariance * delta.form
    conditioned = (covariance - column * column.T / variance).applyfunc(_normal)
    return _average_product(rest, variables, conditioned) / sp.sqrt(2 * sp.pi * variance)


def _remove_power(
    variable: sp.Symbol, rest: sp.Expr, variables: Variables, covariance: sp.Matrix
) -> sp.Expr:
    """Trade one power of a variable for derivatives of the other factors: Stein's lemma."""
    row = covariance.row(variables.index(variable))
    total = sp.S.Zero
    for factor in sp.Mul.make_args(rest) if rest != 1 else ():
        base, exponent, form = _read(factor, variables)
        weight = _normal((row * form)[0]) * exponent
        total += weight * _average(rest / base * _slope(base), variables, covariance)
    return total


@lru_cache(maxsize=4096)
def _slope(base: sp.Expr) -> sp.Expr:
    """Differentiate with respect to the argument."""
    if base.is_Symbol:
        return sp.S.One
    # SymPy leaves the derivative of a sign undone where it cannot tell that its argument is real.
    x = sp.Dummy(real=True)
    return base.func(x).diff(x).xreplace({x: base.args[0]})


def _pair(factors: list[_Factor], covariance: sp.Matrix) -> sp.Expr:
    """Average the product of two odd functions."""
    odd = [factor for factor in factors for _ in range(factor.exponent)]
    if len(odd) != 2:
        product = prod(factor.base for factor in odd)
        raise NoClosedForm(
            f"gaussian_average stopped at the factor {product}: the average of more than three "
            "erf or sign (Heaviside, Abs, Max, Min, Piecewise) functions is not elementary."
        )
    x, y = odd
    *moments, average = _price(x.base.func, y.base.func)
    values = (_pairing(a.form, covariance, b.form) for a, b in ((x, x), (y, y), (x, y)))
    return average.xreplace(dict(zip(moments, values, strict=True)))


@cache
def _price(f: type[sp.Expr], k: type[sp.Expr]) -> tuple[sp.Expr, ...]:
    """Derive E[f(x) k(y)] for odd f, k; return E[x²], E[y²], E[xy] and the average in them."""
    x, y, c, s = sp.symbols("x y c s", real=True, cls=sp.Dummy)
    xx, yy = sp.symbols("xx yy", positive=True, cls=sp.Dummy)
    slope = _average(f(x).diff(x) * k(y).diff(y), (x, y), sp.ImmutableMatrix([[xx, c], [c, yy]]))
    # The slope is positive, and slope⁻² = p - q c². Substitute c = s √(p/q).
    p = sp.factor(slope.subs(c, 0) ** -2)
    q = sp.factor(sp.cancel((p - slope**-2) / c**2))
    antiderivative = integrate(1 / sp.sqrt(1 - s**2), s)
    return xx, yy, c, antiderivative.subs(s, c * sp.sqrt(q / p)) / sp.sqrt(q)


@lru_cache(maxsize=4096)
def _read(expression: sp.Expr, variables: Variables) -> _Factor:
    """Read a factor, or say why the recursion stops at it."""
    base, exponent = expression.as_base_exp()
    is_function = base.func in (sp.erf, sp.sign, sp.DiracDelta) and len(base.args) == 1
    if (base in variables or is_function) and exponent.is_Integer and exponent > 0:
        argument = base.args[0] if is_function else base
        form = sp.ImmutableMatrix([argument.diff(z) for z in variables])
        if not form.has(*variables) and argument.subs(dict.fromkeys(variables, 0)) == 0:
            return _Factor(base, int(exponent), form)
    raise NoClosedForm(
        f"gaussian_average stopped at the factor {expression}: expected a power of a variable, or "
        "erf, sign (Heaviside, Abs, Max, Min, Piecewise) or DiracDelta of a linear form without "
        "constant."
    )


@lru_cache(maxsize=4096)
def _pairing(a: sp.Matrix, covariance: sp.Matrix, b: sp.Matrix) -> sp.Expr:
    """Return the covariance a'Cb of two linear forms."""
    return _normal((a.T * covariance * b)[0])


def _normal(expression: sp.Expr) -> sp.Expr:
    """Bring a rational function to the form in which equal ones, and zero, look equal."""
    return sp.factor(sp.expand(expression))


def _in_signs(expression: sp.Expr) -> sp.Expr:
    """Write every function with a kink or jump by the sign of its argument."""
    steps = expression.replace(sp.Piecewise, _piecewise_steps)
    steps = steps.rewrite([sp.Abs, sp.Max, sp.Min], sp.Heaviside)
    steps = steps.replace(sp.erfc, lambda argument: 1 - sp.erf(argument))
    return steps.replace(sp.Heaviside, lambda argument, *_: (1 + sp.sign(argument)) / 2)


def _piecewise_steps(*pieces: tuple[sp.Expr, sp.Basic]) -> sp.Expr:
    """Write a Piecewise as a sum of its pieces times steps."""
    total, otherwise = sp.S.Zero, sp.S.One
    for value, condition in pieces:
        here = _step(condition)
        total += otherwise * here * value
        otherwise *= 1 - here
    return total


def _step(condition: sp.Basic) -> sp.Expr:
    """Return 1 where the condition holds and 0 elsewhere."""
    if condition in (sp.true, sp.false):
        return sp.S(int(bool(condition)))
    if isinstance(condition, sp.And):
        return sp.Mul(*map(_step, condition.args))
    if isinstance(condition, (sp.Gt, sp.Ge, sp.Lt, sp.Le)):
        return sp.Heaviside(condition.gts - condition.lts)
    raise NoClosedForm(
        f"gaussian_average stopped at the condition {condition} of a Piecewise: expected "
        "inequalities between linear forms."
    )


def _compact(expression: sp.Expr) -> sp.Expr:
    """Collect square roots and arcsines, each with a coefficient in lowest terms."""
    expression = expression.replace(sp.asin, lambda argument: sp.asin(_compact(argument)))
    arcsines = {arcsine: sp.Dummy() for arcsine in expression.atoms(sp.asin)}
    expression = expression.xreplace(arcsines)
    expression = expression.xreplace(
        {power: _root(power.base) ** (2 * power.exp) for power in _root_powers(expression)}
    )
    powers = _root_powers(expression)
    roots = {power.base: sp.Dummy() for power in powers}
    if not arcsines and not roots:
        return _fraction(expression)
    expression = expression.xreplace(
        {power: roots[power.base] * power.base ** (power.exp - sp.S.Half) for power in powers}
    )
    coefficients: defaultdict[sp.Expr, sp.Expr] = defaultdict(lambda: sp.S.Zero)
    for exponents, coefficient in sp.Poly(expression, *roots.values(), *arcsines.values()).terms():
        of_roots, of_arcsines = exponents[: len(roots)], exponents[len(roots) :]
        kept = prod(arcsine**n for arcsine, n in zip(arcsines, of_arcsines, strict=True))
        for base, n in zip(roots, of_roots, strict=True):
            coefficient *= base ** (n // 2)
            kept *= sp.sqrt(base) ** (n % 2)
        coefficients[sp.sympify(kept)] += coefficient
    return sp.Add(*(_fraction(coefficient, kept) for kept, coefficient in coefficients.items()))


def _fraction(coefficient: sp.Expr, kept: sp.Expr = sp.S.One) -> sp.Expr:
    """Multiply, cancelling each root against a denominator that contains its square."""
    numerator, denominator = sp.fraction(sp.cancel(coefficient))
    for root in sorted(_root_powers(kept), key=sp.default_sort_key):
        while root.free_symbols:
            quotient, remainder = sp.div(denominator, root.base, *root.free_symbols)
            if remainder != 0:
                break
            denominator, kept = quotient, kept / root.base
    factors = [kept]
    for part, side in ((numerator, 1), (denominator, -1)):
        content, found = sp.factor_list(part)
        for factor, multiplicity in found:
            flip = -1 if _reads_negative(factor) else 1
            content *= flip**multiplicity
            factors.append((flip * factor) ** (side * multiplicity))
        factors.append(content**side)
    return sp.Mul(*factors)


def _root(square: sp.Expr) -> sp.Expr:
    """Return the root of a positive fraction as a fraction of roots of square-free polynomials."""
    outside, inside = [], []
    for part in sp.fraction(sp.cancel(square)):
        content, factors = sp.sqf_list(part)
        outside.append(sp.sqrt(abs(content) * prod(f ** (m - m % 2) for f, m in factors)))
        inside.append(sp.sign(content) * prod(f ** (m % 2) for f, m in factors))
    if all(map(_reads_negative, inside)):
        inside = [-part for part in inside]
    return outside[0] / outside[1] * sp.sqrt(inside[0]) / sp.sqrt(inside[1])


def _root_powers(expression: sp.Expr) -> set[sp.Pow]:
    powers = expression.atoms(sp.Pow)
    return {power for power in powers if power.exp.is_Rational and power.exp.q == 2}


def _reads_negative(polynomial: sp.Expr) -> bool:
    """Say whether to flip R² - 1 to 1 - R²: it is negative at small correlations."""
    symbols = sorted(polynomial.free_symbols, key=str)
    values = [sp.Rational(10 if s.is_positive else 1, 23 + i) for i, s in enumerate(symbols)]
    return bool(polynomial.subs(dict(zip(symbols, values, strict=True))).is_negative)
