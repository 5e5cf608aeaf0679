"""The scripts on learning rates leave stores from which their figures are drawn.

The notebooks, which are tested too, run all three with the quick preset.
"""

import importlib
from pathlib import Path

import numpy as np
import pytest

import statmech_bn as sbn

FOLDER = Path(__file__).parents[2] / "simulations"


def run(name, folder, monkeypatch, **sizes):
    """Run a script and return it with its options and the names of its figures."""
    monkeypatch.syspath_prepend(FOLDER)
    script = importlib.import_module(name)
    options = script.Options(
        store=folder / "a.zarr", figures=folder / "figures", preset="quick", **sizes
    )
    script.main(options)
    drawn = sorted(path.name for path in options.figures.glob("*.png"))
    return script, options, [path.removesuffix(".png").removeprefix(f"{name}_") for path in drawn]


def test_maximum_learning_rate(tmp_path, monkeypatch):
    script, options, drawn = run(
        "maximum_learning_rate", tmp_path, monkeypatch, dimension=200, replicas=2, rates=3
    )
    assert drawn == ["along_linear", "along_relu", "frontier", "six_decades"]
    with sbn.open(options.store) as tree:
        frontier = tree["frontier/relu/mesoscopic"]
        assert frontier.sizes == {"replica": 2, "batch_size": 3}
        measured = frontier["divergence_rate"].mean("replica").values
        finite = 2 * np.array([1, 8, 32])
        np.testing.assert_allclose(measured, finite, rtol=0.2)  # of order M/N
        along = tree["trajectories/linear/batch/macroscopic"]
        assert along["maximum_rate"].dims == ("learning_rate", "time")
        decades = tree["six_decades/linear/weight/mesoscopic"]
        assert decades["learning_rate"].values[-1] == 1e6
        assert decades["diverged_at"].isnull().all()
        setup = sbn.TeacherStudent.from_attrs(decades.attrs)
        assert setup == script.setup("linear", "weight")


@pytest.mark.slow
def test_late_time(tmp_path, monkeypatch):
    _, options, drawn = run(
        "late_time", tmp_path, monkeypatch, dimension=20, replicas=3, duration=50.0
    )
    assert drawn == ["linear", "relu"]
    with sbn.open(options.store) as tree:
        flow, law = (tree[f"linear/batch/{level}"] for level in ("macroscopic", "asymptote"))
        assert flow["time"].values[-1] == pytest.approx(1e5)
        for name in ("effective_rate", "misalignment", "length_per_root_rate"):
            ends = flow[name].isel(time=-1) / law[name].isel(time=-1)
            np.testing.assert_allclose(ends, 1, rtol=0.01)
        assert tree["linear/batch/smaller"].attrs["dimension"] == 10


@pytest.mark.slow
def test_weight_decay(tmp_path, monkeypatch):
    _, options, drawn = run(
        "weight_decay", tmp_path, monkeypatch, dimension=20, replicas=2, products=1
    )
    assert drawn == ["collapse_linear", "collapse_relu", "equilibrium_linear", "equilibrium_relu"]
    with sbn.open(options.store) as tree:
        last = tree["relu/batch/collapse/macroscopic"].isel(time=-1)
        rest = tree["relu/batch/equilibrium/macroscopic"].isel(decay_product=0)
        for name in ("effective_rate", "misalignment", "length_per_root_rate"):
            np.testing.assert_allclose(last[name], rest[name], rtol=0.01)
