r"""Figures of committees: curves of every pair of units, and maps of their cosines.

In curves, a unit of the student has a colour, and the other unit of a pair a line style and a
marker. In maps, the units of the student are ordered such that those that match a unit of the
teacher best, all together, are on the diagonal (the assignment problem; H. W. Kuhn 1955).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from statmech_bn.checks import dataset, integer, vector
from statmech_bn.errors import invalid
from statmech_bn.plot.replicas import converged_mean_and_error
from statmech_bn.plot.style import (
    LEVELS,
    axis_label,
    legend_handle,
    level_handles,
    make_panels,
    mark_diverged,
    palette,
    paper_style,
    result_level,
    student_styles,
    text_of,
)
from statmech_bn.teacher_student import TeacherStudent

if TYPE_CHECKING:  # matplotlib and seaborn take longer to import than the rest of the package
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COMMITTEE = ("student_teacher", "student_student", "gamma", "generalization_error")
"""`trajectories` shows these variables of committees unless told otherwise."""
STUDENT = "student_unit"
OTHERS = ("teacher_unit", "other_student_unit")
MOST_NUMBERS = 8
"""A map of at most so many units on each side has its numbers written in."""


def is_committee(result: Any) -> bool:
    """Say whether a result has several units, or one in the form of several."""
    return isinstance(result, xr.Dataset) and STUDENT in result.dims


def unit_trajectories(
    results: Sequence[xr.Dataset], variables: Sequence[str], points: int
) -> Figure:
    """Draw the matrices of committees against time, one panel for each variable."""
    results = [_of_one_rate(d, "results") for d in results]
    dims = {dim for d in results for name in variables for dim in d[name].dims}
    units = max(d.sizes[STUDENT] for d in results)
    pairs = max((d.sizes[dim] for d in results for dim in dims & {*OTHERS}), default=1)
    columns = len(variables) if len(variables) <= 3 else 2
    with paper_style():
        colours = palette(units)
        styles = student_styles(pairs)
        figure, axes = make_panels(len(variables), columns, (3.2, 2.5))
        for axis, variable in zip(axes, variables, strict=True):
            for place, result in enumerate(results):
                _draw(axis, result, variable, colours, styles, points, place / len(results))
            times = results[0]["time"]
            if times[0] > 0 and times[-1] >= 100 * times[0]:
                axis.set_xscale("log")
            if variable == "generalization_error":
                axis.set_yscale("log")
            axis.set(xlabel=axis_label(times), ylabel=_indexed(results[0][variable]))
        lines = any(result_level(d) == "macroscopic" for d in results)
        marked = any(result_level(d) != "macroscopic" for d in results)
        by_unit = [legend_handle(colour, label=f"$k = {k}$") for k, colour in enumerate(colours)]
        by_pair = [
            legend_handle(
                linestyle=style["linestyle"] if lines else "",
                marker=style["marker"] if marked else "",
                markersize=4,
                label=f"$n, l = {n}$",
            )
            for n, style in enumerate(styles)
        ]
        groups = [by_unit if STUDENT in dims else [], by_pair if dims & {*OTHERS} else []]
        space = legend_handle(linestyle="", label="")
        handles = [handle for group in groups if group for handle in (*group, space)]
        figure.legend(
            handles=[*handles, *level_handles(results)],
            loc="outside right center",
            title="hidden units" if handles else None,
            alignment="left",
        )
    return figure


def overlaps(result: xr.Dataset, times: ArrayLike | None = None, replica: int = 0) -> Figure:
    """Draw the cosines of all units of student and teacher at some times, as maps.

    Parameters
    ----------
    result : xarray.Dataset
        Result of a level for a committee and one learning rate.
    times : array_like, optional
        The nearest recorded times are shown; by default the first, one in the middle and the last.
    replica : int
        Which run, of those of a simulation.

    Returns
    -------
    matplotlib.figure.Figure
        The rows, units of the student, are in the order that matches the teacher's units best at
        the last time that is shown.

    Raises
    ------
    InvalidSetup
        The result is not of a committee, has several learning rates or no such replica, or has
        diverged by then.

    Examples
    --------
    >>> import statmech_bn as sbn
    >>> setup = sbn.TeacherStudent("erf", "none", 1, student_units=2, teacher_units=2)
    >>> start = sbn.OrderParameters.random(setup, dimension=100, seed=0)
    >>> run = sbn.mesoscopic(setup, 1.0, [0, 10, 60], start, dimension=100)
    >>> figure = overlaps(run, times=[0, 60])
    >>> [axis.get_title() for axis in figure.axes[:2]]
    ['$t = 0$', '$t = 60$']
    """
    wanted: dict[Any, tuple[str, ...]] = {
        "student_teacher": ("time", STUDENT, "teacher_unit"),
        "student_student": ("time", STUDENT, "other_student_unit"),
    }
    found = _of_one_rate(dataset("result", result, wanted, "Give a run of a committee."), "result")
    if "replica" in found.dims:
        last = found.sizes["replica"] - 1
        found = found.isel(replica=integer("replica", replica, 0, maximum=last))
    elif integer("replica", replica, 0) > 0:
        raise invalid("replica", "0 for a result without replicas", replica)
    found = found.transpose(..., "time", STUDENT, *OTHERS)
    shown = found.isel(time=_nearest(found["time"].values, times))
    cosines = _cosines(shown)
    order = matching(cosines[-1])
    with paper_style():
        figure, axes = make_panels(len(cosines), len(cosines), (2.4, 2.2), sharey=True)
        for axis, time, values in zip(axes, shown["time"].values, cosines, strict=True):
            image = _map(axis, values[order], order)
            axis.set_title(f"$t = {time:.4g}$")
            axis.set_xlabel(axis_label(found["teacher_unit"]))
        axes[0].set_ylabel(axis_label(found[STUDENT]))
        bar = figure.colorbar(image, ax=axes, fraction=0.05)
        bar.set_label(r"cosine $\rho_{kn}/\sqrt{Q_{kk}T_{nn}}$")
    return figure


def matching(cosines: np.ndarray) -> np.ndarray:
    """Return the student's units (K,) in the teacher's order, and then those without a partner."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(-np.abs(cosines))
    matched = rows[np.argsort(columns)]
    return np.concatenate([matched, np.setdiff1d(np.arange(len(cosines)), matched)])


