"""The script of heavy balls measures what it says, in a tiny run, and draws it."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from statmech_bn import study

sys.path.insert(0, str(Path(__file__).parent))
from drawn import draws

pytestmark = pytest.mark.thorough

FOLDER = Path(__file__).parents[2] / "simulations"


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        module = importlib.import_module("momentum")
        patch.setattr(module, "STUDENTS", {"weight": "weight norm."})
        patch.setattr(module, "MOMENTA", (0.0, 0.8))
        yield module


@pytest.fixture(scope="module")
def tree(script, tmp_path_factory):
    store = tmp_path_factory.mktemp("momentum") / "momentum.zarr"
    sizes = {"replicas": 24, "dimensions": (20, 200), "decays": (0.2,)}
    return study.results(script, script.Options(**sizes, store=store))


def test_small_systems_lag_behind(script, tree):
    """By β/(1 − β) steps: 4/20 of the time unit at N = 20, 4/200 at N = 200."""
    learned = tree["learning/chain"]["overlap"].isel(student=0)
    lag = learned.sel(momentum=0.0) - learned.sel(momentum=0.8)
    mean, error = study.mean_and_error(lag.sel(time=1.0))
    assert mean.sel(dimension=20) > 4 * error.sel(dimension=20)
    assert mean.sel(dimension=200) < mean.sel(dimension=20) / 3


def test_the_angle_at_rest_is_that_of_theory(script, tree):
    rest = tree["rest/chain"]["angle"] / tree["rest/theory"]["angle"]
    np.testing.assert_allclose(rest.mean("replica"), 1.0, atol=0.03)


def test_growing_rates_are_the_decay(script, tree):
    growth = tree["growth"].to_dataset()
    assert (
        abs(growth["overlap_growing"]).max() < 1e-9 < 1e-3 < abs(growth["overlap_constant"]).max()
    )
    decided = {k: study.decide(*pair) for k, pair in script.claims(tree).items()}
    assert decided["Growing rates equal weight decay"] == "reproduced"
    assert decided["Rest is approached at the rate 2ηλ/(1 − β)"] == "with a correction"


def test_figures_are_drawn_from_the_store(script, tree, tmp_path):
    figures = {name: draw() for name, draw in script.figures(tree).items()}
    assert set(figures) == {"learning", "angle", "approach"}
    for key, figure in figures.items():
        figure.savefig(tmp_path / f"{key}.png", dpi=30)
        assert figure.legends
    flow, chain = tree["learning/flow"], tree["learning/chain"]
    for panel, size in enumerate((20, 200)):
        axis = figures["learning"].axes[panel]
        assert draws(axis, flow["overlap"].sel(student="weight"))
        learned = chain["overlap"].sel(student="weight", dimension=size, momentum=0.8)
        shown = slice(None, None, max(1, learned.sizes["time"] // 14))
        assert draws(axis, learned.isel(time=shown))
    for level in ("theory", "chain"):
        angle = tree[f"rest/{level}"]["angle"].sel(student="weight")
        assert draws(figures["angle"].axes[0], angle.sel(momentum=0.8))
    assert draws(figures["approach"].axes[0], tree["approach"]["left"].isel(rate=0))
