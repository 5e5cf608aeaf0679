"""Figures, one function per kind, each taking Datasets and returning a matplotlib Figure.

Theory is a line, simulation is points with error bars (mean and standard error over replicas). A
run that diverges has no value to draw: a triangle on the upper edge says where it went.

Symbols and units come from the variables' attributes. Colours are ordered by lightness and go with
a line style or a marker, so that nothing is lost in greyscale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from statmech_bn.checks import count, dataset
from statmech_bn.errors import invalid
from statmech_bn.plot.committees import COMMITTEE, is_committee, unit_curves, unit_trajectories
from statmech_bn.plot.nesting import check_nesting
from statmech_bn.plot.replicas import converged_mean_and_error
from statmech_bn.plot.style import (
    axis_label,
    check_results,
    legend_handle,
    level_handles,
    level_marker,
    make_panels,
    mark_diverged,
    palette,
    paper_style,
    result_level,
    student_styles,
    three_digits,
)
from statmech_bn.plot.ticks import short_ticks
from statmech_bn.plot.together import some_of, warn_of_differences

if TYPE_CHECKING:  # matplotlib and seaborn take longer to import than the rest of the package
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

VARIABLES = ("overlap", "length", "gamma", "generalization_error")
"""`trajectories` shows these variables of one unit unless told otherwise."""
LOGARITHMIC = ("length", "generalization_error")
OFF_SCALE = 100.0
"""Runs that diverge leave a panel at this multiple of the largest value of the others."""


def trajectories(
    theory: xr.Dataset | None = None,
    chain: xr.Dataset | None = None,
    network: xr.Dataset | None = None,
    variables: Sequence[str] | None = None,
    points: int = 14,
) -> Figure:
    """Draw order parameters against time, one panel each, one colour for each learning rate.

    Committees have a curve for each unit or pair of units, of one learning rate.

    Parameters
    ----------
    theory, chain, network : xarray.Dataset, optional
        Results of the three levels, at least one. Select a few learning rates first. The time axis
        is logarithmic if the times begin after zero and span two decades. The learning rates of a
        call share their samples, so their points scatter together; with a seed for each they do
        not. Results of unlike setups, starts or inputs are drawn with a warning.
    variables : sequence of str, optional
        By default overlap, length, γ and the error; for committees ρ, Q, γ and the error.
    points : int
        How many times of a simulation are drawn.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidSetup
        No result, no points, one time only, or a variable that one of the results does not have;
        for committees, several learning rates.

    Examples
    --------
    >>> import numpy as np, statmech_bn as sbn
    >>> setup, start = sbn.TeacherStudent("linear", "weight"), sbn.OrderParameters()
    >>> theory = sbn.macroscopic(setup, [0.3, 3], np.linspace(0, 9, 10), start)
    >>> figure = sbn.plot.trajectories(theory, variables=["overlap", "length"])
    >>> [axis.get_ylabel() for axis in figure.axes]
    ['overlap $R$', 'length $L$']
    """
    results = [d for d in (theory, chain, network) if d is not None]
    several = any(map(is_committee, results))
    if several and not all(map(is_committee, results)):
        fix = "Draw two figures, or start the one unit by matrices."
        kinds = ["a committee" if is_committee(d) else "one unit" for d in results]
        raise invalid("results", "committees alone or students of one unit alone", kinds, fix)
    if variables is None:
        variables = COMMITTEE if several else VARIABLES
    check_results(results, variables)
    for d in results:
        dims = dict.fromkeys(variables, ("time",))
        dataset("results", d, {**dims, "learning_rate": (), "diverged_at": ()})
        if d.sizes["time"] < 2:
            raise invalid("results", "at least two times", d["time"].values, "Draw final_error.")
    if several:
        return unit_trajectories(results, variables, count("points", points))
    results = [_with_rates(d) for d in results]
    unlike = warn_of_differences(results)
    points = count("points", points)
    rates = np.unique(np.concatenate([d["learning_rate"] for d in results]))
    columns = len(variables) if len(variables) <= 3 else 2
    with paper_style():
        colours = dict(zip(rates, palette(rates.size), strict=True))
        styles = {r: {"color": c, "linestyle": "-", "marker": "o"} for r, c in colours.items()}
        figure, axes = make_panels(len(variables), columns, (3.2, 2.5))
        for axis, variable in zip(axes, variables, strict=True):
            for place, result in enumerate(results):
                _draw_curves(axis, result, variable, styles, points, place / len(results))
            _finish_time_panel(axis, results, variable)
        lines = [
            legend_handle(color=colour, label=three_digits(rate))
            for rate, colour in colours.items()
        ]
        space = legend_handle(linestyle="", label="")
        figure.legend(
            handles=[*some_of(lines), space, *level_handles(results, unlike)],
            loc="outside right center",
            title=axis_label(results[0]["learning_rate"]),
            alignment="left",
        )
    return figure


def students(
    results: Mapping[str, Sequence[xr.Dataset]],
    variables: Sequence[str] | None = None,
    points: int = 14,
) -> Figure:
    """Draw order parameters of several students against time, one panel each.

    Committees have a curve for each unit or pair of units, all in the style of their student.

    Parameters
    ----------
    results : mapping
        Label of a student → its results, of any levels and learning rates.
    variables : sequence of str, optional
        By default overlap, length, γ and the error; for committees ρ, Q, γ and the error.
    points : int
        How many times of a simulation are drawn.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidSetup
        No result, no points, or a variable that one of the results does not have.

    Examples
    --------
    >>> import numpy as np, statmech_bn as sbn
    >>> time, start = np.linspace(0, 9, 10), sbn.OrderParameters()
    >>> kinds = ["weight", "batch"]
    >>> setups = {kind: sbn.TeacherStudent("linear", kind) for kind in kinds}
    >>> runs = {kind: [sbn.macroscopic(setup, 1.0, time, start)] for kind, setup in setups.items()}
    >>> figure = sbn.plot.students(runs, ["overlap", "length"])
    >>> [text.get_text() for text in figure.legends[0].get_texts()][:2]
    ['weight', 'batch']
    """
    check_nesting("results", results, (Mapping, Sequence), {"learning_rate": (), "diverged_at": ()})
    drawn = [(label, _with_rates(d)) for label, found in results.items() for d in found]
    if variables is None:
        variables = COMMITTEE if any(is_committee(d) for _, d in drawn) else VARIABLES
    check_results([d for _, d in drawn], variables)
    for _, d in drawn:
        dataset("results", d, dict.fromkeys(variables, ("time",)))
    points = count("points", points)
    columns = len(variables) if len(variables) <= 3 else 2
    with paper_style():
        styles = dict(zip(results, student_styles(len(results)), strict=True))
        figure, axes = make_panels(len(variables), columns, (3.2, 2.5))
        for axis, variable in zip(axes, variables, strict=True):
            curves = []
            for place, (label, d) in enumerate(drawn):
                style = dict.fromkeys(d["learning_rate"].values, styles[label])
                for curve in unit_curves(d, variable):
                    _draw_curves(axis, curve, variable, style, points, place / len(drawn))
                    curves.append(curve)
            _finish_time_panel(axis, curves, variable)
        handles = [legend_handle(label=label, **style) for label, style in styles.items()]
        space = legend_handle(linestyle="", label="")
        figure.legend(
            handles=[*handles, space, *level_handles([d for _, d in drawn])],
            loc="outside right center",
        )
    return figure


def final_error(
    panels: Mapping[str, Mapping[str, Sequence[xr.Dataset]]],
    variable: str = "generalization_error",
) -> Figure:
    """Draw the error at the last time against the learning rate, one panel for each title.

    Learning rates at which a student diverges are shaded, from halfway between the last that
    converges and the first that does not. Points of simulations are correlated along a curve, since
    all learning rates of a call share random numbers unless it says `common_random_numbers=False`.

    Parameters
    ----------
    panels : mapping
        Title of a panel → label of a student → its results, of any levels.
    variable : str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidSetup
        No result, or one without the variable.
    """
    wanted = {variable: ("time",)} if isinstance(variable, str) else {}
    check_nesting("panels", panels, (Mapping, Mapping, Sequence), {**wanted, "learning_rate": ()})
    results = [d for students in panels.values() for found in students.values() for d in found]
    check_results(results, [variable])
    unlike = list(
        dict.fromkeys(
            name
            for students in panels.values()
            for found in students.values()
            for name in warn_of_differences(found)
        )
    )
    labels = list(dict.fromkeys(label for students in panels.values() for label in students))
    with paper_style():
        styles = dict(zip(labels, student_styles(len(labels)), strict=True))
        figure, axes = make_panels(len(panels), len(panels), (3.2, 3.3), sharey=True)
        for axis, (title, students) in zip(axes, panels.items(), strict=True):
            axis.set(title=title, xscale="log", yscale="log")
            axis.set_xlabel(axis_label(results[0]["learning_rate"]))
            for label, found in students.items():
                for result in found:
                    _draw_final(axis, _with_rates(result), variable, styles[label])
            _shade(axis, [_with_rates(d) for found in students.values() for d in found], variable)
        axes[0].set_ylabel(axis_label(results[0][variable]))
        handles = [legend_handle(label=label, **style) for label, style in styles.items()]
        space = legend_handle(linestyle="", label="")
        figure.legend(
            handles=[*handles, space, *level_handles(results, unlike)], loc="outside right center"
        )
    return figure


def _draw_curves(
    axis: Axes,
    result: xr.Dataset,
    variable: str,
    styles: Mapping[float, Mapping[str, Any]],
    points: int,
    phase: float,
) -> None:
    """Draw every learning rate of one result; `phase` keeps the points of two levels apart."""
    level, times = result_level(result), result["time"].values
    spacing = max(1, times.size // points)
    shown = slice(int(phase * spacing), None, spacing)
    mean, error = _mean_and_error(result[variable])
    for k, rate in enumerate(result["learning_rate"].values):
        style = styles[rate]
        if level == "macroscopic":
            axis.plot(times, mean[k], color=style["color"], linestyle=style["linestyle"])
        else:
            axis.errorbar(
                times[shown],
                mean[k][shown],
                error[k][shown],
                color=style["color"],
                **level_marker(level, style["marker"]),
            )
        first = result["diverged_at"].isel(learning_rate=k).min().item()
        mark_diverged(axis, np.array([first]), style["color"])


def _draw_final(axis: Axes, result: xr.Dataset, variable: str, style: Mapping[str, Any]) -> None:
    """Draw one student at one level."""
    level, rates = result_level(result), result["learning_rate"].values
    final, error = (values[:, -1] for values in _mean_and_error(result[variable]))
    if level == "macroscopic":
        axis.plot(rates, final, color=style["color"], linestyle=style["linestyle"])
    else:
        axis.errorbar(
            rates, final, error, color=style["color"], **level_marker(level, style["marker"])
        )
    mark_diverged(axis, np.where(np.isnan(final), rates, np.nan), style["color"])


def _finish_time_panel(axis: Axes, results: Sequence[xr.Dataset], variable: str) -> None:
    times = results[0]["time"]
    if times[0] > 0 and times[-1] >= 100 * times[0]:
        axis.set_xscale("log")
    if variable in LOGARITHMIC:
        axis.set_yscale("log")
    _limit(axis, [_mean_and_error(d[variable])[0] for d in results])
    if variable == "length":
        short_ticks(axis, "y")
    axis.set_xlabel(axis_label(times))
    axis.set_ylabel(axis_label(results[0][variable]))


def _limit(axis: Axes, curves: Sequence[np.ndarray]) -> None:
    """Fit the axis to the runs that do not diverge, with room above to see the others leave."""
    values = np.concatenate([curve.ravel() for curve in curves])
    diverges = np.concatenate([np.repeat(np.isnan(c).any(axis=1), c.shape[1]) for c in curves])
    if diverges.all() or not diverges.any():
        return
    ceiling = OFF_SCALE * np.abs(values[~diverges]).max()
    shown = values[np.abs(values) <= ceiling]
    if shown.size < np.isfinite(values).sum():
        low, is_log = shown.min(), axis.get_yscale() == "log"
        bottom = low * (low / ceiling) ** 0.05 if is_log else low - 0.05 * (ceiling - low)
        axis.set_ylim(bottom, ceiling)


def _shade(axis: Axes, results: Sequence[xr.Dataset], variable: str) -> None:
    """Shade the panel to the right of the last learning rate at which all converge."""
    diverging, converging = np.empty(0), np.empty(0)
    for result in results:
        rates = result["learning_rate"].values
        diverged = np.isnan(_mean_and_error(result[variable])[0][:, -1])
        diverging = np.union1d(diverging, rates[diverged])
        converging = np.union1d(converging, rates[~diverged])
    if diverging.size:
        below = converging[converging < diverging[0]]
        edge = np.sqrt(below[-1] * diverging[0]) if below.size else diverging[0]
        right = axis.get_xlim()[1]
        axis.axvspan(edge, right, color="0.92", linewidth=0, zorder=0)
        axis.set_xlim(right=right)


def _mean_and_error(values: xr.DataArray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard error over replicas, (learning rates, times)."""
    mean, error = (d.transpose("learning_rate", "time") for d in converged_mean_and_error(values))
    return mean.values, error.values


def _with_rates(result: xr.Dataset) -> xr.Dataset:
    """Sort by learning rate; selecting a single one has dropped its dimension."""
    if "learning_rate" not in result.dims:
        return result.expand_dims("learning_rate")
    return result.sortby("learning_rate")
