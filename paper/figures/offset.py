"""Squared distance against the offset, and its excess behind folds."""

from matplotlib.figure import Figure
from xarray import DataTree

from paper.figure import COLUMN, drawn, fit, produce

STORE = "partition"


def draw(tree: DataTree) -> Figure:
    """Return the figure at its printed size."""
    return fit(drawn(STORE, tree, "offset"), COLUMN, 1.9, legend=4)


if __name__ == "__main__":
    produce(STORE, draw, __file__)
