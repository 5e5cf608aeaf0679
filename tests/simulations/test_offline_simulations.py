"""The scripts of finite training sets: tiny runs, their stores, tables and figures."""

import importlib
from pathlib import Path

import numpy as np
import pytest

import statmech_bn as sbn

FOLDER = Path(__file__).parents[2] / "simulations"
TINY = {
    "generalization": {"loads": (1.2, 4.0), "dimension": 60, "replicas": 3, "epochs": 20},
    "batch_size": {"sizes": (3, 6, 12), "dimension": 30, "replicas": 3, "epochs": 20},
    "large_learning_rate": {"rates": 3, "dimension": 140, "replicas": 3, "epochs": 30},
}


@pytest.fixture(scope="module", params=TINY)
def run(request, tmp_path_factory):
    """Name, module and store of a tiny run."""
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        script = importlib.import_module(request.param)
        options = script.Options(
            store=folder / "a.zarr", figures=folder / "figures", **TINY[request.param]
        )
        script.main(options)
        yield request.param, script, options


def test_a_store_holds_results_with_their_setups(run):
    with sbn.open(run[2].store) as tree:
        simulations = [node for node in tree.leaves if node.name == "simulation"]
        assert simulations
        for node in simulations:
            error = node["generalization_error"]
            assert np.isfinite(error).all()
            assert error.attrs["symbol"] == r"$\varepsilon_g$"
            setup = sbn.TeacherStudent.from_attrs(node.attrs)
            assert setup.label_noise == run[1].LABEL_NOISE


def test_figures_are_written(run):
    name, _, options = run
    assert sorted(path.name for path in options.figures.iterdir()) == [
        f"{name}_error.pdf",
        f"{name}_error.png",
    ]


def test_the_table_can_be_made_from_the_store(run):
    name, script, options = run
    with sbn.open(options.store) as tree:
        table = script.markdown(tree["table"].to_dataset() if name == "generalization" else tree)
    lines = [line for line in table.splitlines() if line.startswith("|")]
    assert len(lines) > 3
    assert len({line.count("|") for line in lines}) == 1
    assert "nan" not in table
