"""The learning rate at which a student without normalization explodes."""

from matplotlib.figure import Figure
from xarray import DataTree

from paper.figure import COLUMN, drawn, fit, produce

STORE = "maximum_learning_rate"


def draw(tree: DataTree) -> Figure:
    """Return the figure at its printed size."""
    return fit(drawn(STORE, tree, "frontier"), COLUMN, 1.9, legend=4)


if __name__ == "__main__":
    produce(STORE, draw, __file__)
