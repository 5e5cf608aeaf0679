"""Where γ stops for fields that are not Gaussian."""

from matplotlib.figure import Figure
from xarray import DataTree

from paper.figure import COLUMN, drawn, main
from statmech_bn.plot import fit

STORE = "gamma_decay"


def draw(tree: DataTree) -> Figure:
    """Return the figure at its printed size."""
    return fit(drawn(STORE, tree, "kurtosis"), COLUMN, 2.2)


if __name__ == "__main__":
    main(STORE, draw, __file__)
