"""The public names are those of the design, and only those."""

import subprocess
import sys
import types

import pytest

import statmech_bn as sbn

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
    "depth",
    "effective_gamma_decay",
    "errors",
    "geometry",
    "layers",
    "loss_minimum",
    "macroscopic",
    "measure",
    "mesoscopic",
    "microscopic",
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
ROOMS = [name for name in NAMES if hasattr(getattr(sbn, name), "__all__")]


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


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_rooms_promise_what_they_have(room):
    public = getattr(sbn, room)
    assert all(hasattr(public, name) for name in public.__all__)
    assert sorted(public.__all__) == sorted(set(public.__all__))


def test_public_functions_are_documented():
    for room in (sbn, *(getattr(sbn, name) for name in ROOMS)):
        for name in room.__all__:
            value = getattr(room, name)
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
