"""The metadata of a store: written atomically, and consolidated when a sweep has ended.

Consolidated metadata are a copy, in the root's ``zarr.json``, of those of all groups and arrays
below, which other readers take instead of looking for them. While a sweep runs there are none. They
also say how many files of values there are, since Zarr reads a chunk without a file as NaN or 0.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from statmech_bn.files import fsync

UNFINISHED = ".unfinished"
CONSOLIDATED = "consolidated_metadata"
FILES = "files_of_values"
"""Key of the consolidated metadata that holds how many files of values the store had then."""


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
    files = count_files(folder)
    return {"kind": "inline", "must_understand": False, "metadata": found, FILES: files}


def files_of(file: Path) -> Iterator[Path]:
    """Iterate over the files of an array with these metadata; others may come and go meanwhile."""
    for at, _, names in os.walk(file.parent):
        yield from (part for name in names if (part := Path(at, name)) != file and part.is_file())


def chunks_of(file: Path, metadata: dict[str, Any]) -> Iterator[Path]:
    """Iterate over the files that are chunks, or shards, of an array by their names."""
    key = metadata["chunk_key_encoding"]
    separator = key.get("configuration", {}).get("separator", "/")
    begin = "c" if key["name"] == "default" else r"\d+"
    name = re.compile(rf"{begin}({re.escape(separator)}\d+)*")
    for part in files_of(file):
        if name.fullmatch(part.relative_to(file.parent).as_posix()):
            yield part


def count_files(folder: Path) -> int:
    """Return how many files of values the arrays of a group and of those below have."""
    arrays = [(file, read_metadata(file.parent)) for file in sorted(folder.rglob("zarr.json"))]
    return sum(
        sum(1 for _ in chunks_of(file, metadata))
        for file, metadata in arrays
        if metadata["node_type"] == "array"
    )


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
