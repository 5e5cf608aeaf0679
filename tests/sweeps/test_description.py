"""Two calls that differ in anything that a result follows from are two sweeps."""

import importlib
import json
import sys
from functools import partial
from importlib.metadata import version

import numpy as np
import pytest
import studies

import statmech_bn as sbn
from statmech_bn.errors import InvalidStore
from statmech_bn.sweeps.description import describe_sweep
from statmech_bn.sweeps.grid import Grid

TEXT = (
    "{head}\n\ndef f(a, b, c=None):\n    {line}\n    return xr.Dataset({{'y': 10.0 * g(a) + b}})\n"
)


def made(head="", line="", inner="1.0 * a * K", constant="2"):
    """Return a function of a module that does not exist twice."""
    names = {"__name__": "studies_made"}
    exec(f"import xarray as xr\nK = {constant}\ndef g(a):\n    return {inner}\n", names)
    exec(TEXT.format(head=head, line=line or "pass"), names)
    return names["f"]


def counted(x, text, scale, seed=0, workers=None, progress=None):
    """Take what counts, and what by convention does not."""


def test_a_description_in_full():
    grid = Grid.of({"x": [1, 2], "text": ["a", "bc"]})
    function = partial(counted, scale=np.float32(2), workers=3, progress=True)
    found = describe_sweep(function, grid, 5, None)
    assert "counted()" in found.pop("code")
    assert found == {
        "function": f"{__name__}.counted",
        "arguments": {"scale": 2.0},
        "grid": {"x": [1, 2], "text": ["a", "bc"]},
        "seed": 5,
        "chunk_points": None,
        "versions": {name: version(name) for name in ("statmech_bn", "numpy", "scipy", "numba")},
        "kinds": {
            "grid": {"x": "int64", "text": "str"},
            "arguments": {"scale": "numpy.float32 float32"},
        },
        "python": "{}.{}".format(*sys.version_info),
    }


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


