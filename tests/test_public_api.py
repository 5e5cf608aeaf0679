"""The public names are those of the design, and only those."""

import inspect
import subprocess
import sys
import types
from pathlib import Path

import pytest

import statmech_bn as sbn

sys.path.insert(0, str(Path(__file__).parent))
from rooms import defined_in, rooms

NAMES = {
    "Activation",
    "Inputs",
    "OrderParameters",
    "Spectrum",
    "TeacherStudent",
    "__version__",
    "activation",
    "batch_loss",
    "codegen",
    "coupled_gamma_decay",
    "depth",
    "effective_gamma_decay",
    "errors",
    "geometry",
    "inference",
    "layers",
    "loss_minimum",
    "macroscopic",
    "measure",
    "mesoscopic",
    "microscopic",
    "momentum",
    "offline",
    "open",
    "plot",
    "rates",
    "save",
    "schedules",
    "stationary_gamma",
    "study",
    "sweep",
    "sweeps",
    "symbolic",
}
ROOMS = {name: room for name, room in rooms().items() if name}


def test_all_is_what_is_promised():
    assert set(sbn.__all__) == NAMES
    assert sorted(sbn.__all__) == sbn.__all__


def test_nothing_else_is_public():
    public = {
        name
        for name, value in vars(sbn).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert public <= NAMES


def test_rooms_are_found_in_the_folders():
    """Folders and the modules among `NAMES` are rooms, with ``__all__`` and without."""
    folders = {path.parent.name for path in Path(sbn.__file__).parent.glob("*/__init__.py")}
    if "networks" not in ROOMS:  # without PyTorch
        folders -= {"networks"}
    assert ROOMS.keys() >= folders
    shown = {getattr(sbn, name) for name in NAMES if inspect.ismodule(getattr(sbn, name))}
    assert shown <= set(ROOMS.values())


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_rooms_promise_what_they_have(room):
    public = ROOMS[room]
    if not defined_in(public):  # a folder of modules that other rooms show
        return
    assert all(hasattr(public, name) for name in public.__all__)
    assert sorted(public.__all__) == sorted(set(public.__all__))
    is_package = hasattr(public, "__path__")
    assert not is_package or defined_in(public) <= set(public.__all__)


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_public_functions_are_documented(room):
    for name in defined_in(ROOMS[room]) and ROOMS[room].__all__:
        value = inspect.unwrap(getattr(ROOMS[room], name))
        if isinstance(value, (types.FunctionType, type)):
            assert value.__doc__, name


def test_importing_the_package_waits_for_nothing_heavy():
    code = "import sys, statmech_bn; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"numpy", "sympy", "numba", "scipy", "xarray", "zarr", "matplotlib", "torch", "cupy"}
    assert not heavy & set(run.stdout.split())


def test_names_are_listed_before_they_are_imported():
    code = "import statmech_bn; print(*dir(statmech_bn))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(run.stdout.split()) >= NAMES


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'batchnorm'"):
        sbn.batchnorm  # noqa: B018
