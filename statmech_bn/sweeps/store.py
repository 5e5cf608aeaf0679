"""The store of a sweep: one process holds it, writes whole chunks, and believes only checksums.

A chunk of every variable is one file: its values (little-endian, in C order) and their CRC-32C, the
codecs `bytes` and `crc32c` of Zarr 3, so every reader checks it. The files are written here and not
by Zarr, which takes ten times as long for small ones while workers hold Python's lock.

When all are done, the chunks of a variable become one file (`statmech_bn.sweeps.shards`).

A chunk of the sweep is done when all its files are there and agree with their checksums. There is
no other record that could contradict them after a crash, and none whose order depends on workers.
The root's ``zarr.json`` is replaced atomically; its attributes hold

    sweep            the description (`statmech_bn.sweeps.description`)
    sweep_complete   1 once every chunk is done and on disk

A store is made in a hidden folder beside its place, and gets its name when it has all its metadata.
The lock is the operating system's (flock on the folder): it follows a rename, ends with the process
however that ends, and leaves no file.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import xarray as xr
import zarr
from zarr.codecs import Crc32cCodec

from statmech_bn.dataset import STRINGS, values_of
from statmech_bn.descriptions import DESCRIPTIONS
from statmech_bn.errors import InvalidStore, StatmechError, invalid
from statmech_bn.files import fsync, recover, synchronize
from statmech_bn.storable import check_read
from statmech_bn.store_metadata import (
    CONSOLIDATED,
    UNFINISHED,
    below,
    read_metadata,
    write_metadata,
)
from statmech_bn.sweeps.description import NEW, differences
from statmech_bn.sweeps.grid import Chunks, Grid
from statmech_bn.sweeps.points import Template, Variable
from statmech_bn.sweeps.shards import Shards
from statmech_bn.untrusted import check_store, from_json

try:
    import fcntl
except ImportError:  # no POSIX locks: there a folder cannot be opened either
    fcntl = None  # type: ignore[assignment]

OURS = ("sweep", "sweep_complete", "coordinates")
"""Attributes of the root that are not the function's."""
MOST_ATTEMPTS = 1000
"""So often another process may remove a folder between two calls."""
CHECKSUM = struct.Struct("<I")