def unit_curves(result: xr.Dataset, variable: str) -> list[xr.Dataset]:
    """Return the result of each unit, or pair of units, that a variable has, without their dims."""
    dims = [dim for dim in (STUDENT, *OTHERS) if dim in result[variable].dims]
    shown = result[[variable, "diverged_at"]]
    return [shown.isel(dict(zip(dims, place, strict=True)))
            for place in np.ndindex(*(result.sizes[dim] for dim in dims))
            if "other_student_unit" not in dims or place[0] <= place[1]]  # fmt: skip


def _of_one_rate(result: xr.Dataset, name: str) -> xr.Dataset:
    """Leave out the learning rate, of which there must be one."""
    if not is_committee(result):
        raise invalid(name, "only results of committees", dict(result.sizes))
    if result.sizes.get("learning_rate", 1) != 1:
        raise invalid(
            "learning_rate", "one for figures of committees", result["learning_rate"].values,
            "Select it: result.isel(learning_rate=[0]).",
        )  # fmt: skip
    return result.isel(learning_rate=0) if "learning_rate" in result.dims else result


def _curves(
    mean: xr.DataArray, error: xr.DataArray
) -> Iterator[tuple[int | None, int, np.ndarray, np.ndarray]]:
    """Iterate over the curves of a variable: units k and n (or l ≥ k), values, errors."""
    if STUDENT not in mean.dims:
        yield None, 0, mean.values, error.values
        return
    other = next((dim for dim in OTHERS if dim in mean.dims), None)
    for k in range(mean.sizes[STUDENT]):
        ours, its = mean.isel({STUDENT: k}), error.isel({STUDENT: k})
        if other is None:
            yield k, 0, ours.values, its.values
            continue
        for n in range(k if other == "other_student_unit" else 0, mean.sizes[other]):
            yield k, n, ours.isel({other: n}).values, its.isel({other: n}).values


