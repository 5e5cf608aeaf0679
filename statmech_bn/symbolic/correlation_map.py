r"""How the correlation of two inputs changes in a wide random layer.

The fields of two inputs are Gaussian over the units of a wide layer, of variance q and correlation
c. The next layer sees them through the kernel

    κ(c) = E[g(√q u) g(√q v)],    u, v unit Gaussians of correlation c.

Without normalization, with weights that keep the variance, c' = κ(c)/κ(1). Batch normalization
subtracts from every unit its mean over a large batch. Where the other inputs of the batch are
unrelated to the two, and to each other, this takes κ(0) = E[g]² off every entry:

    c' = (κ(c) − κ(0)) / (κ(1) − κ(0)).

By Price's theorem κ'(c) = q E[g'(√q u) g'(√q v)], so that the slope of either map at c = 1 is also
the factor χ by which a layer multiplies the mean square of a gradient.

Over a batch of B samples, which all are a part of mean and spread, the correlation ends at
c = −1/(B − 1), and an activation that is linear on both sides of zero multiplies by

    χ = [(B − 2) κ(1) + κ'(c) + κ(c)] / [(B − 3)(κ(1) − κ(c))],

where κ' is E[g' g'] (`statmech_bn.depth.finite_batch` has any activation). The fields of a batch
are a point of a sphere, but averages of such g and g' over a Gaussian vector are those over its
direction times the mean square of its length, or 1.

Sources: Cho & Saul 2009 (ReLU), Poole et al. 2016, Schoenholz et al. 2017 (without normalization);
Yang et al. 2019 have χ = π/(π − 1) for ReLU with batch normalization, and χ at finite B.
"""

from __future__ import annotations

from functools import lru_cache

import sympy as sp

from statmech_bn.activations import Activation, z
from statmech_bn.activations import activation as as_activation
from statmech_bn.checks import as_expression, choice, flag
from statmech_bn.errors import NoClosedForm, invalid
from statmech_bn.normalization import BatchNormalization, Normalization, Unnormalized
from statmech_bn.symbolic.gaussian import gaussian_average
from statmech_bn.symbolic.symbols import u, v

c = sp.Symbol("c", real=True)
"""Correlation of two inputs, in [−1, 1]."""
q = sp.Symbol("q", positive=True)
"""Variance of the fields."""
depth = sp.Symbol("l", positive=True)
"""Number of layers behind the inputs."""
NORMALIZATIONS = {rule.name: rule for rule in (Unnormalized(), BatchNormalization())}
"""Normalizations of the layers of a deep network."""


def layer_normalization(name: str) -> Normalization:
    """Return the normalization that a layer of a deep network can have, or raise InvalidSetup."""
    return NORMALIZATIONS[choice("normalization", name, NORMALIZATIONS)]


def correlation_kernel(activation: str | sp.Expr | Activation, slopes: bool = False) -> sp.Expr:
    """Derive E[g(√q u) g(√q v)] for unit Gaussians of correlation c.

    Parameters
    ----------
    activation : str, sympy.Expr or Activation
    slopes : bool
        Average g' instead of g.

    Returns
    -------
    sympy.Expr
        In the symbols `c` and `q` of this module.

    Raises
    ------
    NoClosedForm
        It is not elementary; `statmech_bn.depth.kernel` integrates it.

    Examples
    --------
    >>> correlation_kernel("linear")
    c*q
    """
    return _kernel(as_activation(activation), flag("slopes", slopes))


@lru_cache(maxsize=64)
def _kernel(activation: Activation, slopes: bool) -> sp.Expr:
    g = activation.derivative if slopes else activation.expression
    fields = sp.Matrix([[1, c], [c, 1]]) * q
    return gaussian_average(g.subs(z, u) * g.subs(z, v), (u, v), fields)


def correlation_map(
    activation: str | sp.Expr | Activation,
    normalization: str = "none",
    variance: sp.Expr | float = 1,
) -> sp.Expr:
    """Derive c'(c) of a layer that keeps the variance of the fields.

    Parameters
    ----------
    activation : str, sympy.Expr or Activation
    normalization : {"none", "batch"}
    variance : number or sympy.Expr
        q > 0; 1 after batch normalization.

    Returns
    -------
    sympy.Expr
        In the symbol `c`.

    Raises
    ------
    NoClosedForm
        The kernel is not elementary.

    Examples
    --------
    >>> correlation_map("erf")
    6*asin(c/2)/pi
    """
    rule = layer_normalization(normalization)
    value = as_expression("variance", variance)
    if value.is_positive is False:
        raise invalid("variance", "a number or an expression > 0", variance)
    kernel = correlation_kernel(activation).subs(q, sp.nsimplify(value))
    common = kernel.subs(c, 0) if rule.of_batch else 0
    found = sp.expand(sp.simplify((kernel - common) / (kernel.subs(c, 1) - common)))
    if found.has(sp.nan, sp.zoo):
        raise invalid("variance", "a number or an expression that is nowhere 0", variance)
    return found


