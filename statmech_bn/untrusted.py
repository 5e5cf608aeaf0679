"""Checks of what comes from files, before anything is opened, allocated or parsed on their word.

A store may come from anybody. It may point out of its folder (links, external data of HDF5), claim
arrays that no memory holds, nest its groups and its JSON until a parser gives up, or hold a small
chunk that decompresses to a large one. All of that ends in InvalidStore here, and what is left is
read by Zarr and HDF5 as usual.

A compressed chunk begins with the size that it claims to decompress to, and the decoders allocate
and write no more than that. It is held against the size of the chunk:

    zstd    frame header of RFC 8878; a size that is not stated is refused
    blosc   bytes 4 to 8
    HDF5    deflate states no size, but its ratio is below 1032 and its input is no larger than the
            chunk; one filter of that kind, no others

Strings begin with their number, which is held against the chunk, and shards end with an index of 16
bytes a chunk, which is held against a bound. Nested compression is refused. What is not compressed
has the size that its array says, chunk by chunk, so that no value is read of another array's shape.
Readers take NaN for a chunk that is not there, so a sweep that says it is complete has all of them.
"""

from __future__ import annotations

import json
import math
import os
import re
from pathlib import Path
from typing import Any

import google_crc32c
import numcodecs
import numpy as np

from statmech_bn.errors import InvalidStore
from statmech_bn.store_metadata import CONSOLIDATED, FILES, chunks_of, count_files, files_of

MOST_JSON = 2**24
"""An attribute has at most so many characters, a metadata file so many bytes."""
MOST_GROUPS, DEEPEST = 10_000, 20
"""A store has at most so many groups and arrays, and nests them at most so deep."""
MOST_COORDINATES = 2**24
"""A coordinate has at most so many values; they are read when a store is opened."""
LARGEST_CHUNK = 2**34
"""A chunk, which is read at once, has at most so many bytes."""
LARGEST_COMPRESSED = 2**28
"""A compressed chunk, which may be small on disk, becomes at most so many bytes."""
MOST_CHUNKS = 10_000
"""A coordinate has at most so many chunks."""
MOST_PARTS = 2**26
"""A shard has at most so many chunks; its index takes 16 bytes for each."""
PLAIN = {"bytes", "crc32c", "transpose", "vlen-utf8"}
"""These codecs do not make less of their input."""
CHECKSUM = 4
"""A checksum has so many bytes."""
NUMBERS = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64)|complex(64|128)")


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


def check_store(path: Path, chunks: bool = True) -> None:
    """Refuse a store that is not what it should be without reading any values.

    Without `chunks` those that are cut short are let through, for a sweep that computes them anew.

    Raises
    ------
    InvalidStore
        The message names the part.
    """
    if path.is_dir():
        _check_folder(path, chunks)
    elif not path.is_file():
        raise InvalidStore(f"{path} is a pipe or a device; it is not read.")
    elif path.suffix == ".nc":
        _check_file(path)


def _check_folder(path: Path, chunks: bool) -> None:
    """Hold every link of a Zarr store against its folder, and every ``zarr.json`` on the bounds."""
    root, found = path.resolve(), []
    for at, folders, files in os.walk(path):
        here = Path(at)
        for name in (*folders, *files):
            part = here / name
            if part.is_symlink():
                real = Path(os.path.realpath(part))
                if real.is_symlink():
                    raise InvalidStore(f"{part} is a link to itself; it is not read.")
                if not real.is_relative_to(root):
                    raise InvalidStore(f"{part} leads out of the store; it is not followed.")
            elif name in files and not part.is_file():
                raise InvalidStore(f"{part} is a pipe or a device; it is not read.")
        if "zarr.json" in files:
            found.append(here)
            if len(found) > MOST_GROUPS or len(here.relative_to(path).parts) > DEEPEST:
                raise InvalidStore(
                    f"{path} has more than {MOST_GROUPS} groups, or deeper than {DEEPEST}."
                )
    read = {}
    for here in found:  # nothing is read before all links are known
        read[here] = _check_metadata(here / "zarr.json", here.name, chunks)
    for here in read if chunks else ():
        _check_lost(here, read[here])


def _check_metadata(file: Path, name: str, chunks: bool) -> dict[str, Any]:
    """Hold the metadata of a group or an array on the bounds, and return them."""
    if file.stat().st_size > MOST_JSON:
        raise InvalidStore(f"{file} is larger than {MOST_JSON} bytes.")
    metadata = from_json(file.read_text(errors="replace"), str(file))
    try:
        if metadata["node_type"] == "array":
            coordinate = name in (metadata.get("dimension_names") or ())
            coordinate = coordinate or "labels" in metadata["attributes"]
            _check_zarr_array(file, metadata, coordinate, chunks)
        return dict(metadata)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise InvalidStore(f"{file} does not describe an array: {error!r}") from error


