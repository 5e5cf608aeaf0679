"""Numbers, tables and verdicts come from the stores, and say which script makes a missing one."""

import math
import re

import numpy as np
import pytest
import sympy as sp
import xarray as xr

import statmech_bn as sbn
from paper import equations, numbers, stores
from paper.experiments import exploding_updates as exploding
from paper.number import Claim, judged, number, power, setting
from paper.stores import make_missing, open_store
from statmech_bn.errors import InvalidSetup, InvalidStore

RATES = [400.0, 1000.0, 5000.0]


def exploding_updates(exponent, path):
    """Save a store of fields that grow by a power of η."""
    jitter = np.array([-0.01, 0.0, 0.01])
    growth = {"none": exponent + jitter, "batch": 0.01 * jitter}
    values = [np.multiply.outer(slopes, np.log(RATES)) for slopes in growth.values()]
    step = xr.Dataset(
        {
            "growth": (("normalization", "replica", "learning_rate"), values),
            "channel_mean": (("layer",), np.ones(4)),
        },
        {"normalization": list(growth), "learning_rate": RATES},
        {"sweep_complete": 1},
    )
    steps = np.ones((2, 2, 2, 3))
    steps[1] = 3.0
    largest = xr.Dataset(
        {"largest_step": (("normalization", "depth", "factor", "replica"), steps)},
        {"normalization": list(growth), "depth": [1, 8], "factor": [1.0, 2.0]},
        {"sweep_complete": 1},
    )
    tree = xr.DataTree.from_dict({"/step": step, "/largest": largest})
    sbn.save(tree, path / "exploding_updates.zarr")


@pytest.fixture
def one_experiment(monkeypatch):
    monkeypatch.setattr(stores, "EXPERIMENTS", ("exploding_updates",))
    monkeypatch.setattr(stores, "OPTIONAL", {})


def read(build):
    """Return the macros by key, and the table of claims."""
    folder = build / "generated"
    macros = (folder / "numbers.tex").read_text()
    found = dict(re.findall(r"\\defineval\{([^}]*)\}\{(.*)\}", macros))
    return found, (folder / "claims.tex").read_text()


def test_a_changed_store_changes_text_and_table(one_experiment, tmp_path):
    build = tmp_path / "build"
    exploding_updates(2.0, tmp_path)
    numbers.write(tmp_path, build)
    first, table = read(build)
    exploding_updates(1.5, tmp_path)
    numbers.write(tmp_path, build)
    second, changed_table = read(build)
    key = "exploding_updates/none/exponent"
    assert first[key] == r"\num{2.000(6)}"
    assert second[key] == r"\num{1.500(6)}"
    verdicts = {"claims/holds", "claims/corrected"}
    assert {k for k in first if first[k] != second[k]} == {key, *verdicts}
    assert r"holds & growth per layer $=\num{2.000(6)}\ln\eta" in table
    assert r"corrected & growth per layer $=\num{1.500(6)}\ln\eta" in changed_table


@pytest.mark.parametrize(
    ("exponent", "verdict"),
    [(2.0, "holds"), (1.8, "corrected"), (-1.0, "opposite"), (0.0, "fails")],
)
def test_a_claim_comes_to_what_its_store_says(exponent, verdict, tmp_path):
    exploding_updates(exponent, tmp_path)
    with open_store("exploding_updates", tmp_path) as tree:
        assert exploding.claims(tree)[0].verdict == verdict


def test_few_replicas_are_named():
    values = xr.DataArray([0.9, 1.0, 1.1], dims="replica")
    assert judged("it rains", "Luo2019", "drops", "1", values).number == "1 (few replicas)"
    assert judged("it rains", "Luo2019", "drops", "1", xr.DataArray(1.0)).number == "1"


def test_the_same_store_gives_the_same_bytes(one_experiment, tmp_path):
    exploding_updates(2.0, tmp_path)
    written = []
    for build in (tmp_path / "one", tmp_path / "two"):
        numbers.write(tmp_path, build)
        written.append({p.name: p.read_bytes() for p in (build / "generated").iterdir()})
    names = ("numbers", "claims", "criteria", "runs", "optional")
    assert set(written[0]) == {f"{name}.tex" for name in names}
    assert written[0] == written[1]


