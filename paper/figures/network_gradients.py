"""Fields and gradients by layer of convolutional networks."""

from matplotlib.figure import Figure
from xarray import DataTree

from paper.figure import PAGE, drawn, main
from statmech_bn.plot import fit

STORE = "network_signals"


def draw(tree: DataTree) -> Figure:
    """Return the figure at its printed size."""
    figure = drawn(STORE, tree, "initial")
    rows = figure.axes[0].get_gridspec().nrows  # one for each width of the networks
    return fit(figure, PAGE, 0.4 + 2.0 * rows, legend=4)


if __name__ == "__main__":
    main(STORE, draw, __file__)
