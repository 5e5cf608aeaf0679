"""Figures of finite training sets show what the Datasets hold."""

import numpy as np
import pytest
import xarray as xr

import statmech_bn as sbn
from statmech_bn.dataset import describe


def result(values, dims=("load", "replica")):
    loads = [0.5, 2.0, 4.0]
    return describe(xr.Dataset({"generalization_error": (dims, np.array(values))}, {"load": loads}))


THEORY = result([0.5, 200.0, 0.1], ("load",))
SIMULATION = result([[0.4, 0.6], [0.2, 0.4], [0.1, np.inf]])


def test_theory_is_a_line_and_simulation_points_with_error_bars():
    panels = {"linear": {"batch": (THEORY, SIMULATION)}, "ReLU": {"batch": (None, SIMULATION)}}
    figure = sbn.plot.against("load", panels)
    left, right = figure.axes
    np.testing.assert_allclose(left.lines[0].get_ydata(), [0.5, 200.0, 0.1])
    points = left.containers[0]
    np.testing.assert_allclose(points.lines[0].get_ydata(), [0.5, 0.3, np.nan])
    half = [(bar[1, 1] - bar[0, 1]) / 2 for bar in points.lines[2][0].get_segments()[:2]]
    np.testing.assert_allclose(half, [0.1, 0.1])
    assert points.lines[0].get_color() == left.lines[0].get_color()
    assert left.get_ylim()[1] < 6  # the theory's peak leaves the panel
    assert left.get_ylim() == right.get_ylim()
    assert [axis.get_title() for axis in figure.axes] == ["linear", "ReLU"]
    assert left.get_ylabel() == r"generalization error $\varepsilon_g$"


def test_a_run_that_diverges_is_a_triangle():
    figure = sbn.plot.against("load", {"": {"batch": (None, SIMULATION)}})
    [triangle] = [line for line in figure.axes[0].lines if line.get_marker() == "^"]
    assert list(triangle.get_xdata()) == [4.0]


def test_bad_arguments_are_named():
    with pytest.raises(sbn.errors.InvalidSetup, match="at least one Dataset"):
        sbn.plot.against("load", {"": {"batch": (None, None)}})
    with pytest.raises(sbn.errors.InvalidSetup, match="variables"):
        sbn.plot.against("load", {"": {"batch": (THEORY, None)}}, ["length"])
