"""How many units of convolutional networks change sides with the batch."""

from matplotlib.figure import Figure
from xarray import DataTree

from paper.figure import PAGE, drawn, main
from statmech_bn.plot import fit

STORE = "network_flips"


def draw(tree: DataTree) -> Figure:
    """Return the figure at its printed size."""
    return fit(drawn(STORE, tree, "rates"), PAGE, 3.6, legend=5)


if __name__ == "__main__":
    main(STORE, draw, __file__)
