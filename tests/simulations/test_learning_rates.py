"""The simulation scripts run alone and leave a store that says what is in it."""

import importlib
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import tyro

import statmech_bn as sbn
from statmech_bn import study

FOLDER = Path(__file__).parents[2] / "simulations"


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield importlib.import_module("learning_rates")


@pytest.fixture(scope="module")
def options(script, tmp_path_factory):
    """What a tiny run was asked for, after the run."""
    folder = tmp_path_factory.mktemp("learning_rates")
    text = "--preset quick --rates 3 --dimension 200 --replicas 3 --networks 1 --duration 20"
    where = ["--store", str(folder / "learning_rates.zarr"), "--figures", str(folder / "figures")]
    options = tyro.cli(script.Options, args=[*text.split(), *where])
    study.run(script.parts(options), script.figures, options)
    return options


SCRIPTS = sorted(p for p in FOLDER.glob("*.py") if "sbn.study.main(" in p.read_text())


@pytest.mark.parametrize("source", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_explains_its_options(source, monkeypatch, capsys):
    if source.stem.startswith("network_"):
        pytest.importorskip("torch")
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.setattr(sys, "argv", [str(source), "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(source), run_name="__main__")
    assert not ended.value.code
    told = capsys.readouterr()
    assert "--store" in told.out
    for option in ("seed", "figures", "preset", "workers", "scheduler", "resume", "dry-run"):
        assert f"--{option}" in told.out
    assert told.err == ""


@pytest.mark.thorough
def test_the_store_says_what_is_in_it(script, options):
    with sbn.open(options.store) as tree:
        assert {node.path for node in tree.leaves} == {f"/{level}" for level in script.LEVELS}
        for level in script.LEVELS:
            result = tree[level]
            assert result["activation"].values.tolist() == list(script.ACTIVATIONS)
            assert result["student"].values.tolist() == list(script.STUDENTS)
            assert result.attrs["level"] == level
            assert result["overlap"].attrs["symbol"] == "$R$"
            assert result.sizes["learning_rate"] == 3
            assert not np.isnan(result["overlap"]).any()
            described = json.loads(result.attrs["sweep"])
            assert described["function"] == "learning_rates.learn"
            assert described["arguments"]["arguments"]["learning_rate"][0] == 0.15


@pytest.mark.thorough
def test_a_point_is_the_run_that_it_says(script, options):
    setup = script.setup("relu", "batch")
    with sbn.open(options.store) as tree:
        stored = tree["mesoscopic"].to_dataset().sel(activation="relu", student="batch").load()
    again = sbn.mesoscopic(
        setup, stored["learning_rate"], stored["time"], script.START, 200, 3, options.seed
    )
    np.testing.assert_array_equal(stored["overlap"], again["overlap"])


@pytest.mark.thorough
def test_divergence_is_in_the_store(script, options):
    with sbn.open(options.store) as tree:
        for level in script.LEVELS:
            linear = tree[level].sel(activation="linear")
            last = linear.isel(learning_rate=-1)["diverged_at"]
            assert last.sel(student="none").notnull().all()
            assert linear["diverged_at"].sel(student="weight").isnull().all()


@pytest.mark.thorough
def test_figures_are_rebuilt_from_the_store_byte_by_byte(script, options, tmp_path):
    written = sorted(path.name for path in options.figures.iterdir())
    assert len(written) == 2 * 7
    with sbn.open(options.store) as tree:
        figures = script.figures(tree)
    assert written == sorted(f"learning_rates_{n}.{s}" for n in figures for s in ("pdf", "png"))
    for path in sbn.plot.save_figure(figures["final_error"](), tmp_path / "again"):
        first = options.figures / f"learning_rates_final_error{path.suffix}"
        assert path.read_bytes() == first.read_bytes()


@pytest.mark.thorough
def test_a_run_says_where_its_results_are(script, options, monkeypatch, capsys):
    monkeypatch.setattr(script, "figures", lambda _: {})
    study.run(script.parts(options), script.figures, options)  # all of it is there
    printed = capsys.readouterr()
    assert str(options.store) in printed.out
    assert str(options.figures) in printed.out
    assert printed.err == ""  # not a terminal: no progress bar


def test_options_override_the_preset(script):
    assert script.Options(preset="quick", replicas=5).size("replicas") == 5
    assert script.Options(preset="quick").size("rates") == 7