def _check_zarr_array(
    file: Path, metadata: dict[str, Any], is_coordinate: bool, chunks: bool
) -> None:
    """Hold an array's sizes and codecs against the bounds, and its chunks against both."""
    shape, chunk = metadata["shape"], metadata["chunk_grid"]["configuration"]["chunk_shape"]
    text = metadata["data_type"] == "string"
    if not text and not NUMBERS.fullmatch(metadata["data_type"]):
        raise InvalidStore(f"{file} has values of the type {metadata['data_type'][:40]!r}.")
    _check_scaling(file, metadata["attributes"])
    codecs = [codec["name"] for codec in metadata["codecs"]]
    _check_sizes(file, shape, chunk)
    if codecs == ["sharding_indexed"]:
        inside = metadata["codecs"][0]["configuration"]
        whole, chunk = chunk, inside["chunk_shape"]
        _check_sizes(file, shape, chunk)
        codecs = [c["name"] for c in (*inside["codecs"], *inside["index_codecs"])]
        if unknown := sorted({*codecs} - {"bytes", "crc32c"}):
            raise InvalidStore(f"{file} has shards that are encoded by {unknown}.")
        if len(whole) != len(chunk):
            raise InvalidStore(f"{file} cuts shards of {len(whole)} axes into {len(chunk)}.")
        parts = _parts(whole, chunk)
        if parts > MOST_PARTS:
            raise InvalidStore(f"{file} claims shards of {parts} chunks.")
    _check_array(file, shape, chunk, is_coordinate or text)
    unknown = sorted({*codecs} - PLAIN - {"zstd", "blosc"})
    compressed = [name for name in codecs if name not in PLAIN]
    if unknown or len(compressed) > 1 or (compressed and codecs[-1] != compressed[0]):
        raise InvalidStore(f"{file} is encoded by {codecs}.")
    if chunks and not compressed and not text:
        _check_plain(file, metadata, math.prod(chunk))
    size = math.prod(chunk) * _itemsize(metadata["data_type"]) + CHECKSUM * codecs.count("crc32c")
    for part in files_of(file) if compressed or text else ():
        with part.open("rb") as content:
            claimed = _claimed(content.read(18), compressed) if compressed else 0
            if claimed > min(MOST_JSON if text else size, LARGEST_COMPRESSED):
                raise InvalidStore(f"{part} claims to decompress to {claimed} bytes.")
            if compressed and not text and claimed != size:
                raise InvalidStore(f"{part} has {claimed} bytes, a chunk of its array has {size}.")
            if text:
                content.seek(0)
                _check_texts(part, content.read(MOST_JSON + 1), compressed, math.prod(chunk))


def _check_lost(folder: Path, metadata: dict[str, Any]) -> None:
    """Refuse a store that holds fewer files of values than it did: Zarr reads NaN or 0 for them."""
    consolidated = metadata.get(CONSOLIDATED)
    expected = consolidated.get(FILES) if isinstance(consolidated, dict) else None
    if type(expected) is not int:
        return  # written by another program, or before there was a count
    try:
        found = count_files(folder)
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidStore(f"{folder} does not describe its arrays: {error!r}") from error
    if found < expected:
        raise InvalidStore(
            f"{folder} has {found} of {expected} files of values. Copy it again if it is a copy; "
            "a sweep that is run again computes what is missing."
        )


def _check_plain(file: Path, metadata: dict[str, Any], values: int) -> None:
    """Hold the sizes of chunks that are not compressed, or the index of a shard, on the array."""
    codecs = metadata["codecs"]
    sharded = codecs[0]["name"] == "sharding_indexed"
    inside = codecs[0]["configuration"] if sharded else {"codecs": codecs}
    checksums = [codec["name"] for codec in inside["codecs"]].count("crc32c")
    size = values * _itemsize(metadata["data_type"]) + CHECKSUM * checksums
    if sharded:
        index = [codec["name"] for codec in inside["index_codecs"]]
        if index != ["bytes", "crc32c"] or inside.get("index_location", "end") != "end":
            raise InvalidStore(f"{file} has shards without a checksum of their index at the end.")
        whole = metadata["chunk_grid"]["configuration"]["chunk_shape"]
        count = math.prod(whole) // max(values, 1)
    for part in chunks_of(file, metadata):
        try:
            if sharded:
                _check_shard(part, count, size)
            elif (found := part.stat().st_size) != size:
                raise InvalidStore(f"{part} has {found} bytes, a chunk of its array has {size}.")
        except FileNotFoundError:  # a sweep has just made a shard of it
            continue


def _itemsize(kind: str) -> int:
    """Return the bytes of a value of a type of Zarr; 1 for a truth, and for what is counted."""
    bits = re.search(r"\d+$", kind)
    return int(bits[0]) // 8 if bits else 1


def _check_scaling(where: object, attributes: Any) -> None:
    """Refuse factors that are no numbers; readers multiply by them when values are used."""
    for name in ("scale_factor", "add_offset"):
        factor = np.asarray(attributes.get(name, 1))
        if factor.dtype.kind not in "iuf" or factor.size != 1:
            raise InvalidStore(f"{where} has a {name} that is no number.")


