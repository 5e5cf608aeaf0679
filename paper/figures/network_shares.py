"""Which share of the gap to batch normalization gamma decay closes in networks."""

from matplotlib.figure import Figure
from xarray import DataTree

from paper.figure import PAGE, drawn, main
from statmech_bn.plot import fit

STORE = "network_batch_size"


def draw(tree: DataTree) -> Figure:
    """Return the figure at its printed size."""
    return fit(drawn(STORE, tree, "closure"), PAGE, 3.6, legend=2)


if __name__ == "__main__":
    main(STORE, draw, __file__)
