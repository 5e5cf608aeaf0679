"""The symbols of every derivation, with the meaning that they have throughout the package."""

import sympy as sp

R = sp.Symbol("R", real=True)
"""Overlap, w·w*/(|w||w*|), in [−1, 1]."""
L = sp.Symbol("L", positive=True)
"""Length, |w|/√N."""
Q = sp.Symbol("Q", positive=True)
"""Squared length, L²."""
rho = sp.Symbol("rho", real=True)
"""Unnormalized overlap, w·w*/N = R L."""
gamma = sp.Symbol("gamma", positive=True)
"""Scale γ of the normalization; closed forms are derived for γ > 0."""
M = sp.Symbol("M", positive=True)
"""Batch size."""
N = sp.Symbol("N", positive=True)
"""Input dimension."""
eta = sp.Symbol("eta", positive=True)
"""Learning rate of the weights."""
eta_gamma = sp.Symbol("eta_gamma", positive=True)
"""Learning rate of γ."""
zeta = sp.Symbol("zeta", nonnegative=True)
"""Gamma decay, coefficient of ζγ²."""
lamda = sp.Symbol("lambda", nonnegative=True)
"""Weight decay, coefficient of (λ/2)|w|² (the spelling avoids Python's keyword)."""
Delta = sp.Symbol("Delta", nonnegative=True)
"""Standard deviation of the label noise."""
t = sp.Symbol("t", nonnegative=True)
"""Time, steps/N."""
D = sp.Symbol("D", real=True)
"""Drive D = E[δ h*] − R E[δ u], which turns the student towards the teacher."""
A = sp.Symbol("A_2", real=True)
"""Pull A₂ = E[δ u], which moves the scale of the output."""
B = sp.Symbol("B", nonnegative=True)
"""Noise B = E[δ²], which makes the student longer."""
u = sp.Symbol("u", real=True)
"""Student's field, a unit Gaussian."""
v = sp.Symbol("v", real=True)
"""Teacher's field, a unit Gaussian of correlation R with u."""