def _check_shard(part: Path, count: int, size: int) -> None:
    """Hold the index of a shard against its checksum, and against the chunks that it may have."""
    length = 16 * count
    with part.open("rb") as content:
        whole = content.seek(0, os.SEEK_END)
        content.seek(max(0, whole - length - CHECKSUM))
        index = content.read()
    if len(index) != length + CHECKSUM:
        raise InvalidStore(f"{part} is too short for {count} chunks.")
    if google_crc32c.value(index[:-CHECKSUM]).to_bytes(CHECKSUM, "little") != index[-CHECKSUM:]:
        raise InvalidStore(f"{part} does not agree with its checksum for {count} chunks.")
    offset, bytes_of = np.frombuffer(index[:-CHECKSUM], "<u8").reshape(-1, 2).T
    there = bytes_of != 2**64 - 1
    if (bytes_of[there] != size).any() or (offset[there] > whole - min(size, whole)).any():
        raise InvalidStore(f"{part} has chunks of other sizes than {size} bytes.")


def _claimed(head: bytes, compressed: list[str]) -> float:
    """Return the bytes that a compressed chunk says it has; infinity if it does not say."""
    if compressed == ["blosc"]:
        return int.from_bytes(head[4:8], "little") if len(head) >= 16 else math.inf
    if len(head) < 6 or head[:4] != b"\x28\xb5\x2f\xfd":
        return math.inf
    kind, single, dictionary = head[4] >> 6, head[4] >> 5 & 1, head[4] & 3
    size, begin = (single, 2, 4, 8)[kind], 6 - single + (0, 1, 2, 4)[dictionary]
    if size == 0 or len(head) < begin + size:
        return math.inf
    return int.from_bytes(head[begin : begin + size], "little") + 256 * (size == 2)


def _check_texts(part: Path, content: bytes, compressed: list[str], most: int) -> None:
    """Hold the number with which a chunk of strings begins against the chunk."""
    try:
        for name in compressed:
            content = numcodecs.registry.get_codec({"id": name}).decode(content)
    except (RuntimeError, ValueError) as error:
        raise InvalidStore(f"{part} is not readable: {error}") from error
    if len(content) > MOST_JSON or int.from_bytes(content[:4], "little") > most:
        raise InvalidStore(f"{part} claims more strings than its chunk has.")


def _parts(shape: Any, chunk: Any) -> int:
    """Return how many chunks, or shards, an array is cut into; 1 if it is in one piece."""
    return math.prod(-(-n // max(k, 1)) for n, k in zip(shape, chunk, strict=False))


def _check_sizes(where: object, *sizes: Any) -> None:
    """Refuse what is not a size."""
    for size in (n for shape in sizes for n in shape):
        if type(size) is not int or not 0 <= size < 2**63:
            raise InvalidStore(f"{where} claims the size {str(size)[:40]}.")


def _check_array(where: object, shape: Any, chunk: Any, is_coordinate: bool) -> None:
    """Hold sizes that a file claims against the bounds; 8 bytes a value are assumed."""
    _check_sizes(where, shape, chunk)
    if 8 * math.prod(chunk) > LARGEST_CHUNK:
        raise InvalidStore(f"{where} claims chunks of {8 * math.prod(chunk)} bytes.")
    if is_coordinate:
        parts = _parts(shape, chunk)
        if max(math.prod(shape), math.prod(chunk)) > MOST_COORDINATES or parts > MOST_CHUNKS:
            raise InvalidStore(
                f"{where} claims a coordinate of {math.prod(shape)} values in {parts} chunks."
            )


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
                        if found.shape is None:
                            raise InvalidStore(f"{where} has no values.")
                        _check_scaling(where, found.attrs)
                        shape = [int(size) for size in found.shape]
                        chunk = [int(size) for size in found.chunks or ()]
                        _check_array(where, shape, chunk, found.is_scale)
                        _check_filters(where, found.id, found.chunks, found.dtype.itemsize)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        if isinstance(error, InvalidStore):
            raise
        raise InvalidStore(f"{path} is not a readable store: {error}") from error


def _check_filters(where: str, array: Any, chunk: Any, itemsize: int) -> None:
    """Refuse filters of HDF5 by which a small chunk becomes a large one."""
    from h5py import h5z

    properties = array.get_create_plist()
    filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
    known = {h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32}
    if not known.issuperset(filters) or filters.count(h5z.FILTER_DEFLATE) > 1:
        raise InvalidStore(f"{where} is encoded by the filters {filters} of HDF5.")
    if filters:
        size = itemsize * math.prod(chunk)
        if size > LARGEST_COMPRESSED:
            raise InvalidStore(f"{where} claims compressed chunks of {size} bytes.")
        most = size + size // 100 + 1024  # deflate makes random bytes little longer
        for i in range(array.get_num_chunks()):
            if array.get_chunk_info(i).size > most:
                raise InvalidStore(f"{where} has a chunk that is longer than its values.")
