"""Results as small files, and the tables of the READMEs made from them.

    python benchmarks/report.py

fills what stands between ``<!-- benchmark NAME -->`` and ``<!-- end -->`` in the READMEs: the
tables of `results/NAME.json` and `results/NAME-cuda.json`, or the headline ratios of all of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from timing import Row, machine

HERE = Path(__file__).parent
READMES = (HERE / "README.md", HERE.parent / "README.md")
MARKED = re.compile(r"(<!-- benchmark (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
NO_GPU = "Not run on a GPU yet."
BOTH = ("cpu", "cuda")
DEVICES = {"levels": BOTH, "learning_rates": BOTH, "offline": BOTH, "gpu": ("cuda",)}
"""Where benchmarks run; others run on the CPU alone."""


def path(name: str, device: str) -> Path:
    """Return the file of one benchmark on one device."""
    return HERE / "results" / f"{name}{'' if device == 'cpu' else '-' + device}.json"


def save(name: str, device: str, tables: dict[str, list[Row]]) -> None:
    """Write the tables of one benchmark, beside what they were measured with."""
    content = {"machine": machine(device), "tables": tables}
    path(name, device).parent.mkdir(exist_ok=True)
    text = json.dumps(content, indent=1, ensure_ascii=False, default=float)
    path(name, device).write_text(text + "\n")


def load(name: str, device: str) -> dict[str, Any] | None:
    """Read them again, if there are any."""
    file = path(name, device)
    return json.loads(file.read_text()) if file.exists() else None


def cell(value: Any) -> str:
    """Write a number to three digits, a spread as its median and extremes."""
    if isinstance(value, list):
        return f"{value[0]:.3g} [{value[1]:.3g} – {value[2]:.3g}]"
    if isinstance(value, float):
        return f"{value:.3g}"
    return "" if value is None else str(value)


def markdown(rows: list[Row]) -> str:
    """Format rows as a table."""
    titles = list(dict.fromkeys(title for row in rows for title in row))
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    lines += ["| " + " | ".join(cell(row.get(title)) for title in titles) + " |" for row in rows]
    return "\n".join(lines)


def section(name: str) -> str:
    """Return the tables of one benchmark, on both devices if it runs on both."""
    parts = []
    for device in DEVICES.get(name, ("cpu",)):
        found = load(name, device)
        if found is None:
            parts.append(NO_GPU if device == "cuda" else "Not run yet.")
            continue
        parts.append(", ".join(f"{k} {cell(v)}" for k, v in found["machine"].items()) + ".")
        parts += [f"### {title}\n\n{markdown(rows)}" for title, rows in found["tables"].items()]
    return "\n\n".join(parts)


def headlines() -> str:
    """Return one row for each level: ours beside the loops and the floor."""
    rows: list[Row] = []
    wanted = {"level": "", "student": "relu weight", "M": 32, "dtype": "float64"}
    for device in ("cpu", "cuda"):
        found = load("levels", device)
        for level, N in (("microscopic", 1000), ("microscopic", 10**5), ("mesoscopic", 1000)):
            chosen = [
                row
                for row in (found or {"tables": {STEP: []}})["tables"][STEP]
                if row.items() >= (wanted | {"level": level, "N": N}).items()
            ]
            rows += [{k: row[k] for k in SHOWN} for row in chosen]
    parts = [markdown(rows)] if rows else []
    return "\n\n".join(parts if load("levels", "cuda") else [*parts, NO_GPU])


STEP = "Time per step and replica"
SHOWN = (
    "level", "device", "N", "M", "replicas", "ours µs", "NumPy/ours", "PyTorch/ours", "ours/floor",
)  # fmt: skip


def filled(text: str) -> str:
    """Put the tables into a text between its marks."""
    make: Callable[[str], str] = lambda name: headlines() if name == "headlines" else section(name)  # noqa: E731
    return MARKED.sub(lambda found: f"{found[1]}\n{make(found[2])}\n\n{found[3]}", text)


def render() -> None:
    """Rewrite the READMEs."""
    for readme in READMES:
        readme.write_text(filled(readme.read_text()))


if __name__ == "__main__":
    render()