BEFORE, AFTER = "1.0", "2.0"
KINDS = {
    "a method": "class C:\n def g(self, a): return X * a\ng = C().g",
    "the state of an object": "class C:\n def __init__(self): self.k = X\n"
    " def g(self, a): return self.k * a\ng = C().g",
    "slots": "class C:\n __slots__ = ('k',)\n def g(self, a): return self.k * a\n"
    "c = C()\nc.k = X\ndef g(a): return c.g(a)",
    "a class that is called": "class C:\n def __call__(self, a): return X * a\ng = C()",
    "an attribute of a class": "class C:\n k = X\n def g(self, a): return self.k * a\ng = C().g",
    "a static method": "class C:\n @staticmethod\n def g(a): return X * a\ng = C.g",
    "a class method": "class C:\n @classmethod\n def g(cls, a): return X * a\ng = C.g",
    "a property": "class C:\n @property\n def k(self): return X\nc = C()\ndef g(a): return c.k * a",
    "a base class": "class B:\n def g(self, a): return X * a\nclass C(B): pass\ng = C().g",
    "a closure": "def make(k):\n def g(a): return k * a\n return g\ng = make(X)",
    "a closure of functions": "def make(k):\n def g(a): return k(a)\n return g\n"
    "g = make(lambda a: X * a)",
    "a nested function": "def g(a):\n def h(b=X): return b * a\n return h()",
    "a lambda": "g = lambda a: X * a",
    "one of two lambdas": "h = lambda a: X * a\nk = lambda a: a\ndef g(a): return k(h(a))",
    "a partial": "from functools import partial\ndef h(k, a): return k * a\ng = partial(h, X)",
    "a default": "def g(a, k=X): return k * a",
    "a default of keywords": "def g(a, *, k=X): return k * a",
    "a default that is a list": "def g(a, k=[X]): return k[0] * a",
    "a default that is a function": "h = lambda a: X * a\ndef g(a, k=h): return k(a)\ndel h",
    "a remembered function": "from functools import cache\n@cache\ndef g(a): return X * a",
    "a decorated function": "def twice(h):\n def w(a): return X * h(a)\n return w\n"
    "@twice\ndef g(a): return a",
    "a function of NumPy": "import numpy as np\n@np.vectorize\ndef g(a): return X * a",
    "a global": "k = X\ndef g(a): return k * a",
    "a set": "k = {X}\ndef g(a): return max(k) * a",
    "bytes": "k = str(X).encode()\ndef g(a): return float(k) * a",
    "an array": "import numpy as np\nk = np.full(3, X)\ndef g(a): return k[0] * a",
    "a DataArray": "k = xr.DataArray([X])\ndef g(a): return float(k[0]) * a",
    "functions in a dict": "k = {'h': lambda a: X * a}\ndef g(a): return k['h'](a)",
    "an object in a list": "class C:\n def __init__(self): self.k = X\n"
    "k = [C()]\ndef g(a): return k[0].k * a",
    "an expression": "import sympy as sp\nk = X * sp.Symbol('k')\n"
    "def g(a): return a * float(k.subs('k', 1))",
    "an enumeration": "import enum\nclass E(enum.Enum):\n K = X\ndef g(a): return E.K.value * a",
    "a dataclass": "from dataclasses import dataclass\n@dataclass\nclass C:\n k: float\n"
    " def g(self, a): return self.k * a\nc = C(X)\ndef g(a): return c.g(a)",
    "a module": "import inner_made\ndef g(a): return inner_made.h(a)",
    "a name of a module": "from inner_made import h\ndef g(a): return h(a)",
    "an import inside": "def g(a):\n from inner_made import h\n return h(a)",
    "a module inside": "def g(a):\n import inner_made as i\n return i.h(a)",
    "a module of a package": "import outer_made\ndef g(a): return outer_made.inner.h(a)",
}


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Return the function of a module that is written, with a constant, and imported anew."""
    (tmp_path / "modules").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "modules")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # files of one second have one stamp

    def write(text, constant):
        for name in ("made_study", "inner_made", "outer_made"):
            sys.modules.pop(name, None)
        head = f"import xarray as xr\nX = {constant}\n"
        (tmp_path / "modules" / "inner_made.py").write_text(f"def h(a): return {constant} * a\n")
        (tmp_path / "modules" / "outer_made.py").write_text("import inner_made as inner\n")
        body = "\ndef f(a, b): return xr.Dataset({'y': g(a) + b})\n"
        (tmp_path / "modules" / "made_study.py").write_text(
            (head + text + body).replace("X *", f"{constant} *")
        )
        importlib.invalidate_caches()
        return importlib.import_module("made_study").f

    yield write
    for name in ("made_study", "inner_made", "outer_made"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_a_result_follows_from_is_seen(tmp_path, written, kind):
    path, grid = tmp_path / "run.zarr", {"a": [1.0], "b": [0.0]}
    assert sbn.sweep(written(KINDS[kind], BEFORE), grid, path, workers=1).y == 1
    again = written(KINDS[kind], BEFORE)
    sbn.sweep(again, grid, path, workers=1)
    other = written(KINDS[kind], AFTER)
    with pytest.raises(InvalidStore, match=r"code\."):
        sbn.sweep(other, grid, path, workers=1)
    assert sbn.sweep(other, grid, tmp_path / "other.zarr", workers=1).y == 2


ARGUMENTS = {
    "a function": "def h(a): return X * a\nf = partial(f, g=h)",
    "an object": "class C:\n def __call__(self, a): return X * a\nC = dataclass(C)\n"
    "f = partial(f, g=C())",
    "a list": "def h(a): return X * a\nf = partial(f, g=[h])",
}


@pytest.mark.parametrize("kind", ARGUMENTS)
def test_the_code_of_arguments_is_seen(tmp_path, written, kind):
    def function(constant):
        head = "from functools import partial\nfrom dataclasses import dataclass\n"
        call = "g[0](a)" if kind == "a list" else "g(a)"
        head += f"def f(a, g): return xr.Dataset({{'y': {call}}})\n"
        written(head + ARGUMENTS[kind] + "\nswept = f", constant)
        return sys.modules["made_study"].swept

    path = tmp_path / "run.zarr"
    sbn.sweep(function(BEFORE), {"a": [1.0]}, path, workers=1)
    sbn.sweep(function(BEFORE), {"a": [1.0]}, path, workers=1)
    with pytest.raises(InvalidStore, match=r"code\."):
        sbn.sweep(function(AFTER), {"a": [1.0]}, path, workers=1)


MEMOS = [
    "k = {}\ndef g(a):\n k[a] = a\n return a",
    "from functools import cache\n@cache\ndef g(a): return a",
    "class C:\n def __init__(self): self.k = {}\n def g(self, a):\n  self.k[a] = a\n  return a\n"
    "g = C().g",
    "from functools import cached_property\nclass C:\n @cached_property\n def k(self): return 1.0\n"
    "c = C()\ndef g(a): return c.k * a",
    "import threading, logging\nk, l = threading.Lock(), logging.getLogger()\n"
    "def g(a):\n with k:\n  l.debug('a')\n  return a",
]


@pytest.mark.parametrize("text", MEMOS)
def test_what_is_only_remembered_does_not_count(tmp_path, written, text):
    function, path = written(text, BEFORE), tmp_path / "run.zarr"
    for _ in range(2):
        sbn.sweep(function, {"a": [1.0, 2.0], "b": [0.0]}, path, workers=1)


def test_another_python_is_named(tmp_path):
    path = tmp_path / "run.zarr"
    sbn.sweep(studies.nap, {"x": [1]}, path, workers=1)
    text = (path / "zarr.json").read_text()
    here = "{}.{}".format(*sys.version_info)
    assert f'\\"python\\": \\"{here}\\"' in text
    (path / "zarr.json").write_text(text.replace(f'"python\\": \\"{here}', '"python\\": \\"3.9'))
    with pytest.raises(InvalidStore, match=r"begun by Python 3\.9.*Go on with Python 3\.9"):
        sbn.sweep(studies.nap, {"x": [1]}, path, workers=1)


def test_stores_of_older_descriptions_go_on(tmp_path):
    path = tmp_path / "run.zarr"
    wanted = sbn.sweep(studies.nap, {"x": range(3)}, path, workers=1).load()
    metadata = json.loads((path / "zarr.json").read_text())
    older = json.loads(metadata["attributes"]["sweep"])
    del older["code"], older["kinds"], older["python"]
    metadata["attributes"]["sweep"] = json.dumps(older)
    (path / "zarr.json").write_text(json.dumps(metadata))
    shard = path / "z" / "c.0"
    shard.write_bytes(b"\0" + shard.read_bytes()[1:])
    found = sbn.sweep(studies.nap, {"x": range(3)}, path, workers=1).load()
    np.testing.assert_array_equal(found.z, wanted.z)
