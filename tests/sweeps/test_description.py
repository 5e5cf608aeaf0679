"""Two calls that differ in anything that a result follows from are two sweeps."""

import json
from functools import partial

import numpy as np
import pytest
import studies

import statmech_bn as sbn
from statmech_bn.errors import InvalidStore

TEXT = (
    "{head}\n\ndef f(a, b, c=None):\n    {line}\n    return xr.Dataset({{'y': 10.0 * g(a) + b}})\n"
)


def made(head="", line="", inner="1.0 * a * K", constant="2"):
    """Return a function of a module that does not exist twice."""
    names = {"__name__": "studies_made"}
    exec(f"import xarray as xr\nK = {constant}\ndef g(a):\n    return {inner}\n", names)
    exec(TEXT.format(head=head, line=line or "pass"), names)
    return names["f"]


GRID = {"a": [1, 2, 3], "b": [4, 5, 6]}


@pytest.mark.parametrize(
    ("function", "grid", "told"),
    [
        (made(), {"b": GRID["b"], "a": GRID["a"]}, "order of axes"),
        (made(), {**GRID, "a": [2, 1, 3]}, "grid.a"),
        (made(), {**GRID, "a": [1.0, 2.0, 3.0]}, "grid.a"),
        (made(), {**GRID, "a": np.array([1, 2, 3], "int16")}, "kinds.grid.a"),
        (made(inner="2.0 * a * K"), GRID, r"code.g\(\)"),
        (made(line="a = a + 1"), GRID, r"code.f\(\)"),
        (made(constant="3"), GRID, "code.K"),
        (made(constant="[3]", inner="a * K[0]"), GRID, "code.K"),
        (partial(made(), c=np.ones(2)), GRID, r"arguments\.c"),
    ],
)
def test_what_differs_is_refused(tmp_path, digest, function, grid, told):
    path = tmp_path / "run.zarr"
    sbn.sweep(made(), GRID, path, workers=1)
    before = digest(path)
    sbn.sweep(made(line="pass  # the same"), GRID, path, workers=1)
    with pytest.raises(InvalidStore, match=told):
        sbn.sweep(function, grid, path, workers=1)
    assert digest(path) == before


def test_stores_of_older_descriptions_go_on(tmp_path):
    path = tmp_path / "run.zarr"
    wanted = sbn.sweep(studies.nap, {"x": range(3)}, path, workers=1).load()
    metadata = json.loads((path / "zarr.json").read_text())
    older = json.loads(metadata["attributes"]["sweep"])
    del older["code"], older["kinds"]
    metadata["attributes"]["sweep"] = json.dumps(older)
    (path / "zarr.json").write_text(json.dumps(metadata))
    (path / "z" / "c" / "1").unlink()
    found = sbn.sweep(studies.nap, {"x": range(3)}, path, workers=1).load()
    np.testing.assert_array_equal(found.z, wanted.z)
