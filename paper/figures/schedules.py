"""Final error under schedules, against the learning rate that they multiply."""

from matplotlib.figure import Figure
from xarray import DataTree

from paper.figure import PAGE, drawn, main
from statmech_bn.plot import fit

STORE = "phase_diagram"


def draw(tree: DataTree) -> Figure:
    """Return the figure at its printed size."""
    return fit(drawn(STORE, tree, "schedules"), PAGE, 2.2)


if __name__ == "__main__":
    main(STORE, draw, __file__)
