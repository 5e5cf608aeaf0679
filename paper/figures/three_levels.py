"""Learning of a ReLU student with batch normalization at three levels."""

from matplotlib.figure import Figure
from xarray import DataTree

from paper.figure import COLUMN, drawn, main
from statmech_bn.plot import fit

STORE = "learning_rates"


def draw(tree: DataTree) -> Figure:
    """Return the figure at its printed size."""
    return fit(drawn(STORE, tree, "relu_batch"), COLUMN, 3.1, legend=3)


if __name__ == "__main__":
    main(STORE, draw, __file__)