def gradient_multiplier(
    activation: str | sp.Expr | Activation,
    normalization: str = "none",
    batch_size: sp.Expr | int | None = None,
) -> sp.Expr:
    """Derive χ, by which a gradient's mean square grows through a layer, at variance 1.

    Parameters
    ----------
    activation : str, sympy.Expr or Activation
    normalization : {"none", "batch"}
    batch_size : int or sympy.Expr, optional
        B > 3 of batch normalization; by default infinite, where χ is the slope of the map at c = 1.

    Returns
    -------
    sympy.Expr

    Raises
    ------
    InvalidSetup
        The batch size is not > 3.
    NoClosedForm
        A kernel is not elementary, or at finite B the activation bends away from zero.

    Examples
    --------
    >>> gradient_multiplier("relu"), gradient_multiplier("relu", "batch")
    (1, pi/(-1 + pi))
    >>> gradient_multiplier("linear", "batch", 8)
    6/5
    """
    rule = layer_normalization(normalization)
    kernel, slopes = (correlation_kernel(activation, which).subs(q, 1) for which in (False, True))
    if rule.of_batch and batch_size is not None:
        size, own = _finite(batch_size), kernel.subs(c, 1)
        _check_sides(as_activation(activation))
        kernel, slopes = (part.subs(c, -1 / (size - 1)) for part in (kernel, slopes))
        passed = (size - 2) * own + slopes + kernel
        found = sp.simplify(passed / ((size - 3) * (own - kernel)))
        if found.has(sp.nan, sp.zoo):
            raise invalid("batch_size", "a number or an expression > 3", batch_size)
        return found
    common = kernel.subs(c, 0) if rule.of_batch else 0
    return sp.factor(sp.simplify(slopes.subs(c, 1) / (kernel.subs(c, 1) - common)))


def _finite(batch_size: sp.Expr | int) -> sp.Expr:
    size = as_expression("batch_size", batch_size)
    if (size - 3).is_positive is False:
        raise invalid("batch_size", "a number or an expression > 3", batch_size)
    return size


def _check_sides(activation: Activation) -> None:
    """Raise NoClosedForm unless the activation is linear on both sides of zero."""
    x = sp.Symbol("x", positive=True)
    for side in (x, -x):
        if sp.simplify(activation.expression.subs(z, side) / x).has(x):
            raise NoClosedForm(
                f"With {activation.expression} the batch's averages are no Gaussian ones. "
                "statmech_bn.depth.batch_fixed_point integrates them."
            )


def late_correlation(activation: str | sp.Expr | Activation) -> sp.Expr:
    """Derive how 1 − c vanishes with depth where χ = 1, as for every homogeneous activation.

    With ε = 1 − c the map is ε' = ε − a ε^p + ..., and dε/dl = −a ε^p gives
    ε ≃ ((p − 1) a l)^(−1/(p − 1)).

    Parameters
    ----------
    activation : str, sympy.Expr or Activation

    Returns
    -------
    sympy.Expr
        Leading term of 1 − c, in `depth`.

    Raises
    ------
    InvalidSetup
        χ ≠ 1, where c goes exponentially or elsewhere, or the map is the identity.
    NoClosedForm
        The kernel is not elementary.

    Examples
    --------
    >>> late_correlation("relu")
    9*pi**2/(2*l**2)
    """
    angle, root = sp.symbols("theta epsilon", positive=True)
    mapped = correlation_map(activation)
    # c = cos θ makes the square root at c = 1 analytic; then θ is written by √ε.
    mapped = mapped.subs({sp.asin(c): sp.pi / 2 - angle, sp.sqrt(1 - c**2): sp.sin(angle)})
    distance = sp.series(1 - mapped.subs(c, sp.cos(angle)), angle, 0, 5).removeO()
    in_root = sp.sqrt(2) * root * (1 + root**2 / 12)  # arccos(1 − ε) to this order, root = √ε
    powers = sp.Poly(sp.expand(distance.subs(angle, in_root)), root)
    if sp.simplify(powers.coeff_monomial(root**2) - 1) != 0:
        raise invalid("activation", "one with χ = 1", activation, "Other maps have a rate, ln χ.")
    for twice_p in (3, 4):
        decrease = -sp.simplify(powers.coeff_monomial(root**twice_p))
        if decrease != 0:
            excess = sp.Rational(twice_p, 2) - 1
            return sp.simplify((excess * decrease * depth) ** (-1 / excess))
    raise invalid("activation", "a map that changes the correlation", activation)
