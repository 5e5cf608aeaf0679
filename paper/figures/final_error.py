"""Final error against the learning rate, for four students at three levels."""

from matplotlib.figure import Figure
from xarray import DataTree

from paper.figure import PAGE, drawn, main
from statmech_bn.plot import fit

STORE = "learning_rates"


def draw(tree: DataTree) -> Figure:
    """Return the figure at its printed size."""
    return fit(drawn(STORE, tree, "final_error"), PAGE, 2.5)


if __name__ == "__main__":
    main(STORE, draw, __file__)
