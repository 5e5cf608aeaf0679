"""A study goes on where it stopped, says what it takes, and leaves alone what is not its own."""

import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.figure import Figure

import statmech_bn as sbn
from statmech_bn.errors import InvalidSetup, InvalidStore

CALLS = []


def power(base, exponent):
    """A function of a grid."""
    CALLS.append((base, exponent))
    return xr.Dataset({"power": float(base) ** exponent})


@dataclass(frozen=True)
class Options(sbn.study.Options):
    presets: ClassVar = {"quick": {"bases": (1, 2)}, "paper": {"bases": (1, 2, 3)}}
    bases: tuple[int, ...] | None = None


def parts(options):
    grid = {"base": options.size("bases")}
    return {
        "squares": (partial(power, exponent=2), grid),
        "deep/cubes": (partial(power, exponent=3), grid),
    }


def figures(tree):
    assert set(tree.children) == {"squares", "deep"}
    return {"one": Figure}


@pytest.fixture
def options(tmp_path):
    CALLS.clear()
    return Options(store=tmp_path / "numbers.zarr", figures=tmp_path, preset="quick", workers=1)


def test_groups_hold_what_was_asked_for(options, capsys):
    tree = sbn.study.run(parts(options), figures, options)
    np.testing.assert_array_equal(tree["squares/power"], [1, 4])
    np.testing.assert_array_equal(tree["deep/cubes/power"], [1, 8])
    assert (options.figures / "numbers_one.pdf").exists()
    assert str(options.store) in capsys.readouterr().out


def test_a_table_of_verdicts_says_its_rule(options, capsys):
    for column, said in (("verdict", True), ("mean", False)):
        table = pd.DataFrame({column: ["not seen"]})
        sbn.study.run(parts(options), figures, options, lambda tree, table=table: {"claims": table})
        printed = capsys.readouterr().out
        assert "claims\n" in printed
        assert ("three standard errors" in printed) == said


def test_plain_xarray_reads_a_study(options):
    """Also one that was damaged and mended: the copies of its metadata are those of today."""
    sbn.study.simulate(parts(options), options)
    before = (options.store / "zarr.json").read_bytes()
    shard = options.store / "deep" / "cubes" / "power" / "c.0"
    shard.write_bytes(b"\1" + shard.read_bytes()[1:])
    sbn.study.simulate(parts(options), options)
    assert (options.store / "zarr.json").read_bytes() == before
    plain = xr.open_datatree(options.store, engine="zarr")  # warnings are errors
    np.testing.assert_array_equal(plain["deep/cubes/power"], [1, 8])
    assert len([file for file in options.store.rglob("*") if file.is_file()]) == 12


def test_what_is_there_is_not_computed_again(options):
    sbn.study.simulate(parts(options), options)
    assert len(CALLS) == 4
    sbn.study.simulate(parts(options), options)
    assert len(CALLS) == 4


def test_without_resuming_it_begins_anew(options):
    sbn.study.simulate(parts(options), options)
    again = Options(**{**vars(options), "resume": False, "bases": (5,)})
    tree = sbn.study.simulate(parts(again), again)
    np.testing.assert_array_equal(tree["squares/power"], [25])


def test_a_store_of_other_sizes_is_refused(options):
    sbn.study.simulate(parts(options), options)
    other = Options(**{**vars(options), "preset": "paper"})
    with pytest.raises(InvalidStore, match="base"):
        sbn.study.simulate(parts(other), other)
    np.testing.assert_array_equal(sbn.open(options.store)["squares/power"], [1, 4])


def test_a_dry_run_stores_nothing(options, capsys):
    dry = Options(**{**vars(options), "dry_run": True})
    assert sbn.study.run(parts(dry), figures, dry) is None
    assert not options.store.exists()
    printed = capsys.readouterr().out
    assert "squares: 2 points (2 base)" in printed
    assert "deep/cubes" in printed


@pytest.mark.parametrize("name", ["study.csv", "study.nc"])
def test_a_store_is_not_called_like_a_file_of_another_format(options, name):
    asked = Options(**{**vars(options), "store": options.store.with_name(name)})
    with pytest.raises(InvalidSetup, match="a name for a folder"):
        sbn.study.simulate(parts(asked), asked)
    assert not asked.store.exists()
    options.store.symlink_to(asked.store)
    with pytest.raises(InvalidSetup, match="a name for a folder"):
        sbn.study.simulate(parts(options), options)


def test_a_script_says_what_is_wrong_without_a_traceback(options, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["study.py", "--store", str(options.store), "--workers", "0"])
    with pytest.raises(SystemExit, match=r"^study.py: InvalidSetup: workers: expected.*got 0"):
        sbn.study.main("Powers.", Options, parts, figures)


def test_other_folders_are_left_alone(options):
    options.store.mkdir()
    (options.store / "thesis.txt").write_text("important")
    for resume in (True, False):
        asked = Options(**{**vars(options), "resume": resume})
        with pytest.raises(InvalidStore, match="left alone"):
            sbn.study.simulate(parts(asked), asked)
    assert (options.store / "thesis.txt").read_text() == "important"


def test_scripts_begin_with_the_shared_options():
    assert Options(preset="paper").size("bases") == (1, 2, 3)
    assert Options().size("bases") == (1, 2)
    assert Options(bases=(7,)).size("bases") == (7,)
    assert isinstance(Options().store, Path)


def test_presets_have_stores_of_their_own(tmp_path):
    assert Options(preset="paper").store == Path("results/study.zarr")
    assert Options().store == Path("results/quick/study.zarr")
    assert Options().figures == Path("results/quick/figures")
    given = tmp_path / "mine.zarr"
    assert Options(store=given).store == given


SCRIPT = """
'''Small numbers.'''
import numpy as np
import statmech_bn as sbn
import xarray as xr
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options(sbn.study.Options):
    store: Path = Path("results/small.zarr")


def double(base):
    print("computed")
    return xr.Dataset({"double": 2.0 * base})


def parts(options):
    return {"doubles": (double, {"base": [1, 2]})}


def figures(tree):
    return {}


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures)
"""


@pytest.mark.thorough
def test_the_store_of_a_script_is_that_of_who_loads_it(tmp_path, capsys, monkeypatch):
    """The store made by a command is complete for `load`, and the other way round."""
    script = tmp_path / "simulations" / "small_study.py"
    script.parent.mkdir()
    script.write_text(SCRIPT)
    store = tmp_path / "results" / "small.zarr"
    command = [sys.executable, script, "--store", store, "--figures", tmp_path, "--workers", "1"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "computed" in printed
    assert printed.splitlines()[1].startswith("small_study.py (quick): Small numbers.")
    assert printed.splitlines()[-1].startswith("next: ")
    monkeypatch.setattr(sys, "path", list(sys.path))
    loaded = sbn.study.load("small_study", tmp_path / "notebooks")
    again = sbn.study.results(loaded, loaded.Options(store=store, workers=1))
    np.testing.assert_array_equal(again["doubles/double"], [2, 4])
    assert "computed" not in capsys.readouterr().out
    other = tmp_path / "other.zarr"
    sbn.study.results(loaded, loaded.Options(store=other, workers=1))
    command[3] = other
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "computed" not in done.stdout
    np.testing.assert_array_equal(sbn.study.results(loaded)["doubles/double"], [2, 4])


def test_a_script_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InvalidSetup, match="no_such_study"):
        sbn.study.load("no_such_study", tmp_path)
