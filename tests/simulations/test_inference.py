"""The script of training and inference measures what it says, in a tiny run, and draws it."""

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
        module = importlib.import_module("inference")
        patch.setattr(module, "ACTIVATIONS", {"linear": "linear"})
        patch.setattr(module, "LINE", (4, 8, 64))
        patch.setattr(module, "SIZES", (8, 64))
        patch.setattr(module, "MOMENTA", (0.05, 0.5))
        yield module


@pytest.fixture(scope="module")
def tree(script, tmp_path_factory):
    store = tmp_path_factory.mktemp("inference") / "inference.zarr"
    sizes = {"replicas": 4, "batches": 20_000, "updates": 4_000}
    return study.results(script, script.Options(**sizes, store=store))


def test_batches_shift_a_sample_as_the_integral_says(script, tree):
    apart = tree["mean/batches"]["shift"] - tree["mean/exact"]["shift"]
    assert np.abs(study.distances(apart)).max() < 1


def test_linear_students_have_the_closed_gap(script, tree):
    """M γR(1 − E σ_B), of which γR(¾ + 7/(32M)) is left behind M⁻²."""
    gap = tree["gap/students"].to_dataset().load()
    m = gap["batch_size"]
    apart = gap["gap"] - gap["first"] * (1 + 7 / (24 * m))
    assert np.abs(study.distances(apart)).max() < 1


def test_own_statistics_raise_the_loss(script, tree):
    own = tree["own/students"]["added"].sel(share=1.0)
    assert (own > 0).all()
    # With the scale kept: 4.53/M² less 0.28/M² to leading order, by E[(1.25u + ½u³)²]/2.
    assert own.sel(scaling="trained").mean().item() == pytest.approx(4.25, rel=0.25)


def test_claims_are_decided(script, tree):
    decided = {k: study.decide(*pair) for k, pair in script.claims(tree).items()}
    assert decided["own statistics of weight 1/M lower the loss"] == "the opposite"
    assert decided["a sample's part in its batch pulls û in, by E[û|u]"] == "reproduced"


def test_figures_are_drawn_from_the_store(script, tree, tmp_path):
    figures = {name: draw() for name, draw in script.figures(tree).items()}
    assert set(figures) == {"mean", "gap", "loss", "running"}
    for key, figure in figures.items():
        figure.savefig(tmp_path / f"{key}.png", dpi=30)
    mean, gap, loss, running = (figures[k].axes for k in ("mean", "gap", "loss", "running"))
    for found in (tree["mean/exact"]["shift"], tree["mean/batches"]["shift"]):
        assert draws(mean[0], found.sel(batch_size=8))
    assert draws(mean[0], tree["mean/first"]["shift"].isel(batch_size=0))
    assert draws(gap[0], tree["gap/rest"]["gap"].sel(activation="linear"))
    assert draws(gap[0], tree["gap/rest"]["first"].sel(activation="linear"))
    own = tree["own/students"]["added"].isel(batch_size=0).sel(activation="linear")
    for panel, name in enumerate(script.SCALES):
        assert draws(loss[panel], own.sel(scaling=name))
    for found in (tree["running/theory"]["excess"], tree["running/averages"]["excess"]):
        assert draws(running[0], found.isel(growth=0))
