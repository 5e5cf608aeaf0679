"""Pages of the reference, written from what the package calls public: each room's ``__all__``.

Functions and classes come from their docstrings; symbols and constants from the words
that follow their definition. A last page has the docstrings of all modules, with their equations.
"""

import importlib
import inspect
import pkgutil
import re
import sys
import types
from pathlib import Path
from typing import Any

import sympy
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.ext.autodoc.mock import mock
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.logging import getLogger

import statmech_bn

FOLDER = "reference"
LOGGER = getLogger(__name__)
OPTIONAL = ("statmech_bn.networks",)
"""Rooms that need a library which the documentation does without."""
MARKS = re.compile(r"(``.*?``)|([|*])")


def rooms() -> dict[str, types.ModuleType]:
    """Public modules by the name under which a user finds them."""
    found = {"statmech_bn": statmech_bn}
    found |= {name: importlib.import_module(name) for name in OPTIONAL}
    for name in statmech_bn.__all__:
        value = getattr(statmech_bn, name)
        if inspect.ismodule(value):
            found[f"statmech_bn.{name}"] = value
            found |= {
                f"statmech_bn.{name}.{inner}": getattr(value, inner)
                for inner in value.__all__
                if inspect.ismodule(getattr(value, inner))
            }
    return found


def modules() -> list[str]:
    """Names of all modules of the package."""
    return ["statmech_bn"] + [
        found.name for found in pkgutil.walk_packages(statmech_bn.__path__, "statmech_bn.")
    ]


def definitions() -> dict[str, dict[str, str]]:
    """Module → name of a constant → the words that follow its definition."""
    found: dict[str, dict[str, str]] = {}
    for module in modules():
        described = ModuleAnalyzer.for_module(module).find_attr_docs()
        found[module] = {n: " ".join(lines) for (of, n), lines in described.items() if not of}
    return found


def page(name: str, room: types.ModuleType, described: dict[str, dict[str, str]]) -> str:
    """Write the page of one room."""
    members = {m: getattr(room, m) for m in room.__all__ if not m.startswith("__")}
    lines = [f"# {name}", "", *literal(inspect.getdoc(room)), "", "```{eval-rst}"]
    lines += [f".. py:module:: {name}", "", ".. autosummary::", ""]
    lines += [f"   {member}" for member, value in members.items() if kind(value) != "data"]
    for member, value in members.items():
        lines.append("")
        if kind(value) == "class":
            lines += [f".. autoclass:: {member}", "   :members:"]
        elif kind(value) != "data":
            lines.append(f".. auto{kind(value)}:: {member}")
        elif not inspect.ismodule(value):
            words = meaning(member, value, described)
            symbol = f":math:`{sympy.latex(value)}`" if isinstance(value, sympy.Symbol) else ""
            lines += [f".. py:data:: {member}", "", f"   {symbol} {MARKS.sub(escaped, words)}"]
    return "\n".join([*lines, "```", ""])


def meaning(name: str, value: Any, described: dict[str, dict[str, str]]) -> str:
    """Find the words that follow the definition of a constant."""
    for module, found in described.items():
        if name in found and getattr(sys.modules[module], name) is value:
            return found[name]
    LOGGER.warning("no words follow the definition of %s", name)
    return ""


def kind(value: Any) -> str:
    """Say which of Sphinx's directives documents an object."""
    if inspect.isclass(value):
        return "exception" if issubclass(value, Exception) else "class"
    return "function" if inspect.isfunction(inspect.unwrap(value)) else "data"


def literal(text: str | None) -> list[str]:
    """Keep a module's text as it is, with its aligned equations."""
    return ["```text", str(text), "```"]


def equations() -> str:
    """Write the page of all modules."""
    lines = ["# Equations, module by module", ""]
    public = {f"{name}.{member}" for name, room in rooms().items() for member in room.__all__}
    for name in modules():
        text = inspect.getdoc(importlib.import_module(name))
        lines += [f"## {name}", ""]
        if name not in public | set(rooms()):
            lines += ["```{eval-rst}", f".. py:module:: {name}", "```", ""]
        lines += [*literal(text), ""]
    return "\n".join(lines)


def write(app: Sphinx) -> None:
    """Write the pages where Sphinx finds them."""
    folder = Path(app.srcdir) / FOLDER
    folder.mkdir(exist_ok=True)
    for name in modules():  # all that can be: SciPy does not work beside an imitation of PyTorch
        if name not in OPTIONAL:
            importlib.import_module(name)
    with mock(app.config.autodoc_mock_imports):
        described = definitions()
        for name, room in rooms().items():
            (folder / f"{name}.md").write_text(page(name, room, described))
        (folder / "equations.md").write_text(equations())


def escaped(found: re.Match[str]) -> str:
    """Keep code as it is, and escape bars and asterisks."""
    return found[1] or rf"\{found[2]}"


def check(app: Sphinx, environment: BuildEnvironment) -> None:
    """Warn of public names that ended up on no page."""
    documented = environment.domains["py"].data["objects"]
    with mock(app.config.autodoc_mock_imports):
        for name, room in rooms().items():
            for member in room.__all__:
                if not member.startswith("__") and f"{name}.{member}" not in documented:
                    LOGGER.warning("%s.%s is public and in no page", name, member)


def keep_marks(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Write |w| and w* so that reStructuredText takes them for no substitution or emphasis."""
    for k, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            lines[k] = MARKS.sub(escaped, line)


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages before the build."""
    app.connect("builder-inited", write)
    app.connect("env-check-consistency", check)
    app.connect("autodoc-process-docstring", keep_marks, priority=400)
    return {"parallel_read_safe": True}
