"""Condition numbers of products of matrices and of fields."""

from matplotlib.figure import Figure
from xarray import DataTree

from paper.figure import COLUMN, drawn, main
from statmech_bn.plot import fit

STORE = "matrix_products"


def draw(tree: DataTree) -> Figure:
    """Return the figure at its printed size."""
    return fit(drawn(STORE, tree, "conditions"), COLUMN, 2.6, legend=2)


if __name__ == "__main__":
    main(STORE, draw, __file__)
