"""The words of the page, and what the browser does by itself: copying, and keeping the address."""

from __future__ import annotations

from html import escape

from statmech_bn.explore.curves import BLOCKS, MOST_SAMPLES, RATES, REPLICAS, TIMES
from statmech_bn.explore.equations import Equations
from statmech_bn.explore.state import SLIDERS, State
from statmech_bn.explore.typed import LONGEST as LONGEST_ACTIVATION
from statmech_bn.explore.worker import LONGEST

STARTING = "Starting …"
READY = "Ready."
WAITING = "Computing {task} …"
NAMES = {"theory": "the flow", "equations": "the equations", "final_error": "the final error",
         "chain": "the chain", "partitions": "the partitions"}  # fmt: skip
ALERT = {"color": "#a00000", "font-weight": "bold", "max-width": "1100px"}
COPY = "navigator.clipboard.writeText(code.text)"
REPLACE_ADDRESS = "window.history.replaceState(null, '', cb_obj.text)"
DOWNLOADS = {"explorer.nc": "NetCDF", "explorer.zarr.zip": "Zarr (zipped)", "explorer.pdf": "PDF"}
LIMITS = (
    "<b>Limits.</b> "
    + "; ".join(f"{s.title}: {s.values[0]:g} to {s.values[-1]:g}" for s in SLIDERS.values())
    + f". Curves have {TIMES} times, the final error {len(RATES)} learning rates, a power law "
    f"{BLOCKS} blocks, the chain {REPLICAS} replicas and at most {MOST_SAMPLES:.0e} samples a "
    f"student. An activation has at most {LONGEST_ACTIVATION} characters. What takes longer than "
    f"{LONGEST:g} s is stopped."
)


def links(state: State) -> str:
    """Write links to the files of a state."""
    address = escape(state.address(), quote=True)
    return "Download: " + " · ".join(
        f'<a href="download/{name}?{address}" download="{name}">{title}</a>'
        for name, title in DOWNLOADS.items()
    )


def equations(found: list[Equations]) -> str:
    """Write the equations of each student, typeset by MathJax."""
    blocks = (
        f"<div><h3>{escape(e.normalization)}</h3>{_display(e.flow)}"
        f"{_display(e.averages) if e.averages else ''}<p>{escape(e.note)}</p></div>"
        for e in found
    )
    return f'<div style="display: flex; flex-wrap: wrap; gap: 0 3em">{"".join(blocks)}</div>'


def _display(lines: str) -> str:
    lines = lines.replace("\\\\\n", "\\\\[6pt]\n")
    return rf'<div style="margin: 1em 0">$$\begin{{aligned}} {lines} \end{{aligned}}$$</div>'
