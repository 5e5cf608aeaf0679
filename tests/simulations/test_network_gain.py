"""Gains of networks: what is exact is exact, and verdicts follow the numbers."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from statmech_bn import study

torch = pytest.importorskip("torch")

sys.path.insert(0, str(Path(__file__).parent))
from drawn import draws  # noqa: E402

pytestmark = pytest.mark.thorough

FOLDER = Path(__file__).parents[2] / "simulations"
TINY = {
    "depth": 2, "channels": 4, "samples": 64, "epochs": 1, "replicas": 3,
    "gains": (0.25, 1.0, 4.0), "rates": (0.1, 0.3),
}  # fmt: skip


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield importlib.import_module("network_gain")


@pytest.fixture(scope="module")
def tree(script, tmp_path_factory):
    store = tmp_path_factory.mktemp("gain") / "network_gain.zarr"
    with study.results(script, script.Options(**TINY, store=store)) as tree:
        yield tree


def test_a_gain_is_a_learning_rate_bit_for_bit(tree):
    scaled, run = (tree[name].to_dataset().load() for name in ("scaled", "training"))
    plain = run.sel(normalization="batch", gain=1.0, learning_rate=[0.3])
    for gain in scaled["gain"].values:
        for name in ("training_loss", "test_accuracy"):
            np.testing.assert_array_equal(scaled[name].sel(gain=gain), plain[name])
    assert float(plain["training_loss"].std()) > 0


def test_the_first_pass_and_step(tree):
    start = tree["start"].to_dataset().load()
    normalized, plain = (start.sel(normalization=n) for n in ("batch", "none"))
    assert (normalized["exact_change"] == 0).all()
    step = normalized["relative_step"] * normalized["gain"] ** 2
    np.testing.assert_allclose(step / step.sel(gain=1.0), 1, rtol=1e-6)
    # Two layers without normalization multiply outputs by a².
    change = plain["output_change"].transpose("gain", "replica")
    expected = np.abs(plain["gain"] ** 2 - 1).values[:, None]
    np.testing.assert_allclose(change, np.broadcast_to(expected, change.shape), rtol=1e-5)


def test_the_effective_rate_is_that_of_the_length(script):
    found = {
        gain: script.train("batch", gain, 1e-9, 0, 2, 4, 64, 1, 0)["effective_rate"].item()
        for gain in (0.5, 2.0)
    }
    assert found[0.5] == pytest.approx(4e-9, rel=1e-4)
    assert found[2.0] == pytest.approx(2.5e-10, rel=1e-4)


def test_verdicts_say_what_the_numbers_do(script, tree):
    said = script.verdicts(tree)
    exact = said.loc[said.index.str.contains("a²ε")]
    assert (exact["verdict"] == "reproduced").all()
    assert (exact["mean"] == 0).all()
    assert said["verdict"].filter(like="power of the gain").item() == "reproduced"
    broken = {name: tree[name].to_dataset().load() for name in tree.children}
    at = broken["scaled"]["gain"] == 4.0
    loss = broken["scaled"]["training_loss"]
    broken["scaled"]["training_loss"] = loss.where(~at, loss + 0.1)
    said = script.verdicts(type(tree).from_dict(broken))
    row = said.loc["BN with a²η, a²ε: largest change of the trained loss"]
    assert row["verdict"] == "with a correction"
    assert row["mean"] == pytest.approx(0.1)


def test_figures_are_drawn_from_the_store(script, tree, tmp_path):
    figures = {name: draw() for name, draw in script.figures(tree).items()}
    assert set(figures) == {"start", "training"}
    for key, figure in figures.items():
        figure.savefig(tmp_path / f"{key}.png", dpi=30)
        assert figure.legends
    start, run, scaled = script.opened(tree)
    axes = figures["training"].axes
    for panel, name in enumerate(script.NORMALIZATIONS):
        accuracy = run["test_accuracy"].sel(normalization=name, learning_rate=0.1)
        assert draws(axes[panel], accuracy)
    assert draws(axes[2], scaled["test_accuracy"].isel(learning_rate=0))
    assert draws(axes[3], run["effective_rate"].sel(normalization="batch", learning_rate=0.3))
    for name in script.NORMALIZATIONS:
        for panel, shown in enumerate(("relative_step", "output_change")):
            found = start[shown].sel(normalization=name)
            found = found if panel == 0 else found.where(found["gain"] != 1, drop=True)
            assert draws(figures["start"].axes[panel], found)
