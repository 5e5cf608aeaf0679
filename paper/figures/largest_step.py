"""The largest step that a network survives, against its depth."""

from matplotlib.figure import Figure
from xarray import DataTree

from paper.figure import COLUMN, drawn, main
from statmech_bn.plot import fit

STORE = "exploding_updates"


def draw(tree: DataTree) -> Figure:
    """Return the figure at its printed size."""
    return fit(drawn(STORE, tree, "largest"), COLUMN, 1.9, legend=2)


if __name__ == "__main__":
    main(STORE, draw, __file__)
