"""Runs of one product of learning rate and weight decay."""

from matplotlib.figure import Figure
from xarray import DataTree

from paper.figure import PAGE, drawn, fit, produce

STORE = "weight_decay"


def draw(tree: DataTree) -> Figure:
    """Return the figure at its printed size."""
    return fit(drawn(STORE, tree, "collapse_linear"), PAGE, 3.2)


if __name__ == "__main__":
    produce(STORE, draw, __file__)
