"""Checks of what comes from files, before anything is opened, allocated or parsed on their word.

A store may come from anybody. It may point out of its folder (links, external data of HDF5), claim
arrays that no memory holds, or nest its groups and its JSON until a parser gives up. All of that
ends in InvalidStore here, and what is left is read by Zarr and HDF5 as usual.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from statmech_bn.errors import InvalidStore

MOST_JSON = 2**24
"""An attribute has at most so many characters, a metadata file so many bytes."""
MOST_GROUPS, DEEPEST = 10_000, 20
"""A store has at most so many groups and arrays, and nests them at most so deep."""
MOST_COORDINATES = 2**24
"""A coordinate has at most so many values; they are read when a store is opened."""
LARGEST_CHUNK = 2**34
"""A chunk, which is read at once, has at most so many bytes."""
CODECS = {"bytes", "crc32c", "zstd", "blosc", "gzip", "transpose", "sharding_indexed", "vlen-utf8"}


def from_json(text: Any, what: str) -> Any:
    """Parse JSON of a file.

    Raises
    ------
    InvalidStore
        It is not text, not JSON, or too large or too deep.
    """
    if not isinstance(text, str) or len(text) > MOST_JSON:
        raise InvalidStore(f"{what} is not a text of at most {MOST_JSON} characters.")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidStore(f"{what} is not readable JSON: {error}") from error


def check_store(path: Path) -> None:
    """Refuse a store that is not what it should be without reading any values.

    Raises
    ------
    InvalidStore
        The message names the part.
    """
    if path.is_dir():
        _check_folder(path)
    elif path.suffix == ".nc":
        _check_file(path)


def _check_folder(path: Path) -> None:
    """Hold every link of a Zarr store against its folder, and every ``zarr.json`` on the bounds."""
    root, seen = path.resolve(), 0
    for at, folders, files in os.walk(path):
        here = Path(at)
        for name in (*folders, *files):
            part = here / name
            if part.is_symlink() and not part.resolve().is_relative_to(root):
                raise InvalidStore(f"{part} leads out of the store; it is not followed.")
        if "zarr.json" in files:
            seen += 1
            if seen > MOST_GROUPS or len(here.relative_to(path).parts) > DEEPEST:
                raise InvalidStore(
                    f"{path} has more than {MOST_GROUPS} groups, or deeper than {DEEPEST}."
                )
            _check_metadata(here / "zarr.json", here.name)


def _check_metadata(file: Path, name: str) -> None:
    if file.stat().st_size > MOST_JSON:
        raise InvalidStore(f"{file} is larger than {MOST_JSON} bytes.")
    metadata = from_json(file.read_text(errors="replace"), str(file))
    try:
        if metadata["node_type"] == "array":
            chunk = metadata["chunk_grid"]["configuration"]["chunk_shape"]
            codecs = {codec["name"] for codec in metadata["codecs"]}
            _check_array(
                file, metadata["shape"], chunk, name in (metadata.get("dimension_names") or ())
            )
            if unknown := codecs - CODECS:
                raise InvalidStore(f"{file} is encoded by {sorted(unknown)}.")
    except (KeyError, TypeError) as error:
        raise InvalidStore(f"{file} does not describe an array: {error!r}") from error


def _check_array(where: object, shape: Any, chunk: Any, is_coordinate: bool) -> None:
    """Hold sizes that a file claims against the bounds; 8 bytes a value are assumed."""
    for size in (*shape, *chunk):
        if type(size) is not int or not 0 <= size < 2**63:
            raise InvalidStore(f"{where} claims the size {str(size)[:40]}.")
    if 8 * math.prod(chunk) > LARGEST_CHUNK:
        raise InvalidStore(f"{where} claims chunks of {8 * math.prod(chunk)} bytes.")
    if is_coordinate and math.prod(shape) > MOST_COORDINATES:
        raise InvalidStore(f"{where} claims a coordinate of {math.prod(shape)} values.")


def _check_file(path: Path) -> None:
    """Refuse links and data of other files in a NetCDF file, and sizes beyond the bounds."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            pending, seen = [(file, 0)], 0
            while pending:
                group, depth = pending.pop()
                for name in group:
                    seen += 1
                    if seen > MOST_GROUPS or depth > DEEPEST:
                        raise InvalidStore(f"{path} has too many groups, or too deep.")
                    where = f"{path}:{group.name.rstrip('/')}/{name}"
                    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                        raise InvalidStore(f"{where} is a link; it is not followed.")
                    found = group[name]
                    if isinstance(found, h5py.Group):
                        pending.append((found, depth + 1))
                    elif isinstance(found, h5py.Dataset):
                        if found.external or found.is_virtual:
                            raise InvalidStore(f"{where} leads to another file.")
                        shape = [int(size) for size in found.shape or ()]
                        chunk = [int(size) for size in found.chunks or ()]
                        _check_array(where, shape, chunk, found.is_scale)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        if isinstance(error, InvalidStore):
            raise
        raise InvalidStore(f"{path} is not a readable store: {error}") from error
