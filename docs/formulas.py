r"""The formulas of the pages, derived and written into them: ``python docs/formulas.py``.

A page is read without a build, so its formulas stand in it. Before each of them a comment says how
it is derived, and a test says whether it still is:

    <!-- formula
    show(r"\chi", s.gradient_multiplier("relu", "batch"))
    -->
    $$
    ...
    $$
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import sympy as sp

import statmech_bn as sbn

PAGES = sorted((Path(__file__).parent / "explanation").glob("*.md"))
FORMULA = re.compile(r"<!-- formula\n(?P<code>.*?)\n-->\n\$\$\n.*?\n\$\$\n", re.DOTALL)


def show(name: str, expression: Any) -> str:
    """Write an equation."""
    return f"{name} = {sbn.codegen.latex(expression)}"


def flow(normalization: str, activation: str | None = None) -> str:
    """Write the flow of the order parameters."""
    derived = sbn.symbolic.order_parameter_flow(normalization, activation)
    return rf"\begin{{aligned}}{sbn.codegen.latex(derived)}\end{{aligned}}"


def updated(page: str) -> str:
    """Return a page with all of its formulas derived anew."""
    names = {
        "sp": sp, "s": sbn.symbolic, "offline": sbn.symbolic.offline, "show": show, "flow": flow,
    }  # fmt: skip

    def derive(found: re.Match[str]) -> str:
        *before, last = ast.parse(found["code"]).body
        exec(compile(ast.Module(before, []), "<formula>", "exec"), names)
        latex = eval(ast.unparse(last), names)
        return f"<!-- formula\n{found['code']}\n-->\n$$\n{latex}\n$$\n"

    return FORMULA.sub(derive, page)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(updated(page.read_text()))