class Store:
    """A store with all its metadata, held by this process.

    Parameters
    ----------
    path : Path
    grid : Grid
    """

    def __init__(self, path: Path, grid: Grid) -> None:
        for leftover in path.rglob(f"*{UNFINISHED}"):
            leftover.unlink()
        self.path, self.grid = path, grid
        self.metadata = read_metadata(path)
        arrays: dict[str, Any] = dict(_group(path).arrays())
        dims = {name: array.metadata.dimension_names for name, array in arrays.items()}
        self.coordinates = {n: array for n, array in arrays.items() if dims[n] == (n,)}
        self.arrays = {n: array for n, array in arrays.items() if n not in self.coordinates}
        shape = next(iter(self.arrays.values())).chunks[: len(grid.names)]
        self.chunks = Chunks(grid.shape, shape)
        self.shards = {name: Shards(path / name, self.chunks) for name in self.arrays}

    @property
    def attributes(self) -> dict[str, Any]:
        """Attributes of the root."""
        return self.metadata["attributes"]

    def template(self) -> Template:
        """Return what every point's result looks like."""
        axes = len(self.grid.names)
        own = {n: a for n, a in self.coordinates.items() if n not in self.grid.names}
        return Template(
            {
                name: Variable(
                    tuple(str(d) for d in (array.metadata.dimension_names or ())[axes:]),
                    array.shape[axes:],
                    array.dtype.str,
                )
                for name, array in self.arrays.items()
            },
            {name: values_of(np.asarray(a[:]), dict(a.attrs)) for name, a in own.items()},
            {},
            self.attributes,
            (),
        )

    def missing(self) -> np.ndarray:
        """Return the numbers of the chunks that are not done, by reading all that are there."""
        if not all(shards.is_whole() for shards in self.shards.values() if shards.merged):
            self.begin()
        done = (self._is_done(number) for number in range(len(self.chunks)))
        return np.flatnonzero(~np.fromiter(done, bool, len(self.chunks)))

    def _is_done(self, number: int) -> bool:
        return all(
            self._is_whole(name)(shards.read(number)) for name, shards in self.shards.items()
        )

    def _is_whole(self, name: str) -> Callable[[bytes], bool]:
        """Return a function that holds a chunk's bytes against their checksum."""
        size = math.prod(self.arrays[name].chunks) * self.arrays[name].dtype.itemsize

        def is_whole(content: bytes) -> bool:
            values, checksum = content[: -CHECKSUM.size], content[-CHECKSUM.size :]
            return len(values) == size and CHECKSUM.pack(google_crc32c.value(values)) == checksum

        return is_whole

    def write(self, number: int, values: dict[str, np.ndarray]) -> None:
        """Write one chunk of every variable: a file is whole or not there."""
        for name, array in self.arrays.items():
            chunk = np.full(array.chunks, array.fill_value, array.dtype)
            chunk[tuple(slice(n) for n in values[name].shape)] = values[name]
            content = chunk.tobytes()
            file = self.shards[name].file(number)
            file.parent.mkdir(parents=True, exist_ok=True)
            unfinished = file.with_name(file.name + UNFINISHED)
            try:
                unfinished.write_bytes(content + CHECKSUM.pack(google_crc32c.value(content)))
                unfinished.replace(file)
            except OSError:
                unfinished.unlink(missing_ok=True)  # the space may be needed
                raise

    def forget(self, varying: frozenset[str]) -> None:
        """Drop attributes that are not the same at all points, before such a point is written."""
        known = varying.intersection(self.attributes).difference(OURS)
        if known:
            kept = {key: value for key, value in self.attributes.items() if key not in known}
            self._replace_attributes(kept)

    def begin(self) -> None:
        """Say that chunks are missing, and make room for them."""
        if self.attributes["sweep_complete"]:
            self.metadata.pop(CONSOLIDATED, None)
            self._replace_attributes({**self.attributes, "sweep_complete": 0})
        for name, shards in self.shards.items():
            if shards.merged:
                shards.split(self._is_whole(name))

    def finish(self) -> None:
        """Say that every chunk is done, when all is on disk, in one file for each variable."""
        if not self.attributes["sweep_complete"]:
            synchronize(self.path)
            for shards in self.shards.values():
                shards.merge()
            self.metadata[CONSOLIDATED] = below(self.path)
            self._replace_attributes({**self.attributes, "sweep_complete": 1})

    def _replace_attributes(self, attributes: dict[str, Any]) -> None:
        self.metadata["attributes"] = attributes
        write_metadata(self.path, self.metadata)


def _group(path: Path) -> zarr.Group:
    """Open the root; its arrays are the folders in it, whatever its metadata says of them."""
    return zarr.open_group(path, mode="r", zarr_format=3, use_consolidated=False)


def check(path: Path, description: dict[str, Any]) -> None:
    """Refuse a store of something else.

    Raises
    ------
    InvalidStore
        The message lists what differs.
    """
    check_store(path, chunks=False)
    try:
        metadata = from_json((path / "zarr.json").read_text(), f"{path}/zarr.json")
        found = from_json(metadata["attributes"]["sweep"], "attrs['sweep']")
        axes = list(found.get("grid", ()))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidStore(f"{path} was not written by a sweep; it is left alone.") from error
    before = {name: description[name] for name in description if name in found or name not in NEW}
    written, python = found.get("python"), description["python"]
    if "python" in found and written != python:  # whose compiled code cannot be compared
        raise InvalidStore(
            f"{path} was begun by Python {written}, this is {python}; it is left alone. Go on with "
            f"Python {written}, or name another store."
        )
    stored, asked = (
        {"order of axes": axes, **found},
        {"order of axes": list(before["grid"]), **before},
    )
    if different := list(differences(stored, asked)):
        raise InvalidStore(
            f"{path} holds another sweep; it is left alone. What differs:\n  "
            + "\n  ".join(different)
            + "\nName another store, or remove this one."
        )


