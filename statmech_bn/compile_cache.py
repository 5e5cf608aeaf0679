"""Where compiled code is kept between processes, and when it is believed.

The folder is $STATMECH_BN_CACHE, or the user's cache folder. It holds machine code and pickles, so
whoever writes to it runs code here: it is created for its owner alone, and it is used only if no
other user can write to it or replace it, that is, if for it and each folder above it

    owner = this user or root (this user for the folder itself),   mode & 022 = 0 or sticky

Without such a folder nothing is kept: the package works, and compiles anew in every process.

Modules that compile import `numba` from here, so that it finds the folder by a locator. Each file
begins with a checksum of what follows and of what it was compiled from: the sources of its own
module and of every module whose compiled functions it may contain, and the constants that it has
from elsewhere. A file that is cut short, garbled or of other sources is a miss. A terminal is told
once that something is compiled.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import pickle
import shutil
import stat
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
import platformdirs
from numba.core import caching, event
from numba.core.dispatcher import Dispatcher

from statmech_bn.errors import CompileCacheWarning

__all__ = ["INNER", "cache_folder", "distrust", "numba"]

VARIABLE = "STATMECH_BN_CACHE"
GENERATED = "statmech_bn_generated_"
"""The name of a generated module begins so, and ends with the checksum of its source."""
PACKAGE = Path(__file__).parent
INNER: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""Options of functions that compiled code alone calls; what Python would call is not compiled."""
PRIVATE = 0o700


@functools.cache
def cache_folder() -> Path | None:
    """Return the folder of compiled code, or None, with one warning, if there is none to trust."""
    chosen = os.environ.get(VARIABLE)
    folder = Path(chosen or platformdirs.user_cache_dir("statmech_bn"))
    try:
        folder = folder.expanduser().resolve()
        for missing in reversed([p for p in (folder, *folder.parents) if not p.exists()]):
            missing.mkdir(PRIVATE, exist_ok=True)
        problem = distrust(folder)
        if not problem:
            tempfile.TemporaryFile(dir=folder).close()
            return folder
    except (
        OSError,
        RuntimeError,
        ValueError,
    ) as error:  # read-only, full, no home, a loop of links
        problem = f"it cannot be written to ({error})"
    warnings.warn(
        f"Compiled code is not kept in {folder}: {problem}. Every process compiles anew. "
        f"Set {VARIABLE} to a folder of your own.",
        CompileCacheWarning,
        stacklevel=2,
    )
    return None


def distrust(folder: Path) -> str:
    """Say why others could put code into a folder, or return nothing."""
    if not hasattr(os, "geteuid"):  # Windows keeps users' folders apart
        return ""
    for place in (folder, *folder.parents):
        found = place.stat()
        allowed = {os.geteuid()} if place == folder else {os.geteuid(), 0}
        if found.st_uid not in allowed:
            return f"{place} belongs to another user"
        shared = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if shared and (place == folder or not found.st_mode & stat.S_ISVTX):
            return f"others may write to {place} (chmod go-w would change it)"
    return ""


class Locator(caching._SourceFileBackedLocatorMixin, caching._CacheLocator):
    """Tells Numba where functions of this package are kept."""

    def __init__(self, py_func: Any, py_file: str) -> None:
        self._py_file, self._lineno = py_file, py_func.__code__.co_firstlineno
        self._scope = py_func.__globals__

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> Locator | None:
        """Return a locator for a function of this package or of a generated module, else None."""
        path = Path(py_file)
        ours = path.name.startswith(GENERATED) or path.is_relative_to(PACKAGE)
        return cls(py_func, py_file) if ours else None

    def get_cache_path(self) -> str:
        """Return the folder of one source folder; nothing is written where there is none."""
        folder = cache_folder()
        generated = Path(self._py_file).name.startswith(GENERATED)
        below = "generated" if generated else self.get_suitable_cache_subpath(self._py_file)
        return "" if folder is None else str(folder / below)

    def ensure_cache_path(self) -> None:
        """Make the folder, for its owner alone."""
        if path := self.get_cache_path():
            os.makedirs(path, PRIVATE, exist_ok=True)

    def get_source_stamp(self) -> Any:
        """Return a checksum of all sources; a generated module has its own in its name."""
        name = Path(self._py_file).name
        if name.startswith(GENERATED):
            return name
        found = hashlib.sha256()
        for part in _sources(self._py_file, self._scope, set()):
            found.update(part)
        return found.digest()


