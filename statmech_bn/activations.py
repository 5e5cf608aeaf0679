"""An activation is a SymPy expression in one real symbol.

Everything else follows from the expression: the derivative g', the kinks (where g' jumps, so that
quadrature can split there), the compiled functions of every target (`statmech_bn.codegen`), the
closed Gaussian averages (`statmech_bn.symbolic`) and the LaTeX.

By name, with Φ the Gaussian distribution and σ(z) = 1/(1 + e⁻ᶻ):

    linear z               relu max(0, z)         erf erf(z/√2) (Saad & Solla 1995)
    softplus log(1 + eᶻ)   tanh                   sigmoid σ(z)
    gelu z Φ(z)            silu, swish z σ(z)     mish z tanh(log(1 + eᶻ))
    elu z or eᶻ - 1        leaky_relu max(z, z/100)       hard_tanh max(-1, min(1, z))

The constants are PyTorch's defaults.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import mpmath
import sympy as sp

from statmech_bn import activation_text
from statmech_bn.activation_analysis import filled, kinks, sifted, with_value_at_kinks
from statmech_bn.activation_jumps import gap, jump, value
from statmech_bn.checks import instance
from statmech_bn.codegen.singularities import pole
from statmech_bn.codegen.stable import stable
from statmech_bn.errors import InvalidSetup, InvalidStore, closest, invalid

z = activation_text.SYMBOL
"""Every activation is stored as a function of this symbol."""

PROBES = (-3.1, -1.3, -0.4, 0.2, 0.7, 1.9, 3.3)
"""At these z values and slopes must be finite and real."""
REAL = "finite real values and slopes for real z"
STEP = "A step has no gradient to learn from; use a steep erf instead."

NAMED: dict[str, sp.Expr] = {
    "linear": z,
    "relu": sp.Max(0, z),
    "erf": sp.erf(z / sp.sqrt(2)),
    "softplus": sp.log(1 + sp.exp(z)),
    "tanh": sp.tanh(z),
    "sigmoid": 1 / (1 + sp.exp(-z)),
    "gelu": z * (1 + sp.erf(z / sp.sqrt(2))) / 2,
    "silu": z / (1 + sp.exp(-z)),
    "mish": z * sp.tanh(sp.log(1 + sp.exp(z))),
    "elu": sp.Piecewise((z, z > 0), (sp.exp(z) - 1, True)),
    "leaky_relu": sp.Max(z, z / 100),
    "hard_tanh": sp.Max(-1, sp.Min(1, z)),
}
ALIASES = {"swish": "silu", "hardtanh": "hard_tanh"}
"""Second names, under which the literature knows a function as well."""
OTHERS = {"celu", "glu", "hardsigmoid", "hardswish", "prelu", "relu6", "rrelu", "selu", "softsign"}
"""Names of functions that are like a name of ours and no misspelling of it."""


@dataclass(frozen=True)
class Activation:
    """An activation function g(z), described by its SymPy expression.

    Make one with :func:`activation`, which checks the expression.

    Parameters
    ----------
    expression : sympy.Expr
        g as a function of ``statmech_bn.activations.z``.

    Examples
    --------
    >>> import statmech_bn as sbn
    >>> sbn.activation("relu").derivative
    Heaviside(z, 0)
    """

    expression: sp.Expr

    def __post_init__(self) -> None:
        instance("expression", self.expression, sp.Expr, "Use statmech_bn.activation.")
        if self.expression.has(sp.nan):
            raise invalid("expression", "a function of z", self.expression)

    @property
    def name(self) -> str:
        """The short name if there is one, else the expression as text."""
        names = (name for name, known in NAMED.items() if known == self.expression)
        return next(names, str(self.expression))

    @cached_property
    def derivative(self) -> sp.Expr:
        """g'(z); at a kink the slope of least magnitude, 0 if left and right differ in sign."""
        slope = filled(sifted(sp.diff(self.expression, z), z), z)
        if slope.has(sp.DiracDelta):  # a jump, which `activation` refuses
            return slope
        return with_value_at_kinks(slope, kinks(self.expression, z), z)

    @cached_property
    def kinks(self) -> tuple[float, ...]:
        """Points where g' jumps, ascending."""
        return tuple(float(kink) for kink in kinks(self.expression, z))

    @cached_property
    def homogeneous(self) -> bool:
        """Whether g(s z) = s g(z) for all s > 0, as for linear units and ReLU."""
        size = sp.Symbol("s", positive=True)
        sides = [sp.expand(self.expression.subs(z, side * size)) for side in (1, -1)]
        slopes = [side.coeff(size) for side in sides]
        return all(
            side == slope * size and not slope.has(size)
            for side, slope in zip(sides, slopes, strict=True)
        )

    def to_text(self) -> str:
        """Return a text from which :meth:`from_text` gives the same activation back."""
        names = (name for name, known in NAMED.items() if known == self.expression)
        return next(names, sp.srepr(self.expression))

    @classmethod
    def from_text(cls, text: str) -> Activation:
        """Read what :meth:`to_text` wrote.

        The text may come from a file, so it is parsed and never evaluated as Python. No equation is
        solved for it either, which can take as long as somebody wishes.

        Raises
        ------
        InvalidStore
            The text is not of the grammar of `statmech_bn.activation_text`, or the function jumps,
            has gaps, or is not real or infinite around zero.
        """
        if isinstance(text, str) and text in NAMED:
            return cls(NAMED[text])
        found = cls(activation_text.read(text))
        try:
            _check_gaps(found)
            _check_jumps(found)
            if any(value(found.expression, probe) is None for probe in PROBES):
                raise invalid("activation", REAL, found.expression)
        except InvalidSetup as error:
            raise InvalidStore(str(error)) from None
        return found


