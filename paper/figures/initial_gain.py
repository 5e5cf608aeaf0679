"""Accuracy after short training against the initial gain."""

from matplotlib.figure import Figure
from xarray import DataTree

from paper.figure import COLUMN, drawn, fit, main

STORE = "initial_gain"


def draw(tree: DataTree) -> Figure:
    """Return the figure at its printed size."""
    return fit(drawn(STORE, tree, "training"), COLUMN, 1.8, legend=2)


if __name__ == "__main__":
    main(STORE, draw, __file__)
