"""Length, effective rate and misalignment over five decades of time."""

from matplotlib.figure import Figure
from xarray import DataTree

from paper.figure import PAGE, drawn, main
from statmech_bn.plot import fit

STORE = "late_time"


def draw(tree: DataTree) -> Figure:
    """Return the figure at its printed size."""
    return fit(drawn(STORE, tree, "linear"), PAGE, 3.4)


if __name__ == "__main__":
    main(STORE, draw, __file__)