def activation(description: str | sp.Expr | Activation) -> Activation:
    """Check a description of an activation and return the :class:`Activation`.

    Parameters
    ----------
    description : str, sympy.Expr or Activation
        One of the names in the head of this module, such as "relu" or "gelu", or a continuous,
        real SymPy expression in one symbol of any name, such as ``sympy.Max(x, x / 10)``.

    Returns
    -------
    Activation
        The same function in the symbol `z`.

    Raises
    ------
    InvalidSetup
        Unknown name; not exactly one symbol; a function that not all levels can compute, such as a
        sum or an integral; jumps; complex values, or infinite values or slopes; a Piecewise of
        which no branch holds somewhere.

    Examples
    --------
    >>> import sympy
    >>> x = sympy.Symbol("x")
    >>> activation(sympy.Max(x, x / 10)).kinks
    (0.0,)
    """
    if isinstance(description, Activation):
        return description
    if isinstance(description, str):
        description = ALIASES.get(description, description)
        if description not in NAMED:
            raise invalid(
                "activation",
                f"one of {', '.join(NAMED)} or a SymPy expression",
                description,
                suggestion(description) or "Write your own: sympy.Max(x, x/10).",
            )
        return Activation(NAMED[description])
    if not isinstance(description, sp.Expr):
        raise invalid(
            "activation",
            "a name or a SymPy expression",
            description,
            "Write a function as an expression: sympy.tanh(x) with x = sympy.Symbol('x').",
        )
    symbols = sorted(description.free_symbols, key=str)
    if len(symbols) != 1 or not isinstance(symbols[0], sp.Symbol):
        raise invalid(
            "activation",
            "an expression in exactly one symbol",
            description,
            "Substitute numbers for the parameters of the activation.",
        )
    written = activation_text.checked(description.subs(symbols[0], z))
    found = Activation(filled(written, z))
    _check_values(found)
    return found


def suggestion(name: str) -> str:
    """Return the fix for a name that is not known, if it is one of ours misspelled."""
    return "" if name.lower() in OTHERS else closest(name, [*NAMED, *ALIASES])


def _check_values(found: Activation) -> None:
    """Refuse an activation that jumps, or that is not finite and real around zero."""
    _check_gaps(found)
    try:
        jumps = found.derivative.has(sp.DiracDelta)
    except RecursionError as error:  # SymPy cannot differentiate, e.g., floor
        raise invalid("activation", "a differentiable expression", found.expression) from error
    if jumps:
        raise invalid("activation", "a continuous function", found.expression, STEP)
    for expression in (found.expression, found.derivative):
        try:
            values = [complex(expression.subs(z, probe).evalf()) for probe in PROBES]
        except (TypeError, RecursionError) as error:
            raise invalid(
                "activation",
                "an expression that SymPy can differentiate and evaluate",
                found.expression,
            ) from error
        if any(abs(v.imag) > 1e-12 or not abs(v.real) < 1e30 for v in values):
            raise invalid(
                "activation",
                REAL,
                found.expression,
                f"{expression} at z = {PROBES} is {values}.",
            )
    for expression, what in ((found.expression, "values"), (found.derivative, "slopes")):
        if (point := pole(expression, z)) is not None:
            raise invalid(
                "activation",
                f"finite {what} everywhere",
                found.expression,
                f"Look at z = {mpmath.nstr(point, 6)}.",
            )
    for kink in found.kinks:
        left, right = (
            float(found.expression.subs(z, kink + side).evalf()) for side in (-1e-9, 1e-9)
        )
        if abs(left - right) > 1e-6 * (1 + abs(left)):
            raise invalid("activation", "a continuous function", found.expression, STEP)
    _check_jumps(found)
    for expression in (found.expression, found.derivative):
        stable(expression)


def _check_gaps(found: Activation) -> None:
    """Refuse an activation that has no value somewhere."""
    if (point := gap(found.expression)) is not None:
        fix = f"There is none at z = {point + 0.0:g}: end a Piecewise with (…, True)."
        raise invalid("activation", "a value at every z", found.expression, fix)


def _check_jumps(found: Activation) -> None:
    """Refuse an activation that jumps, without solving an equation."""
    if jump(found.expression) is not None:
        raise invalid("activation", "a continuous function", found.expression, STEP)
