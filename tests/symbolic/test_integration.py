"""Integrals in several threads do not meet in SymPy's tables."""

import time
from concurrent.futures import ThreadPoolExecutor

import sympy as sp

from statmech_bn.symbolic.integration import integrate

x = sp.Symbol("x", positive=True)


def test_one_integral_at_a_time(monkeypatch):
    working, most, real = [], [], sp.integrate

    def watched(*arguments, **options):
        working.append(1)
        most.append(len(working))
        time.sleep(0.02)  # let the other threads come
        try:
            return real(*arguments, **options)
        finally:
            working.pop()

    monkeypatch.setattr(sp, "integrate", watched)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: integrate(x**n, (x, 0, 1)), range(4)))
    assert found == [1, sp.Rational(1, 2), sp.Rational(1, 3), sp.Rational(1, 4)]
    assert max(most) == 1