def test_an_optional_section_appears_where_there_is_pytorch(monkeypatch, tmp_path):
    monkeypatch.setattr(stores, "EXPERIMENTS", ())
    for module in (stores, numbers):
        monkeypatch.setattr(module, "OPTIONAL", {"more": ("exploding_updates",)})
    optional = tmp_path / "build" / "generated" / "optional.tex"
    monkeypatch.setattr(stores, "find_spec", lambda name: None)
    numbers.write(tmp_path, tmp_path / "build")
    assert r"\input" not in optional.read_text()
    monkeypatch.setattr(stores, "find_spec", lambda name: object())
    with pytest.raises(InvalidStore, match=r"python simulations/exploding_updates\.py"):
        numbers.write(tmp_path, tmp_path / "build")
    exploding_updates(2.0, tmp_path)
    numbers.write(tmp_path, tmp_path / "build")
    assert r"\input{sections/more}" in optional.read_text()
    found, table = read(tmp_path / "build")
    assert "exploding_updates/deep" in found
    assert r"\ln\eta" not in table
    assert r"M1 & " in (tmp_path / "build" / "generated" / "more.tex").read_text()


def test_a_missing_store_names_its_script(tmp_path):
    with pytest.raises(InvalidStore, match=r"python simulations/gamma_decay\.py"):
        open_store("gamma_decay", tmp_path)


def test_an_unfinished_store_names_its_script(tmp_path):
    exploding_updates(2.0, tmp_path)
    tree = sbn.open(tmp_path / "exploding_updates.zarr").load()
    tree["largest"].attrs["sweep_complete"] = 0
    sbn.save(tree, tmp_path / "unfinished.zarr")
    with pytest.raises(InvalidStore, match=r"/largest.*python simulations/unfinished\.py"):
        open_store("unfinished", tmp_path)


def test_missing_stores_are_made_by_the_quick_preset(monkeypatch, tmp_path):
    ran = []
    monkeypatch.setattr(stores, "EXPERIMENTS", ("exploding_updates", "late_time"))
    monkeypatch.setattr(stores, "OPTIONAL", {})
    monkeypatch.setattr(stores.subprocess, "run", lambda command, check: ran.append(command))
    exploding_updates(2.0, tmp_path)
    make_missing(tmp_path)
    [command] = ran
    assert [command[1].name, *command[2:4]] == ["late_time.py", "--preset", "quick"]
    assert tmp_path / "quick" / "late_time.zarr" in command


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.74382, 0.0049, "0.744(5)"),
        (2.0, 0.0151, "2.000(15)"),
        (-0.001, 0.02, "0.00(2)"),
        (120.3, 14.0, "120(14)"),
        (0.9996, 0.00098, "0.9996(10)"),
        (0.5, None, "0.500"),
        (1234.5, None, "1230"),
        (2.34e-16, None, "2.34e-16"),
    ],
)
def test_a_number_is_rounded_to_its_error(value, error, text):
    assert number(value, error) == rf"\num{{{text}}}"


def test_a_hole_in_a_store_is_no_number():
    with pytest.raises(InvalidStore, match="hole"):
        number(math.nan)
    with pytest.raises(InvalidStore, match="hole"):
        number(1.0, math.inf)


def test_settings_and_powers():
    assert (setting(0.50), power(1e6)) == (r"\num{0.5}", "$10^{6}$")


def test_a_verdict_is_one_of_the_known():
    with pytest.raises(InvalidSetup, match="verdict"):
        Claim("it rains", "Luo2019", "drops", "perhaps", "1")


def test_sums_begin_with_what_is_positive_and_roots_stand_under_one_sign():
    s = sbn.symbolic
    assert equations.signed(s.gamma**2 - s.R * s.gamma + 1) == r"1 + \gamma^{2} - R \gamma"
    root = equations.roots(s.gamma * sp.sqrt(2 * s.eta / s.M))
    assert root == r"\gamma \sqrt{\frac{2 \eta}{M}}"
