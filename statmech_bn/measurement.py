r"""Order parameters of weights that somebody else trained.

Weights w of fields h = w·x/√N beside a teacher w*, rescaled to |w*|² = N:

    L = |w|/√N,     R = w·w*/(|w||w*|)                          for inputs without a covariance,
    ρ_i = w_i·w*_i/N,     Q_i = |w_i|²/N,     R = Σλ_iρ_i/√(Σλ_iQ_i Σλ_iT_i)      with a spectrum,

where w_i is the part of w in block i of the covariance's eigenvectors (`statmech_bn.spectrum`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from statmech_bn.arrays import to_numpy
from statmech_bn.averages.generalization import generalization_error
from statmech_bn.averages.structured import structured_error
from statmech_bn.checks import UNREADABLE, array, vector
from statmech_bn.dataset import describe, order_parameter_dataset
from statmech_bn.errors import invalid
from statmech_bn.online.arguments import one_unit
from statmech_bn.spectrum import Spectrum
from statmech_bn.teacher_student import TeacherStudent

DIMS = ("learning_rate", "replica", "time")


def measure(
    weights: Any,
    teacher: Any,
    gamma: Any = None,
    time: ArrayLike | None = None,
    inputs: Spectrum | ArrayLike | None = None,
    setup: TeacherStudent | None = None,
    learning_rate: ArrayLike = 0.0,
) -> xr.Dataset:
    """Measure order parameters of weights, to be compared with those of the three levels.

    Fields are h = w·x/√N. Multiply the weights of a layer without the factor, h = w·x, by √N.

    Parameters
    ----------
    weights : array_like
        w, shape (N,), or a trajectory (time, N), (replica, time, N) or
        (learning_rate, replica, time, N). Arrays of NumPy, PyTorch (any device, with or without
        gradients) or CuPy, or lists of them. From the first record that is not finite on, a run
        has diverged.
    teacher : array_like
        w*, shape (N,), of any length > 0: it is rescaled to |w*|² = N.
    gamma : array_like, optional
        γ, a number or one for each record; by default 1.
    time : array_like, optional
        Increasing, in units of steps/N, one for each record; by default 0, 1, 2, … without units.
    inputs : Spectrum or array_like, optional
        By default independent inputs of variance 1. A spectrum (of weights in its `basis`), a
        covariance, shape (N,) or (N, N), or data, shape (samples, N). A square array is a
        covariance if it is symmetric.
    setup : TeacherStudent, optional
        What was learned; with it the generalization error on fresh Gaussian inputs is computed.
    learning_rate : array_like
        η ≥ 0, for the Dataset and the colours of figures; 0 if it does not matter.

    Returns
    -------
    xarray.Dataset
        As of `statmech_bn.microscopic`, over learning_rate, replica and time: ``overlap`` (the
        cosine of the fields), ``length``, ``gamma``, ``diverged_at``, with a setup
        ``generalization_error``; with a spectrum also ``block_student_teacher`` ρ_i and
        ``block_student_student`` Q_i over block, and ``block_teacher`` T_i of this teacher.

    Raises
    ------
    InvalidSetup
        Shapes do not fit, an argument is out of range, the first record is not finite, or weights
        or the teacher are zero.

    Warns
    -----
    InputsWarning
        As from `Spectrum.from_data`; or a part of the teacher is outside of the data's span.

    Examples
    --------
    >>> import numpy as np
    >>> teacher = np.ones(4)
    >>> found = measure([[1.0, -1, 1, -1], [2, 2, 2, 0]], teacher, time=[0, 1])
    >>> found["overlap"].values.round(3), found["length"].values.round(3)
    (array([[[0.   , 0.866]]]), array([[[1.   , 1.732]]]))
    """
    w, w_star, finite = _weights(weights, teacher)
    records = w.shape[:-1]
    if setup is not None:
        one_unit(setup)
    gammas = _broadcast("gamma", 1.0 if gamma is None else gamma, records)
    rates = _rates(learning_rate, records[0])
    times, units = _times(time, records[-1])
    size = np.abs(w).max(axis=-1)
    if not size.all():
        raise invalid("weights", "not all zero in any record", "zeros", "They have no direction.")
    w = w / size[..., None]
    with np.errstate(over="ignore"):
        length = size * np.sqrt(np.mean(w * w, axis=-1))
    if inputs is None:
        cosine = w @ w_star / (np.linalg.norm(w, axis=-1) * np.linalg.norm(w_star))
        variables, blocks, attributes = {"overlap": np.clip(cosine, -1, 1)}, {}, {}
    else:
        spectrum, rho, q = _in_blocks(_spectrum(inputs, w_star), w, w_star)
        variables = {"overlap": spectrum.field_cosine(rho, q)}
        with np.errstate(over="ignore", invalid="ignore"):
            rho, q = rho * size[..., None], q * size[..., None] ** 2
        blocks = {"block_student_teacher": rho, "block_student_student": q}
        attributes = spectrum.to_attrs()
    variables |= {"length": length, "gamma": gammas}
    if setup is not None:
        attributes |= setup.to_attrs()
        if inputs is None:
            found = generalization_error(setup, variables["overlap"], length, gammas)
        else:
            found = structured_error(setup, spectrum, rho, q, gammas)
        variables["generalization_error"] = found
    gone = np.logical_or.accumulate(~finite, axis=-1)
    variables = {name: np.where(gone, np.inf, values) for name, values in variables.items()}
    first = times[np.argmax(gone, axis=-1)]
    variables["diverged_at"] = np.where(gone.any(axis=-1), first, np.nan)
    attributes |= {"level": "microscopic", "dimension": w.shape[-1], "measured": "weights"}
    result = order_parameter_dataset(variables, rates, rates, times, attributes)
    result["time"].attrs["units"] = units
    if not blocks:
        return result
    data: dict[str, Any] = {
        name: ((*DIMS, "block"), np.where(gone[..., None], np.inf, values))
        for name, values in blocks.items()
    }
    data["block_teacher"] = ("block", spectrum.teacher)
    coordinates = {
        "block": np.arange(spectrum.blocks),
        "block_eigenvalue": ("block", spectrum.eigenvalues),
    }
    return describe(result.assign(data).assign_coords(coordinates))


def _host(name: str, value: Any) -> np.ndarray:
    """Copy an array of any library to float64 of NumPy; values may be infinite or NaN."""
    try:
        if isinstance(value, (list, tuple)):
            given = np.array([_host(name, item) for item in value])
        else:
            given = to_numpy(value.detach().cpu() if hasattr(value, "detach") else value)
        if given.dtype.kind not in "buif":
            raise TypeError(given.dtype)
        with np.errstate(over="ignore"):  # what is beyond floats is infinite
            return given.astype(float)
    except (*UNREADABLE, AttributeError) as error:
        raise invalid(name, "an array of real numbers", value) from error


def _weights(weights: Any, teacher: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return w over (learning_rate, replica, time, N), w* scaled to 1, and which are finite."""
    w_star = array("teacher", _host("teacher", teacher), 1)
    if not w_star.any():
        raise invalid("teacher", "numbers that are not all zero", teacher)
    w = _host("weights", weights)
    if not 1 <= w.ndim <= 4 or w.shape[-1] != w_star.size or not w.size:
        raise invalid(
            "weights", f"{w_star.size} components, as the teacher has, on the last of 1 to 4 axes",
            f"shape {w.shape}",
        )  # fmt: skip
    w = w.reshape((1,) * (4 - w.ndim) + w.shape)
    finite = np.isfinite(w).all(axis=-1)
    if not finite[..., 0].all():
        raise invalid("weights", "finite numbers in the first record", "NaN or infinite ones")
    return np.where(finite[..., None], w, 1.0), w_star / np.abs(w_star).max(), finite