def _draw(
    axis: Axes,
    result: xr.Dataset,
    variable: str,
    colours: Sequence[Any],
    styles: Sequence[dict[str, Any]],
    points: int,
    phase: float,
) -> None:
    """Draw all curves of a variable; `phase` keeps the points of two levels apart."""
    level, times = result_level(result), result["time"].values
    spacing = max(1, times.size // points)
    shown = slice(int(phase * spacing), None, spacing)
    for k, n, mean, error in _curves(*converged_mean_and_error(result[variable])):
        colour = "0.25" if k is None else colours[k]
        if level == "macroscopic":
            axis.plot(times, mean, color=colour, linestyle=styles[n]["linestyle"])
        else:
            marks = {"linestyle": "", "marker": styles[n]["marker"], **LEVELS[level][1]}
            axis.errorbar(times[shown], mean[shown], error[shown], color=colour, **marks)
    mark_diverged(axis, np.array([float(result["diverged_at"].min())]), "0.25")


def _indexed(variable: xr.DataArray) -> str:
    """Label a variable with the indices of its units."""
    label, symbol = axis_label(variable), text_of(variable, "symbol")
    if STUDENT not in variable.dims or not symbol.endswith("$"):
        return label
    second = {"teacher_unit": "n", "other_student_unit": "l"}
    index = "k" + "".join(letter for dim, letter in second.items() if dim in variable.dims)
    return label.replace(symbol, f"{symbol[:-1]}_{{{index}}}$")


def _nearest(recorded: np.ndarray, times: ArrayLike | None) -> list[int]:
    """Return the indices of recorded times."""
    if times is None:
        return sorted({0, recorded.size // 2, recorded.size - 1})
    return [int(np.argmin(np.abs(recorded - time))) for time in vector("times", times)]


def _cosines(shown: xr.Dataset) -> np.ndarray:
    """Return ρ_kn/√(Q_kk T_nn), (times, K, K*)."""
    rho, q = shown["student_teacher"].values, shown["student_student"].values
    if not (np.isfinite(rho).all() and np.isfinite(q).all()):
        raise invalid("times", "times before the run diverges", shown["time"].values)
    teacher = np.diag(TeacherStudent.from_attrs(shown.attrs).teacher_gram)
    length = np.sqrt(np.diagonal(q, axis1=-2, axis2=-1))
    if length.shape != rho.shape[:-1] or teacher.size != rho.shape[-1]:
        raise invalid("result", "units as in its setup", dict(shown.sizes))
    found: np.ndarray = rho / (length[..., None] * np.sqrt(teacher))
    return found


def _map(axis: Axes, values: np.ndarray, order: np.ndarray) -> Any:
    """Draw one map; colours grow darker from −1 to 1, as grey tones do."""
    import seaborn as sns

    colours = sns.color_palette("rocket_r", as_cmap=True)
    image = axis.imshow(values, vmin=-1.0, vmax=1.0, cmap=colours, aspect="equal")
    units, teachers = values.shape
    axis.set_xticks(range(teachers))
    axis.set_yticks(range(units), [str(k) for k in order])
    if max(values.shape) <= MOST_NUMBERS:
        for (k, n), value in np.ndenumerate(values):
            tone = "white" if value > -0.4 else "black"
            axis.text(n, k, f"{value:.2f}", ha="center", va="center", color=tone, fontsize=7)
    return image
