"""Arguments of a right type at a wrong place: messages name the argument and what it got."""

import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import statmech_bn as sbn
from statmech_bn.errors import InvalidSetup

sys.path.insert(0, str(Path(__file__).parent))
from tiny import run, setup, squares

DATA = np.random.default_rng(0).normal(size=(20, 4))
FLOW = {"setup": setup(), "learning_rate": 0.5, "time": [0, 1], "start": sbn.OrderParameters()}
FINITE = {**FLOW, "dimension": 4, "replicas": 1}

WRONG = {
    "text as inputs": (lambda: sbn.Inputs("abc"), "inputs: expected .*got 'abc'.*Give"),
    "text as teacher": (
        lambda: sbn.microscopic(**FINITE, teacher="abc"), "teacher: expected .*got 'abc'"
    ),
    "inputs to the flow": (
        lambda: sbn.macroscopic(**FLOW, inputs=sbn.Inputs(DATA)), "inputs: expected None"
    ),
    "inputs to the chain": (
        lambda: sbn.mesoscopic(**FINITE, inputs=sbn.Inputs(DATA)), "inputs: expected None"
    ),
    "times that fall": (
        lambda: sbn.macroscopic(**{**FLOW, "time": [1, 0]}), "time: expected .*increasing"
    ),
    "another teacher's size": (
        lambda: sbn.microscopic(**FINITE, teacher=np.ones(5)), "teacher: expected"
    ),
    "a list for a mapping": (
        lambda: sbn.plot.final_error([run()]), "panels: expected a mapping"
    ),
    "one mapping too few": (
        lambda: sbn.plot.final_error({"a": [run()]}), "panels: expected a mapping.*nested"
    ),
    "a Dataset for a mapping": (
        lambda: sbn.plot.final_error(run()), "panels: expected mappings of Datasets"
    ),
    "a tree for a Dataset": (
        lambda: sbn.plot.trajectories(xr.DataTree(run())), "results: expected Datasets"
    ),
    "a tree for a run": (
        lambda: sbn.effective_gamma_decay(xr.DataTree(run())), "run: expected Dataset"
    ),
    "a run for losses": (lambda: sbn.loss_minimum(run()), "losses"),
    "a state without its length": (
        lambda: sbn.rates.effective(setup(), run().drop_vars("length"), 0.5),
        "state: expected entries length",
    ),
    "a seed to what takes none": (
        lambda: sbn.sweep(squares, {"learning_rate": [1.0]}, "a.zarr", seed=1), "seed: expected"
    ),
    "a number to be saved": (lambda: sbn.save(3, "a.zarr"), "dataset: expected a Dataset"),
    "labels of other samples": (
        lambda: sbn.geometry.margins(
            sbn.geometry.ReluNetwork.random((2, 3)), DATA[:, :2], np.ones(5)
        ),
        "labels: expected ±1 for each of the 20",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(WRONG))
def test_the_message_names_the_argument(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wrong, message = WRONG[name]
    with pytest.raises(InvalidSetup, match=f"(?s)^{message}"):
        wrong()
    assert not list(tmp_path.iterdir())
