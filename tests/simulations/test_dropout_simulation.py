"""The script of dropout measures what it says, in a tiny run, and draws it."""

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
        yield importlib.import_module("dropout")


@pytest.fixture(scope="module")
def tree(script, tmp_path_factory):
    store = tmp_path_factory.mktemp("dropout") / "dropout.zarr"
    sizes = {"replicas": 8, "dimension": 50, "keeps": (0.5, 1.0)}
    return study.results(script, script.Options(**sizes, store=store))


def test_masks_shift_the_variance_before_and_not_behind(script, tree):
    shift = tree["learning/masks"]["shift"].mean("replica")
    np.testing.assert_allclose(shift.sel(place="before"), [0.5, 1.0], rtol=0.06)
    np.testing.assert_allclose(shift.sel(place="behind"), 1.0, rtol=0.06)


def test_the_three_levels_agree(script, tree):
    masks = tree["learning/masks"].to_dataset().load().sel(place="before", time=script.TIME[-1])
    chain = tree["learning/chain"].to_dataset().load().sel(time=script.TIME[-1])
    flow = tree["learning/flow"].to_dataset().load().sel(time=script.TIME[-1])
    for name in ("overlap", "gamma"):
        (a, da), (b, db) = (study.mean_and_error(found[name]) for found in (masks, chain))
        assert (abs(a - b) < 5 * np.hypot(da, db) + 0.01).all()
        assert (abs(b - flow[name]) < 5 * db + 0.05).all()


def test_figures_are_drawn_from_the_store(script, tree, tmp_path):
    assert all(study.decide(*pair) for pair in script.claims(tree).values())
    figures = {name: draw() for name, draw in script.figures(tree).items()}
    assert set(figures) == {"learning", "rest"}
    for key, figure in figures.items():
        figure.savefig(tmp_path / f"{key}.png", dpi=30)
    flow, theory, masks = (tree[k] for k in ("learning/flow", "rest/theory", "learning/masks"))
    for panel, name in enumerate(("overlap", "gamma")):
        assert draws(figures["learning"].axes[panel], flow[name].sel(keep=0.5))
    for panel, name in enumerate(("shift", "running", "recomputed")):
        for found in (theory, masks):
            assert draws(figures["rest"].axes[panel], found[name].sel(place="before"))