def _sources(py_file: str, scope: dict[str, Any], seen: set[str]) -> Iterator[bytes]:
    """Yield the source of a module, of those whose compiled functions it has, and its constants.

    Machine code contains what it calls, and the values of names outside of it.
    """
    seen.add(py_file)
    name = Path(py_file).name
    yield name.encode() if name.startswith(GENERATED) else _content(py_file)
    for value in scope.values():
        if isinstance(value, Dispatcher):
            other = value.py_func.__code__.co_filename
            if other not in seen:
                yield from _sources(other, value.py_func.__globals__, seen)
        elif isinstance(value, (bool, int, float)):
            yield repr(value).encode()
        elif isinstance(value, np.ndarray):
            yield value.tobytes()


@functools.cache
def _content(py_file: str) -> bytes:
    return hashlib.sha256(Path(py_file).read_bytes()).digest()


class CheckedFile(caching.IndexDataCacheFile):
    """Numba's index and data, each behind a checksum; one that is not whole is not there."""

    def save(self, key: Any, data: Any) -> None:
        """Keep a compiled function, if there is a place and room."""
        if self._cache_path:
            with contextlib.suppress(OSError):  # a full disk, say: what was compiled runs
                super().save(key, data)

    def _load_index(self) -> dict[Any, str]:
        content = self._read(self._index_path) if self._cache_path else None
        return {} if content is None else pickle.loads(content)

    def _save_index(self, overloads: dict[Any, str]) -> None:
        self._write(self._index_path, self._dump(overloads))

    def _load_data(self, name: str) -> Any:
        if (content := self._read(self._data_path(name))) is None:
            raise FileNotFoundError(name)  # which Numba takes for a miss
        try:
            return pickle.loads(content)
        except (ImportError, AttributeError) as error:  # of a module that is not there any more
            raise FileNotFoundError(name) from error

    def _save_data(self, name: str, data: Any) -> None:
        self._write(self._data_path(name), self._dump(data))

    def _checksum(self, content: bytes) -> bytes:
        source = repr((self._version, self._source_stamp)).encode()
        return hashlib.sha256(source + content).digest()

    def _read(self, path: str) -> bytes | None:
        try:
            content = Path(path).read_bytes()
        except OSError:
            return None
        checksum, content = content[:32], content[32:]
        return content if self._checksum(content) == checksum else None

    def _write(self, path: str, content: bytes) -> None:
        if os.path.isdir(path):
            shutil.rmtree(path)
        with self._open_for_write(path) as file:
            file.write(self._checksum(content) + content)


def _cache_file(cache_path: str, filename_base: str, source_stamp: Any) -> Any:
    """Make the file of a function: ours in our folder, Numba's own elsewhere."""
    folder = cache_folder()
    ours = not cache_path or (folder is not None and Path(cache_path).is_relative_to(folder))
    return (CheckedFile if ours else _NUMBAS)(cache_path, filename_base, source_stamp)


class Notice(event.Listener):
    """Says on a terminal, once, that something is compiled, and counts the seconds."""

    said = False

    def __init__(self) -> None:
        self.seconds, self._depth, self._began = 0.0, 0, 0.0

    def on_start(self, event: Any) -> None:
        """Say it; what is loaded from the folder is not compiled."""
        if self._depth == 0:
            self._began = time.perf_counter()
        self._depth += 1
        if not self.said and sys.stderr.isatty():
            kept = "" if cache_folder() is None else ", kept for the next time"
            print(f"compiling … (up to half a minute{kept})", file=sys.stderr, flush=True)
            self.said = True

    def on_end(self, event: Any) -> None:
        """Count it, once with all that it contains: one thread compiles at a time."""
        self._depth -= 1
        if self._depth == 0:
            self.seconds += time.perf_counter() - self._began


class Compiling(event.Listener):
    """Counts who compiles, or waits for it: an exception that comes into it from outside is lost.

    Numba's compiler calls Python from LLVM, and what is raised there goes nowhere.
    """

    def __init__(self) -> None:
        self.depth, self._lock = 0, threading.Lock()

    def on_start(self, event: Any) -> None:
        """Count one more."""
        with self._lock:
            self.depth += 1

    def on_end(self, event: Any) -> None:
        """Count one less."""
        with self._lock:
            self.depth -= 1


notice, compiling = Notice(), Compiling()
_NUMBAS = caching.IndexDataCacheFile
event.register("numba:compile", notice)
event.register("numba:compiler_lock", compiling)
if Locator not in caching.CacheImpl._locator_classes:
    caching.CacheImpl._locator_classes.insert(0, Locator)
    setattr(caching, "IndexDataCacheFile", _cache_file)  # noqa: B010  (a class, to mypy)
