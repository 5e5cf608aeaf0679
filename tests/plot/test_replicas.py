"""Means over replicas as figures show them."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from statmech_bn.plot.replicas import converged_mean_and_error, log_points, mean_and_error


def over_replicas(*rows):
    return xr.DataArray(np.array(rows, dtype=float), dims=("replica", "time"))


def test_replicas_without_a_value_do_not_count():
    mean, error = mean_and_error(over_replicas([1, 1], [3, 5], [np.nan, 3]))
    np.testing.assert_allclose(mean, [2, 3])
    np.testing.assert_allclose(error, [1, 2 / np.sqrt(3)])  # s/√2, s/√3


@pytest.mark.parametrize("last", [np.nan, np.inf, 1e200])
def test_where_a_replica_has_diverged_there_is_no_mean(last):
    mean, error = converged_mean_and_error(over_replicas([1, 2], [3, last]))
    np.testing.assert_allclose(mean, [2, np.nan])
    np.testing.assert_allclose(error, [1, np.nan])


def test_theory_has_no_error_bars():
    mean, error = converged_mean_and_error(over_replicas([1, 2]).isel(replica=0))
    np.testing.assert_allclose(mean, [1, 2])
    np.testing.assert_allclose(error, 0)


def test_geometric_means_have_errors_of_the_logarithm():
    axis = Figure().subplots()
    log_points(axis, [1], over_replicas([1], [100]), {"color": "k", "marker": "o"})
    [bars] = axis.containers
    point, _, [segments] = bars.lines
    np.testing.assert_allclose(point.get_ydata(), 10)
    [[low, high]] = np.log10(np.array(segments.get_segments())[..., 1])
    np.testing.assert_allclose([low, high], [0, 2])  # of 0 and 2 the standard error is 1
