"""Errors over six decades of learning rates."""

from matplotlib.figure import Figure
from xarray import DataTree

from paper.figure import COLUMN, drawn, fit, produce

STORE = "maximum_learning_rate"


def draw(tree: DataTree) -> Figure:
    """Return the figure at its printed size."""
    return fit(drawn(STORE, tree, "six_decades"), COLUMN, 2.3, legend=3)


if __name__ == "__main__":
    produce(STORE, draw, __file__)