@contextmanager
def hold(path: Path) -> Iterator[Path]:
    """Hold a store against other processes.

    Yields the folder that is held: the store, or if there is none the hidden folder to make it in,
    which :func:`create` renames. One that was not renamed is removed.

    Raises
    ------
    InvalidStore
        Another process holds it, it cannot be made, or something that is not a store stands there.
    """
    recover(path)
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise InvalidStore(
            f"{path} is a file, or a link to itself; name a folder for the sweep's store."
        )
    if path.is_dir() and any(path.iterdir()) and not (path / "zarr.json").exists():
        raise InvalidStore(f"{path} is a folder but not a Zarr store; it is left alone.")
    hidden = path.with_name(f".{path.name}{UNFINISHED}")

    def place() -> Path:
        return path if (path / "zarr.json").exists() else hidden

    for attempt in count():
        folder, held = place(), False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(exist_ok=True)
            descriptor = os.open(folder, os.O_RDONLY)
        except OSError as error:
            gone = isinstance(error, (FileExistsError, FileNotFoundError))
            if gone and attempt < MOST_ATTEMPTS:  # another process removed it just now
                continue
            raise InvalidStore(f"{path} cannot be made: {error}.") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = _is_at(folder, descriptor)
            if held and folder == place():
                yield folder
                return
        except BlockingIOError:
            raise InvalidStore(
                f"Another process is writing to {path}. Wait until it ends, or name another store."
            ) from None
        finally:
            if held and _is_at(hidden, descriptor):
                shutil.rmtree(hidden, ignore_errors=True)  # what stays, `create` removes
            os.close(descriptor)


def create(
    folder: Path,
    path: Path,
    grid: Grid,
    template: Template,
    chunks: Chunks,
    description: dict[str, Any],
) -> None:
    """Make a store without values in a hidden folder, all metadata and coordinates; rename it."""
    for leftover in folder.iterdir():  # the folder itself is what is locked, and stays
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    group = zarr.create_group(folder, zarr_format=3)
    written: dict[str, tuple[np.dtype, Mapping[str, Any]]] = {}
    for name, values in {**grid.axes, **template.coordinates}.items():
        attributes = template.coordinate_attributes.get(name) or dict(
            zip(("long_name", "symbol", "units"), DESCRIPTIONS.get(name, ()), strict=False)
        )
        texts = values.dtype.kind in STRINGS
        written[name] = values.dtype, attributes
        group.create_array(
            name,
            data=values.astype(np.dtypes.StringDType()) if texts else values,
            chunks=values.shape,
            dimension_names=(name,),
            attributes=attributes,
            compressors=[Crc32cCodec()],
            config={"write_empty_chunks": True},
        )
    for name, variable in template.variables.items():
        dtype = np.dtype(variable.dtype).newbyteorder("<")
        written[name] = dtype, variable.attributes
        group.create_array(
            name,
            shape=grid.shape + variable.shape,
            dtype=dtype,
            chunks=chunks.shape + variable.shape,
            dimension_names=grid.names + variable.dims,
            attributes=variable.attributes,
            compressors=[Crc32cCodec()],
            fill_value=np.nan if dtype.kind in "fc" else 0,
        )
    attributes = {
        **template.attributes,
        **({"coordinates": " ".join(template.belonging)} if template.belonging else {}),
        "sweep": json.dumps(description),
        "sweep_complete": 0,
    }
    write_metadata(folder, {"attributes": attributes, "zarr_format": 3, "node_type": "group"})
    _check_readable(folder, written)
    synchronize(folder)
    folder.replace(path)
    fsync(path.parent)


def _check_readable(
    folder: Path, written: Mapping[str, tuple[np.dtype, Mapping[str, Any]]]
) -> None:
    """Refuse what readers make something else of: attributes that they take for an encoding.

    Raises
    ------
    InvalidSetup
        The message names the variable.
    """
    try:
        with xr.open_zarr(folder, chunks=None, consolidated=False, zarr_format=3) as found:
            for name, (dtype, attributes) in written.items():
                check_read(name, dtype, attributes, found.variables[name])
    except StatmechError:
        raise
    except (ValueError, TypeError, LookupError) as error:
        raise invalid("function", "a Dataset that can be read again", f"{error}") from error


def _is_at(path: Path, descriptor: int) -> bool:
    """Say whether a path names what was opened."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