def _broadcast(name: str, values: Any, shape: tuple[int, ...]) -> np.ndarray:
    found = array(name, _host(name, values))
    try:
        return np.broadcast_to(found, shape)
    except ValueError as error:
        raise invalid(name, f"a shape that broadcasts to {shape}", found.shape) from error


def _rates(learning_rate: ArrayLike, number: int) -> np.ndarray:
    rates = vector("learning_rate", learning_rate, minimum=0.0)
    if rates.size != number:
        raise invalid("learning_rate", f"{number} numbers, as of the weights", rates.size)
    return rates


def _times(time: ArrayLike | None, number: int) -> tuple[np.ndarray, str]:
    """Return the times and their units."""
    if time is None:
        return np.arange(float(number)), "1"
    times = vector("time", time)
    if times.size != number or (np.diff(times) <= 0).any():
        raise invalid("time", f"{number} increasing numbers, one for each record", time)
    return times, "steps / N"


def _spectrum(inputs: Any, w_star: np.ndarray) -> Spectrum:
    """Make a spectrum from what describes the inputs."""
    if isinstance(inputs, Spectrum):
        return inputs
    given = _host("inputs", inputs)
    hint = "Give a Spectrum, a covariance (N,) or (N, N), or data (samples, N)."
    if given.ndim not in (1, 2) or given.shape[-1] != w_star.size:
        raise invalid("inputs", f"{w_star.size} components", f"shape {given.shape}", hint)
    if given.ndim == 1 or np.array_equal(given, given.T):
        return Spectrum.from_covariance(given, w_star)
    return Spectrum.from_data(given, teacher=w_star)


def _in_blocks(
    spectrum: Spectrum, w: np.ndarray, w_star: np.ndarray
) -> tuple[Spectrum, np.ndarray, np.ndarray]:
    """Return the spectrum with the T_i of this teacher, ρ_i and Q_i."""
    counts = spectrum.counts(w_star.size)
    w_star = w_star * np.sqrt(w_star.size) / np.linalg.norm(w_star)
    parts = spectrum.block_products(w_star, w_star)
    ours = Spectrum(spectrum.eigenvalues, multiplicities=counts, teacher=parts / parts.sum())
    return ours, spectrum.block_products(w, w_star), spectrum.block_products(w, w)
