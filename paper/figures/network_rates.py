"""The largest learning rate of convolutional networks against depth."""

from matplotlib.figure import Figure
from xarray import DataTree

from paper.figure import PAGE, drawn, main
from statmech_bn.plot import fit

STORE = "network_learning_rate"


def draw(tree: DataTree) -> Figure:
    """Return the figure at its printed size."""
    return fit(drawn(STORE, tree, "largest"), PAGE, 2.2, legend=4)


if __name__ == "__main__":
    main(STORE, draw, __file__)
