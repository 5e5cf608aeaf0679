"""Generalization error against the batch size."""

from matplotlib.figure import Figure
from xarray import DataTree

from paper.figure import PAGE, drawn, main
from statmech_bn.plot import fit

STORE = "batch_size"


def draw(tree: DataTree) -> Figure:
    """Return the figure at its printed size."""
    return fit(drawn(STORE, tree, "error"), PAGE, 2.1)


if __name__ == "__main__":
    main(STORE, draw, __file__)
