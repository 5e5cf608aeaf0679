"""What an axis shows, as numbers, for tests that hold a figure against its store."""

import numpy as np


def draws(axis, values):
    """Whether a curve of an axis, or its points, has these heights, or their means over replicas.

    Parameters
    ----------
    axis : matplotlib.axes.Axes
    values : xarray.DataArray
        Of one dimension, and ``replica``.
    """
    heights = (values.mean("replica") if "replica" in values.dims else values).values
    assert heights.ndim == 1
    assert np.isfinite(heights).any()
    drawn = [np.asarray(line.get_ydata(), dtype=float) for line in axis.lines]
    return any(
        y.shape == heights.shape and np.allclose(y, heights, 1e-9, 0, equal_nan=True) for y in drawn
    )
