"""Where γ stops, against the batch size, beside both theories."""

from matplotlib.figure import Figure
from xarray import DataTree

from paper.figure import COLUMN, drawn, main
from statmech_bn.plot import fit

STORE = "gamma_decay"


def draw(tree: DataTree) -> Figure:
    """Return the figure at its printed size."""
    return fit(drawn(STORE, tree, "shrinkage"), COLUMN, 3.2, legend=4)


if __name__ == "__main__":
    main(STORE, draw, __file__)
