"""The public names are those of the design, and only those."""

import types

import pytest

import statmech_bn as sbn

NAMES = {
    "Activation",
    "Inputs",
    "OrderParameters",
    "TeacherStudent",
    "__version__",
    "activation",
    "batch_loss",
    "codegen",
    "effective_gamma_decay",
    "errors",
    "geometry",
    "layers",
    "loss_minimum",
    "macroscopic",
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
