"""The functions that are swept must be importable by workers; a digest of a store's bytes."""

import hashlib
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # other processes import `studies` by name


@pytest.fixture
def cut_power(monkeypatch):
    """Return a function that empties the files of a folder which are not on disk yet."""
    on_disk, fsync = {}, os.fsync

    def remember(descriptor):
        fsync(descriptor)
        found = os.fstat(descriptor)
        on_disk[found.st_ino] = found.st_mtime_ns

    def cut(folder):
        for file in folder.rglob("*"):
            found = file.stat()
            if file.is_file() and on_disk.get(found.st_ino) != found.st_mtime_ns:
                file.write_bytes(b"")

    monkeypatch.setattr(os, "fsync", remember)
    return cut


@pytest.fixture
def digest():
    """Return the checksum of each file below a folder."""

    def of(folder):
        found = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        assert found
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in found
        }

    return of
