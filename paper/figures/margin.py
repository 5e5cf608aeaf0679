"""Margins and accuracy of classifiers with and without jitter."""

from matplotlib.figure import Figure
from xarray import DataTree

from paper.figure import PAGE, drawn, main
from statmech_bn.plot import fit

STORE = "boundary_jitter"


def draw(tree: DataTree) -> Figure:
    """Return the figure at its printed size."""
    return fit(drawn(STORE, tree, "margin"), PAGE, 1.9, legend=2)


if __name__ == "__main__":
    main(STORE, draw, __file__)
