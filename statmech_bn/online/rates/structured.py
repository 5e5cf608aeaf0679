r"""Learning rates and slow directions on inputs with a covariance.

With a, b, s̄ and E[Σ c²] of `statmech_bn.symbolic.structured_flow`, in block i of eigenvalue λ_i

    dρ_i/dt = −η q_i (ρ_i − p_i T_i),     q_i = s̄k_i − aλ_i,     p_i = bλ_i/q_i,

so q_i is the effective rate of that direction in units of η. One step changes the correlation
R = κ/(σ_hσ_*) of the fields at first order in η, and at second through dσ_h²; both cancel at

    η_max = 2σ_h² [κ̇ − κ (σ_h²)˙/(2σ_h²)] / (κ Σ λ_i² f_i E[Σ c²])

with the dots the parts linear in η. Without normalization it is dε_g/dt that changes sign, with
∂ε_g/∂ρ_i = −λ_i b and ∂ε_g/∂Q_i = −λ_i a/2 for labels without noise.

Near the teacher, w_i = (ℓ + y_i) w*_i in block i, the mean dynamics is linear in y and γ. With
Y = Σλ_jT_jy_j and D' = D/(1 − R²) at R = 1,

    population, batch   dy_i/dt = −η λ_i (b/ℓ) (y_i − Y/σ_*²),     b = γD'/(ℓσ_*²)

whatever γ does: the component of y along the teacher does not move, and the other modes have rates
between those of neighbouring blocks (Cai, Li & Shen 2019). For weight and none γ and σ_h take part.
What is orthogonal to the teacher within a block relaxes at the rate ηλ_i b/ℓ, for all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np
import xarray as xr

from statmech_bn.averages.field_terms import FieldTerms, field_terms_of
from statmech_bn.averages.structured import scale_of, with_unit_teacher
from statmech_bn.checks import instance, real
from statmech_bn.codegen import numpy_function
from statmech_bn.dataset import describe
from statmech_bn.errors import invalid
from statmech_bn.normalization import Normalization
from statmech_bn.online.arguments import LONGEST_START, SHORTEST_START
from statmech_bn.online.rates.fixed_points import resting_gamma
from statmech_bn.online.rates.states import State, averages, drive_near_teacher
from statmech_bn.spectrum import Spectrum
from statmech_bn.symbolic.structured_flow import BLOCK, block_rates
from statmech_bn.teacher_student import OrderParameters, TeacherStudent

SLOPE_STEP = 1e-3
"""Relative step of the difference for ∂A₂/∂σ_φ; its error is of order SLOPE_STEP⁴."""


def structured_maximum(setup: TeacherStudent, state: State, spectrum: Spectrum) -> float:
    """Find the learning rate below which a state improves, see `statmech_bn.rates.maximum`."""
    rho, q, terms = _terms_at(setup, state, spectrum)
    rates, moves = spectrum.eigenvalues, _moves(setup, rho, q, terms, spectrum)
    noise = rates**2 @ spectrum.fractions * terms.noise
    if not setup.normalizer.has_scale:
        silent = _terms_at(replace(setup, label_noise=0.0), state, spectrum)[2]
        a, b = silent.towards_student, silent.towards_teacher
        falls, rises = rates @ (b * moves[0] + a * moves[1] / 2), -a / 2 * noise
        if falls <= 0:
            return 0.0
        return float(falls / rises) if rises > 0 else np.inf
    covariance, variance = rates @ rho, rates @ q
    gain = 2 * (rates @ moves[0]) - covariance / variance * (rates @ moves[1])
    if gain <= 0:
        return 0.0
    loss = covariance / variance * noise
    return float(gain / loss) if loss > 0 else np.inf


def directions(setup: TeacherStudent, state: OrderParameters, inputs: Spectrum) -> xr.Dataset:
    """Return how fast the weights move in each eigendirection, and where to.

    Parameters
    ----------
    setup : TeacherStudent
    state : OrderParameters
        Of blocks, or a direction that is random at its overlap.
    inputs : Spectrum

    Returns
    -------
    xarray.Dataset
        Over block: eigenvalue λ_i; relaxation_rate q_i, so that ρ_i moves at −ηq_i(ρ_i − p_iT_i),
        weight decay left out; aim, p_i, infinite where q_i = 0.

    Raises
    ------
    InvalidSetup
        An argument is of another kind, or the state does not fit the spectrum.

    Examples
    --------
    >>> import statmech_bn as sbn
    >>> inputs = sbn.Spectrum([2, 0.5], fractions=[0.5, 0.5])
    >>> found = directions(sbn.TeacherStudent("linear", "none", 8), sbn.OrderParameters(), inputs)
    >>> found["relaxation_rate"].values.round(3), found["aim"].values.round(3)
    (array([2. , 0.5]), array([1., 1.]))
    """
    terms = _terms_at(setup, state, inputs)[2]
    turns = inputs.eigenvalues if setup.normalizer.by_covariance else 1.0
    rate = terms.turn * turns - terms.towards_student * inputs.eigenvalues
    with np.errstate(divide="ignore", invalid="ignore"):
        aim = terms.towards_teacher * inputs.eigenvalues / rate
    data = {
        "eigenvalue": ("block", inputs.eigenvalues, {"long_name": "eigenvalue"}),
        "relaxation_rate": ("block", rate, {"long_name": "rate over learning rate"}),
        "aim": ("block", aim, {"long_name": "aim over teacher"}),
    }
    return describe(xr.Dataset(data, attrs=setup.to_attrs() | inputs.to_attrs()))


def modes(setup: TeacherStudent, inputs: Spectrum, length: float = 1.0) -> xr.Dataset:
    """Find how fast a student that is near its teacher gets there, direction by direction.

    Parameters
    ----------
    setup : TeacherStudent
        Label noise is left out: it does not enter the mean dynamics near the teacher.
    inputs : Spectrum
        With some of the teacher in every block.
    length : float
        |w|/√N > 0 of a normalized student there, which is free; without normalization it is 1.

    Returns
    -------
    xarray.Dataset
        Over mode, the slowest last: relaxation_rate over η, and its direction over block, the
        change of w_i·w*_i/(N T_i); for weight normalization γ takes part at η_γ = η. Over block:
        orthogonal_rate of the weights orthogonal to the teacher. condition_number is the largest
        of all rates divided by the smallest that is not 0.

    Raises
    ------
    InvalidSetup
        An argument is outside of its range, or the student does not rest at its teacher.

    Examples
    --------
    Population statistics leave the length free, and the other mode lies between 4 and 1:

    >>> import statmech_bn as sbn
    >>> inputs = sbn.Spectrum([4, 1], fractions=[0.5, 0.5])
    >>> modes(sbn.TeacherStudent("linear", "none"), inputs)["relaxation_rate"].values.round(3)
    array([4., 1.])
    >>> found = modes(sbn.TeacherStudent("linear", "population"), inputs)
    >>> found["relaxation_rate"].values.round(3)
    array([1.6, 0. ])
    """
    instance("setup", setup, TeacherStudent)
    instance("inputs", inputs, Spectrum)
    size = real("length", length, SHORTEST_START, LONGEST_START)
    rule = setup.normalizer
    size = size if rule.has_scale else 1.0
    if setup.weight_decay > 0 or (rule.by_weights and setup.gamma_decay > 0):
        decays = (setup.weight_decay, setup.gamma_decay)
        raise invalid(
            "setup", "weight_decay = 0, and gamma_decay = 0 with weight normalization", decays,
            "With those the student does not rest at its teacher.",
        )  # fmt: skip
    if not (inputs.teacher * inputs.eigenvalues > 0).all():
        raise invalid("inputs", "some of the teacher in every block", inputs.teacher)
    matrix, across = _linearized(replace(setup, label_noise=0.0), inputs, size)
    eigenvalues, vectors = np.linalg.eig(-matrix)
    order = np.argsort(-eigenvalues.real)
    rates = eigenvalues.real[order]
    rates = np.where(np.abs(rates) < 1e-10 * rates.max(), 0.0, rates)
    every = np.concatenate([rates, across])
    data = {
        "relaxation_rate": ("mode", rates, {"long_name": "rate over learning rate"}),
        "direction": (("mode", "block"), vectors.real[: inputs.blocks, order].T),
        "orthogonal_rate": ("block", across, {"long_name": "rate over learning rate"}),
        "condition_number": every.max() / every[every > 0].min(),
    }
    return describe(xr.Dataset(data, attrs=setup.to_attrs() | inputs.to_attrs()))


def late_setup(setup: TeacherStudent, inputs: Spectrum) -> tuple[TeacherStudent, float, float]:
    r"""Return what makes the late time of isotropic inputs that of a spectrum.

    Each block's variance off the teacher rests at η f_i E[Σ c²] ℓ/(2b), whatever λ_i is, while
    dQ/dt = η² ⟨λ⟩ E[Σ c²], ⟨λ⟩ = Σf_iλ_i. So R obeys the law of isotropic inputs for G(z) = g(σ_*z)
    and Mσ_*²/⟨λ⟩ samples a step; a teacher that is spread as the weights are has σ_*² = ⟨λ⟩, and
    nothing of the covariance is left.

    Returns
    -------
    setup : TeacherStudent
        That of G.
    batch_size : float
        Mσ_*²/⟨λ⟩.
    scale : float
        γ over that of G: 1 for weight normalization, σ_* else.
    """
    unit = replace(setup, activation=with_unit_teacher(setup.activation, inputs))
    spread = float(np.sqrt(inputs.teacher_variance))
    size = setup.batch_size * inputs.teacher_variance / float(inputs.eigenvalues @ inputs.fractions)
    return unit, size, 1.0 if setup.normalizer.by_weights else spread


def _terms_at(
    setup: TeacherStudent, state: State, spectrum: Spectrum
) -> tuple[np.ndarray, np.ndarray, FieldTerms]:
    """Return ρ_i, Q_i and the terms of a state."""
    instance("setup", setup, TeacherStudent)
    if not isinstance(state, OrderParameters):
        raise invalid("state", "one OrderParameters with a spectrum", state)
    instance("inputs", spectrum, Spectrum)
    rho, q = state.blocks(spectrum)
    spread = float(np.sqrt(q @ spectrum.eigenvalues))
    scale = scale_of(setup.normalizer, spread, state.length, state.gamma)
    packed = np.append(np.stack([rho, q], axis=1).ravel(), state.gamma)
    return rho, q, field_terms_of(setup, spectrum, scale)(packed)


@lru_cache(maxsize=8)
def _block_rates(rule: Normalization) -> Callable[..., tuple[np.ndarray, ...]]:
    return numpy_function(block_rates(rule), BLOCK)


def _moves(
    setup: TeacherStudent, rho: np.ndarray, q: np.ndarray, terms: FieldTerms, spectrum: Spectrum
) -> tuple[np.ndarray, ...]:
    """Return the parts of dρ_i/dt and dQ_i/dt that are linear in η, over η."""
    of_blocks = rho, q, spectrum.teacher, spectrum.eigenvalues, spectrum.fractions
    of_fields = terms.towards_student, terms.towards_teacher, terms.turn, 0.0  # no E[Σ c²]
    return _block_rates(setup.normalizer)(*of_blocks, 1.0, setup.weight_decay, *of_fields)


def _linearized(
    setup: TeacherStudent, inputs: Spectrum, length: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the Jacobian over η of y (and log γ, for weight), and the rates across the teacher."""
    rule, spread = setup.normalizer, float(np.sqrt(inputs.teacher_variance))
    unit = replace(setup, activation=with_unit_teacher(setup.activation, inputs))
    scale = resting_gamma(unit, 1.0) if rule.has_scale else 1.0  # σ_φ/σ_*
    gamma = scale * (1.0 if rule.by_weights else spread)
    first = gamma / (length if rule.by_weights else length * spread) if rule.has_scale else 1.0
    drive = drive_near_teacher(unit, scale)[0] / 2  # D over 1 − R²
    toward = first * drive / spread**2  # b
    share = inputs.eigenvalues * inputs.teacher / inputs.teacher_variance
    matrix = -toward / length * inputs.eigenvalues[:, None] * (np.eye(inputs.blocks) - share)
    across = toward / length * inputs.eigenvalues
    if rule.has_scale and not rule.by_weights:
        return matrix, across
    steps = np.array([-2, -1, 1, 2]) * SLOPE_STEP
    pulls = averages(unit, np.ones(4), scale * np.exp(steps))[1]
    along = float(pulls @ [1, -8, 8, -1]) / (12 * SLOPE_STEP) / spread  # dA₂/d log σ_φ
    change = np.append(share / length, 0.0)  # d log σ_φ by y and by log γ
    if not rule.has_scale:
        pushed = first * along / spread * inputs.eigenvalues
        return matrix + pushed[:, None] * change[:-1], across
    change[:-1] -= inputs.teacher / length
    change[-1] = 1.0
    pushed = first * along * (inputs.eigenvalues / spread - spread)
    found = np.zeros((inputs.blocks + 1, inputs.blocks + 1))
    found[:-1, :-1] = matrix
    found += np.append(pushed, along * spread / gamma)[:, None] * change
    return found, across
