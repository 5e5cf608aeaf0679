"""The equations of the flow that is being solved, as LaTeX, for each student that is shown.

The flow in terms of the averages D, A₂ and B is that of `statmech_bn.symbolic`; below it stand the
averages where they have a closed form. With a spectrum it is the flow of a block (ρ_i, Q_i), with
several hidden units that of the matrices (ρ_kn, Q_kl).
"""

from __future__ import annotations

from typing import NamedTuple

import sympy as sp

from statmech_bn.activations import Activation
from statmech_bn.codegen import latex
from statmech_bn.errors import NoClosedForm, StatmechError
from statmech_bn.explore import typed
from statmech_bn.explore.state import State
from statmech_bn.normalization import Normalization, normalization
from statmech_bn.symbolic import order_parameter_flow
from statmech_bn.symbolic.committee_flow import (
    committee_rates,
    gamma_k,
    q_kl,
    rho_kn,
    s_k,
    s_l,
)
from statmech_bn.symbolic.flow import average_expressions
from statmech_bn.symbolic.structured_flow import block_rates, rho, square, turn

WITHOUT = "The averages D, A₂ and B over the fields have no closed form and are integrated."
OF_BLOCKS = "The coefficients a, b, s̄ and C of each block follow from the averages over the fields."
OF_UNITS = (
    "F, N and P are averages over the fields of a step, for each pair of units; s_k = F_kk/Q_kk is "
    "what division by the length takes out along w_k."
)
LONGEST = 3000
"""LaTeX longer than this is not typeset."""


class Equations(NamedTuple):
    """What one student obeys."""

    normalization: str
    flow: str
    averages: str
    note: str


def equations(state: State) -> list[Equations] | str:
    """Derive the flow of each student that a state shows, or say what is wrong with it."""
    try:
        g = typed.checked(state.activation)
    except StatmechError as error:
        return str(error)
    return [_of_student(name, g, state) for name in state.normalizations]


def _of_student(name: str, g: Activation, state: State) -> Equations:
    rule = normalization(name)
    if state.exponent:
        return Equations(name, _blocks(rule), "", OF_BLOCKS)
    if state.is_committee:
        return Equations(name, _units(rule), "", OF_UNITS)
    flow = latex(order_parameter_flow(rule))
    try:
        values = average_expressions(rule, g)
    except NoClosedForm:
        return Equations(name, flow, "", WITHOUT)
    averages = " \\\\\n".join(f"{sp.latex(k)} &= {latex(value)}" for k, value in values.items())
    if len(averages) > LONGEST:
        return Equations(name, flow, "", "The averages D, A₂ and B are closed, but long.")
    return Equations(name, flow, averages, "")


def _blocks(rule: Normalization) -> str:
    """Typeset the flow of one block; its coefficients a, b, s̄ and C follow from the averages."""
    rates = (rate.subs(turn, sp.Symbol(r"\bar{s}")) for rate in block_rates(rule))
    return latex(dict(zip((rho, square), rates, strict=True)))


def _units(rule: Normalization) -> str:
    """Typeset the flow of the matrices; ρ_kn and Q_kl are entries of them."""
    rho, q, gamma, _ = committee_rates()
    if not rule.by_length:
        rho, q = (rate.subs({s_k: 0, s_l: 0}) for rate in (rho, q))
    flow = {rho_kn: rho, q_kl: q, **({gamma_k: gamma} if rule.has_scale else {})}
    return latex(flow)
