"""What separates population normalization with each decay from batch normalization."""

from matplotlib.figure import Figure
from xarray import DataTree

from paper.figure import PAGE, drawn, main
from statmech_bn.plot import fit

STORE = "gamma_decay"


def draw(tree: DataTree) -> Figure:
    """Return the figure at its printed size."""
    return fit(drawn(STORE, tree, "trajectories"), PAGE, 3.1, legend=4)


if __name__ == "__main__":
    main(STORE, draw, __file__)
