"""Error and growth of interpolating students against the learning rate."""

from matplotlib.figure import Figure
from xarray import DataTree

from paper.figure import PAGE, drawn, main
from statmech_bn.plot import fit

STORE = "large_learning_rate"


def draw(tree: DataTree) -> Figure:
    """Return the figure at its printed size."""
    return fit(drawn(STORE, tree, "error"), PAGE, 3.3)


if __name__ == "__main__":
    main(STORE, draw, __file__)
