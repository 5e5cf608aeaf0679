r"""The gamma decay that batch statistics are worth, at every state of a run.

With the pull A₂ = E[δ φ/γ] of a batch of M and of the population at the same overlap R and scale γ,

    ζ_eff = (A₂^population(R, γ) − A₂^batch(R, γ, M)) / (2γ),

a population-normalized student with the penalty ζ_eff γ² moves its γ as the batch-normalized one
does on average. Where γ stops, ζ_eff = A₂^population/(2γ). For the linear unit it is
(1 − s_M) R/(2γ) with s_M = E[σ_B/σ_P]: constant while γ follows R, but not a constant of the unit.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr

from statmech_bn import symbolic as s
from statmech_bn.averages.choice import field_average_function
from statmech_bn.averages.closed import SCALE, closed_averages
from statmech_bn.checks import instance
from statmech_bn.codegen import numpy_function
from statmech_bn.dataset import describe
from statmech_bn.errors import NoClosedForm, invalid
from statmech_bn.normalization import PopulationNormalization
from statmech_bn.online.arguments import one_unit
from statmech_bn.teacher_student import TeacherStudent


def effective_gamma_decay(run: xr.Dataset) -> xr.DataArray:
    """Read ζ_eff off a run whose statistics are the batch's, at every state that it holds.

    Parameters
    ----------
    run : xarray.Dataset
        A result of any level with "batch" or ghost batches and Gaussian inputs, over any
        dimensions. An explicit gamma decay comes on top and is not counted. At least 4 samples
        must share statistics, or 3 for the linear unit.

    Returns
    -------
    xarray.DataArray
        ``effective_gamma_decay``, shaped like ``run.gamma``; inf where the run has diverged and
        where γ = 0, from which no penalty ζγ² can pull.

    Raises
    ------
    InvalidSetup
        The run has another normalization or other inputs, or its batches are too small.

    Examples
    --------
    >>> import statmech_bn as sbn
    >>> setup, start = sbn.TeacherStudent("linear", "batch", 8), sbn.OrderParameters()
    >>> run = sbn.macroscopic(setup, 1.0, [100.0], start)
    >>> round(effective_gamma_decay(run).item(), 4)  # 3/(8M) to order 1/M is 0.0469
    0.0539
    """
    instance("run", run, xr.Dataset)
    setup = TeacherStudent.from_attrs(run.attrs)
    one_unit(setup)
    if setup.group is None:
        raise invalid(
            "run", "a run with statistics of the batch", setup.normalization,
            "The gamma decay of other normalizations is in their setup.",
        )  # fmt: skip
    if run.attrs.get("inputs", "Gaussian") != "Gaussian":
        raise invalid("run", "a run with Gaussian inputs", run.attrs["inputs"])
    if setup.group < 4 and setup.activation.expression.diff().free_symbols:
        raise invalid("batch_size", "at least 4 for a unit that is not linear", setup.group)
    overlap, gamma = run["overlap"].values, run["gamma"].values
    alive = np.isfinite(overlap) & np.isfinite(gamma)
    state = overlap[alive], gamma[alive]
    population = replace(setup, normalization=PopulationNormalization.kind)
    decay = np.full(gamma.shape, np.inf)
    with np.errstate(divide="ignore"):
        decay[alive] = (_pull(population, *state) - _pull(setup, *state)) / (2 * state[1])
    found = run["gamma"].copy(data=decay).rename("effective_gamma_decay")
    return describe(found.to_dataset())["effective_gamma_decay"]


def _pull(setup: TeacherStudent, overlap: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    """Average A₂ at each state."""
    try:
        closed = closed_averages(setup)[s.A]
    except NoClosedForm:
        signs, largest = np.copysign(1.0, gamma), np.max(np.abs(gamma), initial=1.0)
        averages = {sign: field_average_function(setup, sign * largest) for sign in set(signs)}
        states = zip(overlap, gamma, signs, strict=True)
        return np.array([averages[sign](r, g)[1] for r, g, sign in states])
    return numpy_function([closed], [s.R, SCALE])(overlap, gamma)[0]
