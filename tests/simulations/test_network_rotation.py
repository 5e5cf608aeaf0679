"""Turning weights: angles by the lengths alone, a tiny study, verdicts of made-up angles."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from statmech_bn import study

pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parent))
from drawn import draws

pytestmark = pytest.mark.thorough

FOLDER = Path(__file__).parents[2] / "simulations"


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        script = importlib.import_module("network_rotation")
        patch.setattr(script, "RELAXATIONS", 1.0)
        patch.setattr(script, "SAMPLES", 64)
        yield script


def test_a_tiny_study(script, tmp_path):
    options = script.Options(store=tmp_path / "tiny.zarr", decays=(0.04, 0.08), replicas=2)
    tree = study.results(script, options)
    figures = {name: draw() for name, draw in script.figures(tree).items()}
    for name, figure in figures.items():
        figure.savefig(tmp_path / f"{name}.png", dpi=30)
        assert figure.legends
    ratio = tree["rest"].to_dataset()["angle_ratio"]
    for layer in ratio["layer"].values:
        shown = ratio.sel(layer=layer, momentum=0.9)
        assert draws(figures["rest"].axes[layer - 1], shown)
    assert (ratio > 0).all()
    np.testing.assert_allclose(tree["rest"].to_dataset()["balance"].sel(momentum=0.0), 1, 0.05)
    assert script.tables(tree)["verdicts"].notna().all(axis=None)


def test_angles_follow_from_lengths(script):
    """A step from w is −ηλw and one orthogonal to w: cos θ = (1 − ηλ)|w|/|w'|."""
    decay = 0.05
    squares, angles = script.followed(decay, 0.0, seed=2)
    cosine = (1 - script.RATE * decay) * np.sqrt(squares[:-1] / squares[1:])
    np.testing.assert_allclose(np.cos(angles[1:]), cosine, atol=2e-6)
    assert angles.min() > 1e-3


def test_verdicts_say_what_the_numbers_do(script):
    noise = 1e-2 * np.random.default_rng(0).standard_normal((3, 1, 1, 8))
    dims = ("layer", "weight_decay", "momentum", "replica")
    time = np.linspace(0, 4, 5)
    for mean, rate, said in ((1.0, 1.0, "reproduced"), (0.9, 0.5, "with a correction")):
        found = xr.Dataset({name: (dims, mean + noise) for name in ("angle_ratio", "balance")})
        way = np.sqrt(1 + 3 * np.exp(-rate * time)[:, None] * (1 + noise[..., None, :]))
        lengths = xr.Dataset(
            {"length_square": ((*dims[:3], "relaxation", "replica"), way)}, {"relaxation": time}
        )
        tree = xr.DataTree.from_dict({"rest": found, "approach": lengths})
        decided = [study.decide(*pair) for pair in script.claims(tree).values()]
        assert decided == [said] * 3
