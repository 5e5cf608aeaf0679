"""The scripts on learning rates leave stores from which their figures are drawn.

The notebooks, which are tested too, run all three with the quick preset.
"""

import importlib
from pathlib import Path

import numpy as np
import pytest

import statmech_bn as sbn
from statmech_bn import study

pytestmark = pytest.mark.thorough

FOLDER = Path(__file__).parents[2] / "simulations"


def run(name, folder, monkeypatch, **sizes):
    """Run a script and return its options and the names of its figures."""
    monkeypatch.syspath_prepend(FOLDER)
    script = importlib.import_module(name)
    options = script.Options(
        store=folder / f"{name}.zarr", figures=folder / "figures", preset="quick", **sizes
    )
    study.run(script.parts(options), script.figures, options)
    drawn = sorted(path.name for path in options.figures.glob("*.png"))
    return options, [path.removesuffix(".png").removeprefix(f"{name}_") for path in drawn]


def test_maximum_learning_rate(tmp_path, monkeypatch):
    options, drawn = run(
        "maximum_learning_rate", tmp_path, monkeypatch, dimension=200, replicas=2, rates=7
    )
    assert drawn == ["along_linear", "along_relu", "frontier", "six_decades"]
    with sbn.open(options.store) as tree:
        theory, chain = (tree[f"frontier/{level}"] for level in ("macroscopic", "mesoscopic"))
        assert chain.sizes == {"activation": 2, "batch_size": 3, "replica": 2}
        np.testing.assert_allclose(theory["divergence_rate"], [[2, 16, 64]] * 2)
        measured = chain["divergence_rate"].mean("replica")
        np.testing.assert_allclose(measured, theory["divergence_rate"], rtol=0.2)  # of order M/N
        along = tree["trajectories/macroscopic"].sel(activation="linear", student="batch")
        assert along["maximum_rate"].dims == ("learning_rate", "time")
        effective = along["learning_rate"] * along["gamma"] / along["length"] ** 2
        np.testing.assert_allclose(along["effective_rate"], effective)
        decades = tree["six_decades/mesoscopic"]
        assert decades["learning_rate"].values[-1] == 1e6
        assert decades["diverged_at"].isnull().all()
        for level in ("macroscopic", "mesoscopic"):
            diverged = tree[f"three_decades/{level}"]["diverged_at"].notnull()
            assert (diverged == (diverged["learning_rate"] > 16)).all()


@pytest.mark.slow
def test_late_time(tmp_path, monkeypatch):
    options, drawn = run(
        "late_time", tmp_path, monkeypatch, dimension=20, replicas=3, duration=50.0
    )
    assert drawn == ["linear", "relu"]
    with sbn.open(options.store) as tree:
        flow, law = (tree[group].to_dataset() for group in ("macroscopic", "asymptote"))
        assert flow["time"].values[-1] == pytest.approx(1e5)
        for name in ("effective_rate", "misalignment", "length_per_root_rate"):
            ends = flow[name].isel(time=-1) / law[name].isel(time=-1)
            np.testing.assert_allclose(ends, 1, rtol=0.01)
        assert tree["smaller"].attrs["dimension"] == 10


@pytest.mark.slow
def test_weight_decay(tmp_path, monkeypatch):
    options, drawn = run(
        "weight_decay", tmp_path, monkeypatch, dimension=20, replicas=2, products=1
    )
    assert drawn == ["collapse_linear", "collapse_relu", "equilibrium_linear", "equilibrium_relu"]
    with sbn.open(options.store) as tree:
        last = tree["collapse"].to_dataset().isel(time=-1)
        rest = tree["equilibrium/macroscopic"].to_dataset().isel(decay_product=0)
        for name in ("effective_rate", "misalignment", "length_per_root_rate"):
            np.testing.assert_allclose(last[name], rest[name], rtol=0.01)
