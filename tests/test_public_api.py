"""The public names are those of the design, and only those."""

import types

import statmech_bn as sbn

NAMES = {
    "Activation", "Inputs", "OrderParameters", "TeacherStudent", "__version__", "activation",
    "batch_loss", "codegen", "depth", "effective_gamma_decay", "errors", "loss_minimum",
    "macroscopic", "mesoscopic", "microscopic", "open", "plot", "save", "stationary_gamma",
    "symbolic",
}  # fmt: skip


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


def test_rooms_promise_what_they_have():
    for room in (sbn.symbolic, sbn.codegen, sbn.depth, sbn.plot):
        missing = [name for name in room.__all__ if not hasattr(room, name)]
        assert not missing


def test_public_functions_are_documented():
    for room in (sbn, sbn.symbolic, sbn.codegen, sbn.depth, sbn.plot):
        for name in room.__all__:
            value = getattr(room, name)
            if isinstance(value, (types.FunctionType, type)):
                assert value.__doc__, name
