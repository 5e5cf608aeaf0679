"""Correlation of two inputs against depth."""

from matplotlib.figure import Figure
from xarray import DataTree

from paper.figure import COLUMN, drawn, main
from statmech_bn.plot import fit

STORE = "depth_correlation"


def draw(tree: DataTree) -> Figure:
    """Return the figure at its printed size."""
    return fit(drawn(STORE, tree, "depth"), COLUMN, 3.0, legend=4)


if __name__ == "__main__":
    main(STORE, draw, __file__)
