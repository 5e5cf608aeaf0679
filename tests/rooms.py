"""The rooms of the package: every package in it, and every module that one of them shows.

They are found in the folders, not in ``__all__``, so that none can drop out by forgetting it.
"""

import inspect
import pkgutil
from importlib import import_module
from importlib.util import find_spec

import statmech_bn as sbn

NEEDS_TORCH = "statmech_bn.networks"


def rooms():
    """Return every room by its name without the package's, which is "" for the package itself."""
    packages = [
        import_module(info.name)
        for info in pkgutil.walk_packages(sbn.__path__, "statmech_bn.", onerror=lambda name: None)
        if info.ispkg and (info.name != NEEDS_TORCH or find_spec("torch"))
    ]
    found = {sbn.__name__: sbn} | {package.__name__: package for package in packages}
    for package in list(found.values()):
        for name in getattr(package, "__all__", ()):
            if inspect.ismodule(value := getattr(package, name)):
                found[value.__name__] = value
    return {name.removeprefix("statmech_bn").lstrip("."): found[name] for name in sorted(found)}


def defined_in(room):
    """Names of what a room, or a module in it, defines and no underscore hides."""
    return {
        name
        for name, value in vars(room).items()
        if not name.startswith("_")
        and not inspect.ismodule(value)
        and getattr(value, "__module__", room.__name__).startswith(room.__name__)
    }
