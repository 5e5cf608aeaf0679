"""Accuracy after short training against the initial gain."""

from matplotlib.figure import Figure
from xarray import DataTree

from paper.figure import COLUMN, drawn, main
from statmech_bn.plot import fit

STORE = "initial_gain"


def draw(tree: DataTree) -> Figure:
    """Return the figure at its printed size."""
    figure = fit(drawn(STORE, tree, "training"), COLUMN, 1.8, legend=2)
    for axis in figure.axes:
        axis.set_xticks([0.25, 1, 4], ["0.25", "1", "4"])
    return figure


if __name__ == "__main__":
    main(STORE, draw, __file__)
