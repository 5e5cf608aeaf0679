"""Alignment of the gradients of a batch, layer by layer."""

from matplotlib.figure import Figure
from xarray import DataTree

from paper.figure import COLUMN, drawn, main
from statmech_bn.plot import fit

STORE = "gradient_alignment"


def draw(tree: DataTree) -> Figure:
    """Return the figure at its printed size."""
    return fit(drawn(STORE, tree, "layers"), COLUMN, 2.3, legend=2)


if __name__ == "__main__":
    main(STORE, draw, __file__)
