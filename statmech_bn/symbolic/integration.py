"""Integrals by SymPy, one at a time.

SymPy's integration by rules keeps the integrals that it is working on in a table of its module, to
notice when it goes round in circles. One that another thread is working on looks like such a
circle: the rules give up, and what SymPy tries next may take forever.
"""

from __future__ import annotations

import threading
from typing import Any

import sympy as sp

_ONE_AT_A_TIME = threading.RLock()


def integrate(integrand: sp.Expr, *limits: Any, **options: Any) -> sp.Expr:
    """Integrate as `sympy.integrate` does, in any thread."""
    with _ONE_AT_A_TIME:
        return sp.integrate(integrand, *limits, **options)
