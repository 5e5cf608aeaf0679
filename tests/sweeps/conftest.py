"""The functions that are swept must be importable by workers; a digest of a store's bytes."""

import hashlib
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # other processes import `studies` by name


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
