"""Curves show what the Datasets hold, with references over them."""

import numpy as np
import pytest
import xarray as xr

import statmech_bn as sbn
from statmech_bn.plot import Panel, curves

SETUP = sbn.TeacherStudent("linear", "weight", 4, label_noise=0.5)
START = sbn.OrderParameters(overlap=0.1)
RATES = [1.0, 5.0]


@pytest.fixture(scope="module")
def levels():
    time = np.geomspace(0.1, 100, 31)
    found = [
        sbn.macroscopic(SETUP, RATES, time, START),
        sbn.mesoscopic(SETUP, RATES, time, START, dimension=50, replicas=6),
    ]
    for result in found:
        result["effective_rate"] = sbn.rates.effective(SETUP, result, result["learning_rate"])
    return found


def test_lines_points_and_references(levels):
    law = sbn.rates.late_time(SETUP, levels[0]["time"].values)
    panels = [Panel("time", "effective_rate", levels, law), Panel("overlap", "length", levels)]
    figure = curves(panels, "learning_rate", reference="asymptote")
    left, right = figure.axes
    theory, chain = levels
    np.testing.assert_allclose(left.lines[1].get_ydata(), theory["effective_rate"][1])
    references = [line for line in left.lines if line.get_color() == "0.45"]
    np.testing.assert_allclose(references[0].get_ydata(), law["effective_rate"])
    points = right.containers[0].lines[0]
    shown = chain["overlap"][0].mean("replica")[:: 31 // 14]
    np.testing.assert_allclose(points.get_xdata(), shown)
    bar = right.containers[0].lines[2][1].get_segments()[3]
    error = chain["length"][0].std("replica", ddof=1)[3 * (31 // 14)] / np.sqrt(6)
    assert (bar[1, 1] - bar[0, 1]) / 2 == pytest.approx(error.item())
    assert points.get_color() == right.lines[0].get_color()
    [legend] = figure.legends
    texts = [text.get_text() for text in legend.get_texts() if text.get_text()]
    assert texts == ["1", "5", r"theory, $N\to\infty$", "chain, $N = 50$", "asymptote"]
    assert left.get_ylabel() == r"effective learning rate $\eta_\mathrm{eff}$"
    assert right.get_xlabel() == "overlap $R$"


def test_panels_of_one_row_share_their_axis(levels):
    panels = [Panel("time", y, levels) for y in ("overlap", "overlap", "length", "length")]
    axes = curves(panels, "learning_rate", columns=2).axes
    assert axes[0].get_ylim() == axes[1].get_ylim() != axes[2].get_ylim()
    assert axes[1].get_ylabel() == ""
    assert not any(label.get_visible() for label in axes[1].get_yticklabels(which="both"))


def test_every_row_says_its_own_horizontal_axis(levels):
    """Panels of one column may be drawn over different things."""
    short = [level.isel(time=slice(10, 15)) for level in levels]
    panels = [Panel("time", "length", short, logarithmic="x"), Panel("overlap", "length", levels)]
    figure = curves(panels, "learning_rate", columns=1)
    figure.canvas.draw()
    upper, lower = figure.axes
    assert (upper.get_xlabel()[:4], lower.get_xlabel()) == ("time", "overlap $R$")
    shown = [label for label in upper.get_xticklabels(which="minor") if label.get_text()]
    assert shown
    assert all(label.get_visible() for label in shown)


def test_short_logarithmic_axes_have_plain_numbers(levels):
    figure = curves([Panel("time", "length", levels)], "learning_rate")
    figure.canvas.draw()
    texts = [label.get_text() for label in figure.axes[0].yaxis.get_ticklabels(which="both")]
    assert any(text for text in texts)
    assert not any("e" in text or "10^" in text for text in texts)


def test_what_diverges_is_not_drawn():
    setup = sbn.TeacherStudent("linear", "none", 4)
    result = sbn.macroscopic(setup, [1.0, 40.0], [1.0, 50.0], START)
    axis = curves([Panel("time", "length", [result])], "learning_rate").axes[0]
    assert np.isnan(axis.lines[1].get_ydata()[-1])


def test_bad_arguments_are_named(levels):
    invalid = sbn.errors.InvalidSetup
    with pytest.raises(invalid, match="at least one"):
        curves([], "learning_rate")
    with pytest.raises(invalid, match="error"):
        curves([Panel("time", "error", levels)], "learning_rate")
    with pytest.raises(invalid, match="colour"):
        curves([Panel("time", "length", levels)], "batch_size")


def test_points_alone_lie_within_their_axes_and_apart(levels):
    """Two curves of three equal points: one stands beside the other, and both are seen."""
    data = {"y": (("kind", "replica", "units"), [[[5.0, 6.0, 7.0]] * 2] * 2)}
    run = xr.Dataset(data, {"kind": ["a", "b"], "units": [2, 4, 6]}, levels[1].attrs)
    figure = curves([Panel("units", "y", [run], logarithmic="")], "kind")
    (axis,) = figure.axes
    assert axis.get_xlim()[0] < 2 < 6 < axis.get_xlim()[1]
    assert axis.get_ylim()[0] < 5 < 7 < axis.get_ylim()[1]
    figure.canvas.draw()
    marks = [bar.lines[0] for bar in axis.containers]
    places = [mark.get_transform().transform((4.0, 6.0)) for mark in marks]
    assert places[1][0] - places[0][0] > 3
    assert places[1][1] == places[0][1]
    theory = run.isel(replica=0, drop=True).assign_attrs(levels[0].attrs)
    (axis,) = curves([Panel("units", "y", [theory, run], logarithmic="")], "kind").axes
    axis.figure.canvas.draw()
    for bar in axis.containers:  # beside a line, each point is where it is
        seen = bar.lines[0].get_transform().transform((4.0, 6.0))
        np.testing.assert_allclose(seen, axis.transData.transform((4.0, 6.0)))
    ticks = [tick for tick in axis.get_xticks() if 2 <= tick <= 6]
    assert all(tick == int(tick) for tick in ticks)


@pytest.mark.parametrize("logarithmic", ["", "x"])
def test_points_that_stand_aside_are_not_cut(levels, logarithmic):
    """Seven curves of two points, whose first and last ones are 21 typographic points apart."""
    kinds = list("abcdefg")
    data = {"y": (("kind", "replica", "units"), np.ones((7, 2, 2)))}
    run = xr.Dataset(data, {"kind": kinds, "units": [4, 32]}, levels[1].attrs)
    figure = curves([Panel("units", "y", [run], logarithmic=logarithmic)] * 3, "kind")
    for axis in figure.axes:
        assert axis.get_xlim()[0] < 4 < 32 < axis.get_xlim()[1]  # which are found when asked for
        window = axis.get_window_extent()
        marks = [bar.lines[0] for bar in axis.containers]
        for mark, edge in ((marks[0], 4.0), (marks[-1], 32.0)):
            place = mark.get_transform().transform((edge, 1.0))[0]
            radius = mark.get_markersize() / 2 * figure.dpi / 72
            assert window.x0 + radius < place < window.x1 - radius
