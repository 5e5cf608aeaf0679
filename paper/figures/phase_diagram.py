"""Final error over learning rate and batch size."""

from matplotlib.figure import Figure
from xarray import DataTree

from paper.figure import PAGE, drawn, main
from statmech_bn.plot import fit

STORE = "phase_diagram"


def draw(tree: DataTree) -> Figure:
    """Return the figure at its printed size."""
    return fit(drawn(STORE, tree, "generalization_error_batch_size"), PAGE, 3.3, legend=1)


if __name__ == "__main__":
    main(STORE, draw, __file__)
