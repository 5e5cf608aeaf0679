"""Numbers at ticks are plain, and no two of them touch however narrow a figure is."""

import itertools

import numpy as np
import pytest
from matplotlib.figure import Figure

from statmech_bn.plot.ticks import plain_numbers, short_ticks, ticks_at, whole_ticks


def drawn(size, limits, prepare, side="x"):
    """Return the numbers along an axis from its low end, and where they are."""
    figure = Figure(size, layout="constrained")
    axis = figure.subplots()
    axis.set(xscale="log", yscale="log", **{f"{side}lim": limits})
    prepare(axis)
    figure.canvas.draw()
    which = {"x": axis.xaxis, "y": axis.yaxis}[side]
    shown = [label for label in which.get_ticklabels(which="both") if label.get_text()]
    inside = [x for x in shown if limits[0] <= float(x.get_text()) <= limits[1]]
    return {float(x.get_text()): x.get_window_extent() for x in inside}


def touch(boxes):
    return any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


@pytest.mark.parametrize("side", ["x", "y"])
@pytest.mark.parametrize("limits", [(0.002, 0.05), (3, 5), (0.9, 11), (2e-5, 1.3e-3)])
@pytest.mark.parametrize("width", [1.2, 2.0, 4.0])
def test_numbers_do_not_touch(side, limits, width):
    size = (width, 2.0) if side == "x" else (2.0, width / 2)
    for prepare in (lambda axis: short_ticks(axis, side), lambda axis: every_tick(axis, side)):
        found = drawn(size, limits, prepare, side)
        assert found
        assert not touch(found.values())


def every_tick(axis, side):
    plain_numbers({"x": axis.xaxis, "y": axis.yaxis}[side], every=True)


def test_there_are_as_many_numbers_as_have_room():
    def short(axis):
        short_ticks(axis, "x")

    assert drawn((1.3, 2), (0.002, 0.05), short).keys() <= {0.01, 0.02, 0.002, 0.04, 0.004}
    assert {0.002, 0.003, 0.004, 0.006, 0.01, 0.02, 0.03, 0.04} <= drawn(
        (9, 2), (0.002, 0.05), short
    ).keys()
    assert drawn((9, 2), (1, 10), lambda axis: every_tick(axis, "x")).keys() == set(range(1, 11))


def test_ticks_at_values_have_numbers_where_there_is_room():
    sizes = [4, 5, 6, 8, 16, 32, 64, 128]
    assert list(drawn((8, 2), (4, 100), lambda axis: ticks_at(axis, sizes))) == sizes[:-1]
    narrow = drawn((1.2, 2), (4, 100), lambda axis: ticks_at(axis, sizes))
    assert narrow
    assert narrow.keys() < set(sizes)
    assert not touch(narrow.values())


def test_whole_numbers_have_whole_ticks():
    axis = Figure((2, 2)).subplots()
    axis.plot([2, 4], [0, 1])
    whole_ticks(axis, np.array([2, 3, 4]))
    assert all(value == round(value) for value in axis.get_xticks())
    before = axis.xaxis.get_major_locator()
    whole_ticks(axis, np.array([2.0, 4.0]))
    whole_ticks(axis, np.array([2, 400]))
    assert axis.xaxis.get_major_locator() is before
