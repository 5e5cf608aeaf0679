"""Fields and gradients by layer of convolutional networks."""

from matplotlib.figure import Figure
from xarray import DataTree

from paper.figure import PAGE, drawn, main
from statmech_bn.plot import fit

STORE = "network_signals"


def draw(tree: DataTree) -> Figure:
    """Return the figure at its printed size."""
    return fit(drawn(STORE, tree, "initial"), PAGE, 4.4, legend=4)


if __name__ == "__main__":
    main(STORE, draw, __file__)
