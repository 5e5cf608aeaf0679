"""How networks cut the plane, with and without batch normalization."""

from matplotlib.figure import Figure
from xarray import DataTree

from paper.figure import PAGE, drawn, main
from statmech_bn.plot import fit

STORE = "partition"


def draw(tree: DataTree) -> Figure:
    """Return the figure at its printed size."""
    return fit(drawn(STORE, tree, "cells"), PAGE, 3.2, legend=3)


if __name__ == "__main__":
    main(STORE, draw, __file__)
