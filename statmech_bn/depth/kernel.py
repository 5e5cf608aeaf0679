r"""Gaussian kernels of any activation: E[g(√q u) g(√q v)] and E[g'(√q u) g'(√q v)].

u, v are unit Gaussians of correlation c. In closed form where `statmech_bn.symbolic` derives one,
else by quadrature with panels that end at the kinks of g(√q ·).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike

from statmech_bn.activations import Activation, z
from statmech_bn.activations import activation as as_activation
from statmech_bn.averages.quadrature import REACH, SPACING, panels, student_nodes, trapezoid
from statmech_bn.checks import array, flag
from statmech_bn.codegen import numpy_function
from statmech_bn.errors import NoClosedForm, NotConverged, invalid
from statmech_bn.symbolic.correlation_map import c as correlation_symbol
from statmech_bn.symbolic.correlation_map import correlation_kernel
from statmech_bn.symbolic.correlation_map import q as variance_symbol

AGREEMENT = 1e-9
"""Largest difference of two successive rules, of which the finer one is off by far less."""
FINEST = 32.0
"""Largest refinement of the rules that is tried."""


def kernel(
    activation: str | sp.Expr | Activation,
    correlation: ArrayLike,
    variance: ArrayLike = 1.0,
    slopes: bool = False,
) -> np.ndarray:
    """Average a product of two outputs, or of two slopes, of one unit.

    Parameters
    ----------
    activation : str, sympy.Expr or Activation
    correlation, variance : array_like
        c in [−1, 1] and q > 0 of the two fields; broadcast against each other.
    slopes : bool
        Average g' instead of g.

    Returns
    -------
    ndarray
        Of the common shape.

    Raises
    ------
    InvalidSetup
        A correlation or variance is outside of its range.
    NotConverged
        The activation changes over lengths much shorter than those of the fields.

    Examples
    --------
    >>> [round(float(kernel("relu", c)), 6) for c in (0, 1)]
    [0.159155, 0.5]
    """
    g = as_activation(activation)
    c, q = array("correlation", correlation, None, -1.0, 1.0), array("variance", variance)
    if not (q > 0).all():
        raise invalid("variance", "finite numbers > 0", variance)
    try:
        c, q = np.broadcast_arrays(c, q)
    except ValueError as error:
        shapes = f"shapes {c.shape} and {q.shape}"
        raise invalid("correlation, variance", "arrays that broadcast", shapes) from error
    return np.asarray(_kernel_function(g, flag("slopes", slopes))(c, q), dtype=float)


@lru_cache(maxsize=64)
def _kernel_function(
    activation: Activation, slopes: bool
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    try:
        closed = correlation_kernel(activation, slopes)
    except NoClosedForm:
        integrand = activation.derivative if slopes else activation.expression
        [function] = [numpy_function([integrand], [z])]
        kinks = np.array(activation.kinks, dtype=float)
        return np.vectorize(lambda c, q: _integrate(lambda x: function(x)[0], kinks, c, q))
    compiled = numpy_function([closed], [correlation_symbol, variance_symbol])
    return lambda c, q: compiled(c, q)[0]


def _integrate(
    function: Callable[[np.ndarray], np.ndarray], kinks: np.ndarray, c: float, q: float
) -> float:
    """Refine the rule until it agrees with the one before."""
    scale, refinement = np.sqrt(q), max(1.0, np.sqrt(q))
    before = np.inf
    while refinement <= FINEST * max(1.0, scale):
        value = _rule(lambda x: function(scale * x), kinks / scale, float(c), refinement)
        if abs(value - before) <= AGREEMENT * max(1.0, abs(value)):
            return value
        before, refinement = value, 2 * refinement
    raise NotConverged(
        f"The kernel at c = {c:g}, q = {q:g} has not converged to {AGREEMENT:g}: the activation "
        "changes over lengths much shorter than the spread of the fields."
    )


def _rule(
    function: Callable[[np.ndarray], np.ndarray], kinks: np.ndarray, c: float, refinement: float
) -> float:
    """Integrate f(u) E[f(v) | u] over u, with v = cu + √(1−c²) times a unit Gaussian."""
    u, weight = student_nodes(kinks, c, 1.0, refinement, 1.0, 0.0)
    width = np.sqrt(max(0.0, 1.0 - c * c))
    if width == 0.0:
        given = function(c * u)
    elif kinks.size == 0:
        v, weight_v = trapezoid(SPACING / refinement, REACH)
        given = function(c * u[:, None] + width * v) @ weight_v
    else:
        given = np.empty(u.size)
        for i, centre in enumerate(c * u):
            v, weight_v = panels((kinks - centre) / width, refinement, REACH)
            given[i] = function(centre + width * v) @ weight_v
    return float((weight * function(u)) @ given)
