"""From the covariance of the fields to the averages that the flow needs.

Student and teacher enter through two numbers, the correlation R of their fields and the scale of
the argument of g (γ, or L without a scale). A state of any learning problem becomes those two;
what follows from them is in this room: `choice` decides for each setup which of closed forms,
Chebyshev series and integrals gives its averages, and `generalization` gives ε_g.
"""
