"""The chunks of a variable in one file, when a sweep has ended.

A shard of Zarr 3 is its chunks one after the other, as their files were, and an index

    offset₀ length₀ offset₁ length₁ …  CRC-32C        (64 bits each, little-endian; at the end)

Chunks are ``c/0/1``, the shard of all of them is ``c.0.0``: both fit beside each other, and the
array's ``zarr.json``, which is replaced atomically, says which of the two is the array. What a kill
leaves of the other is removed when the store is opened next.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np

from statmech_bn.files import fsync, synchronize
from statmech_bn.store_metadata import UNFINISHED, read_metadata, write_metadata
from statmech_bn.sweeps.grid import Chunks

BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
INDEX = [BYTES, {"name": "crc32c"}]


class Shards:
    """The files of one variable of a sweep.

    Parameters
    ----------
    folder : Path
        The array's.
    chunks : Chunks
        The chunks of the grid; along the variable's own dims there is one.

    Attributes
    ----------
    merged : bool
        Whether the chunks are in one file.
    """

    def __init__(self, folder: Path, chunks: Chunks) -> None:
        self.folder, self.chunks, self.name = folder, chunks, folder.name
        self.ndim = len(self._metadata()["shape"])
        self.shard = folder / ".".join(["c", *"0" * self.ndim])
        self.merged = self._metadata()["codecs"][0]["name"] == "sharding_indexed"
        if self.merged:
            shutil.rmtree(folder / "c", ignore_errors=True)
        else:
            self.shard.unlink(missing_ok=True)

    def _metadata(self) -> dict[str, Any]:
        return read_metadata(self.folder)

    def file(self, number: int) -> Path:
        """Return the file of a chunk that is not merged."""
        index = self.chunks.index(number) + (0,) * (self.ndim - len(self.chunks.shape))
        return self.folder.joinpath("c", *map(str, index))

    def read(self, number: int) -> bytes:
        """Return the bytes of a chunk; nothing if it is not there."""
        try:
            if not self.merged:
                return self.file(number).read_bytes()
            with self.shard.open("rb") as file:
                length = self._length()
                file.seek(number * length)
                return file.read(length)
        except FileNotFoundError:
            return b""

    def _length(self) -> int:
        """Return the bytes of a chunk in the shard; all have the same."""
        whole = self.shard.stat().st_size
        return max(0, whole - len(self._index(0))) // len(self.chunks)

    def _index(self, length: int) -> bytes:
        """Return the index of chunks of one length."""
        index = np.full((len(self.chunks), 2), length, "<u8")
        index[:, 0] *= np.arange(len(self.chunks), dtype="u8")
        content = index.tobytes()
        return content + struct.pack("<I", google_crc32c.value(content))

    def is_whole(self) -> bool:
        """Say whether the shard is there with its index; its chunks have checksums of their own."""
        try:
            index = self._index(self._length())
            with self.shard.open("rb") as file:
                file.seek(-len(index), os.SEEK_END)
                return file.read() == index
        except OSError:
            return False

    def merge(self) -> None:
        """Write all chunks, which are done, into one file."""
        if self.merged or len(self.chunks) == 1:
            return
        unfinished = self.shard.with_name(self.shard.name + UNFINISHED)
        try:
            with unfinished.open("wb") as file:
                for number in range(len(self.chunks)):
                    content = self.read(number)
                    file.write(content)
                file.write(self._index(len(content)))
            fsync(unfinished)
            unfinished.replace(self.shard)
        except OSError:
            unfinished.unlink(missing_ok=True)  # the space may be needed
            raise
        fsync(self.folder)
        metadata = self._metadata()
        grid, axes = metadata["chunk_grid"]["configuration"], len(self.chunks.shape)
        inside = {
            "chunk_shape": grid["chunk_shape"],
            "codecs": metadata["codecs"],
            "index_codecs": INDEX,
            "index_location": "end",
        }
        whole = [n * k for n, k in zip(self.chunks.counts, self.chunks.shape, strict=True)]
        grid["chunk_shape"] = [*whole, *inside["chunk_shape"][axes:]]
        metadata["codecs"] = [{"name": "sharding_indexed", "configuration": inside}]
        metadata["chunk_key_encoding"] = {"name": "default", "configuration": {"separator": "."}}
        write_metadata(self.folder, metadata)
        self.merged = True
        shutil.rmtree(self.folder / "c")

    def split(self, is_whole: Callable[[bytes], bool]) -> None:
        """Write the chunks that are whole to files of their own."""
        for number in range(len(self.chunks)):
            if is_whole(content := self.read(number)):
                file = self.file(number)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
        synchronize(self.folder)
        metadata = self._metadata()
        inside = metadata["codecs"][0]["configuration"]
        metadata["chunk_grid"]["configuration"]["chunk_shape"] = inside["chunk_shape"]
        metadata["codecs"] = inside["codecs"]
        metadata["chunk_key_encoding"]["configuration"]["separator"] = "/"
        write_metadata(self.folder, metadata)
        self.merged = False
        self.shard.unlink(missing_ok=True)
