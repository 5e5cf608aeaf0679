"""The metadata of a store: written atomically, and consolidated when a sweep has ended.

Consolidated metadata are a copy, in the root's ``zarr.json``, of those of all groups and arrays
below, which other readers take instead of looking for them. While a sweep runs there are none.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from statmech_bn.files import fsync

UNFINISHED = ".unfinished"
CONSOLIDATED = "consolidated_metadata"


def read_metadata(folder: Path) -> dict[str, Any]:
    """Read the metadata of a group or an array."""
    found: dict[str, Any] = json.loads((folder / "zarr.json").read_text())
    return found


def write_metadata(folder: Path, metadata: dict[str, Any]) -> None:
    """Replace metadata: after a crash, the old or the new are there."""
    unfinished = folder / f"zarr.json{UNFINISHED}"
    with unfinished.open("w") as file:
        json.dump(metadata, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, folder / "zarr.json")
    fsync(folder)


def below(folder: Path) -> dict[str, Any]:
    """Return the consolidated metadata of a group."""
    found = {}
    for file in sorted(folder.rglob("zarr.json")):
        if file.parent != folder:
            metadata = read_metadata(file.parent)
            metadata.pop(CONSOLIDATED, None)
            found[file.parent.relative_to(folder).as_posix()] = metadata
    return {"kind": "inline", "must_understand": False, "metadata": found}


def consolidate(root: Path, again: bool = True) -> None:
    """Write the consolidated metadata of a group that is there anew, or take them away."""
    if (root / "zarr.json").exists():
        before = read_metadata(root)
        after = {key: value for key, value in before.items() if key != CONSOLIDATED}
        if again:
            after[CONSOLIDATED] = below(root)
        if after != before:
            write_metadata(root, after)


def is_complete(root: Path) -> bool:
    """Say whether a store says that its sweep is complete."""
    try:
        return bool(read_metadata(root)["attributes"].get("sweep_complete") == 1)
    except (OSError, ValueError, KeyError, AttributeError):
        return False
