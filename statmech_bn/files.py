"""Paths of users, and the replacement of a store: a kill leaves the old one or the new one.

A folder cannot be replaced atomically, so a new store takes its place in two renames:

    name → .name.replaced        the old store steps aside
    .name.*.saving/name → name   the new one, complete and on disk, takes its place

If a process dies in between, `recover` puts the old store back. The renames, and the opening of a
store, happen under a lock of the operating system (flock on the parent folder), which ends with its
process and leaves no file. The room in which a store is made is locked too: a room that is not is
of a process that died, and the next save removes it.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

from statmech_bn.errors import InvalidStore, invalid

try:
    import fcntl
except ImportError:  # no POSIX locks: concurrent saves of one store are not kept apart
    fcntl = None  # type: ignore[assignment]

LONGEST_NAME = 200
"""Files and folders have names of at most so many bytes; what is beside them has 20 more."""
PATIENCE = 20.0
"""A lock is waited for so many seconds; it is held for the time of a few renames."""


def user_path(path: Any, argument: str = "path") -> Path:
    """Turn what a user gives into a path; ``~`` is the home folder.

    Raises
    ------
    InvalidSetup
        It is no path, or of a home folder that is not known, or in a working folder that is gone,
        or has names that are too long.
    """
    kind, fix = "a path", "Write it as a string or a pathlib.Path."
    if not isinstance(path, (str, os.PathLike)) or not isinstance(os.fspath(path), str):
        raise invalid(argument, kind, path, fix)
    if not os.fspath(path) or "\0" in os.fspath(path):
        raise invalid(argument, kind, path, fix)
    if re.match("[A-Za-z][A-Za-z0-9+.-]+://", os.fspath(path)):
        raise invalid(argument, "a path of this machine, no address", path)
    try:
        found = Path(path).expanduser()
    except RuntimeError as error:
        raise invalid(argument, "a home folder that is known", path, str(error)) from error
    if any(len(os.fsencode(part)) > LONGEST_NAME for part in found.parts):
        raise invalid(argument, f"names of at most {LONGEST_NAME} bytes", path)
    try:
        name = os.path.basename(os.path.realpath(found))
    except OSError as error:
        raise invalid(argument, "a working folder that is there", path, str(error)) from error
    if not name:
        raise invalid(argument, "a path within a folder", path, "Name a file or a folder.")
    return found


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path to write a store to; once written, it takes the place of the one at `path`.

    If anything goes wrong, the old store stays and nothing else is left behind.

    Raises
    ------
    InvalidStore
        Another process is writing a sweep into the store, or holds the lock.
    """
    target = Path(os.path.realpath(path))  # the place of a link, not the link
    made = _make_folders(target.parent)
    room, lock = None, None
    try:
        with locked(target.parent, patient=True):
            _remove_leftovers(target)
            room = _make_room(target)
            lock = _lock(room, shared=False)
        yield room / target.name
        synchronize(room)
        with locked(target.parent, patient=True):
            _swap(room / target.name, target)
            _remove_aside(target)
    except BaseException:
        if lock is not None:  # first of all: who holds it is taken to be alive
            os.close(lock)
            lock = None
        if room is not None:
            _clear(room)
        for folder in reversed(made):
            with suppress(OSError):
                folder.rmdir()
        raise
    finally:
        if lock is not None:
            os.close(lock)
        if room is not None:
            shutil.rmtree(room, ignore_errors=True)


@contextmanager
def settled(path: Path) -> Iterator[Path]:
    """Yield where the store of a path is, while no other process replaces it."""
    target = recover(path)
    with locked(target.parent, shared=True):
        yield target


def recover(path: Path) -> Path:
    """Finish what a process that died in a replacement had begun; return where the store is."""
    aside = _aside(Path(os.path.realpath(path)))
    if not aside.exists():
        return path
    target = Path(os.path.realpath(path))
    try:
        with locked(target.parent):
            if aside.exists() and not target.exists():
                aside.rename(target)
            elif aside.exists():
                _remove_aside(target)
    except OSError:  # the folder is read-only
        return path if target.exists() else aside
    return path


def remove(path: Path) -> None:
    """Remove a store: a kill leaves it whole or not there."""
    with replacing(path) as unused:
        unused.mkdir()
    path.rmdir()


def synchronize(folder: Path) -> None:
    """Bring every file of a folder to disk, and their names; many at once share the wait."""
    paths = (Path(at, name) for at, _, files in os.walk(folder) for name in (*files, "."))
    with ThreadPoolExecutor(16) as pool:
        while some := list(islice(paths, 1000)):
            list(pool.map(fsync, some))


def fsync(path: Path) -> None:
    """Bring a file, or the names in a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(folder: Path, shared: bool = False, patient: bool = False) -> Iterator[None]:
    """Hold the lock of a folder; where there are none, or in vain and not patient, go on without.

    Raises
    ------
    InvalidStore
        Another process holds it all the time.
    """
    descriptor, deadline = None, time.monotonic() + PATIENCE
    try:
        while descriptor is None:
            try:
                descriptor = _lock(folder, shared)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    if patient:
                        raise InvalidStore(
                            f"Another process holds {folder}. Wait until it ends."
                        ) from None
                    break
                time.sleep(0.005)
            except OSError:
                break
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _lock(folder: Path, shared: bool) -> int | None:
    """Lock a folder, without waiting; None where there are no locks."""
    if fcntl is None:
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _aside(target: Path) -> Path:
    return target.with_name(f".{target.name}.replaced")


def _swap(new: Path, target: Path) -> None:
    """Put a complete store in its place; the caller holds the lock."""
    aside = _aside(target)
    if not target.is_dir():
        os.replace(new, target)
        fsync(target.parent)
        return
    try:
        held = _lock(target, shared=False)  # a sweep would go on writing into it
    except BlockingIOError:
        raise InvalidStore(
            f"Another process is writing to {target}. Wait until it ends, or name another store."
        ) from None
    try:
        os.rename(target, aside)
        os.rename(new, target)
        fsync(target.parent)
    except BaseException:
        if not target.exists():
            os.rename(aside, target)
        raise
    finally:
        if held is not None:
            os.close(held)


def _remove_aside(target: Path) -> None:
    """Remove a store that was replaced, as far as it can be; the caller holds the lock."""
    aside = _aside(target)
    if not aside.exists():
        return
    room = _make_room(target)
    os.rename(aside, room)  # a folder may take the place of an empty one
    shutil.rmtree(room, ignore_errors=True)


def _remove_leftovers(target: Path) -> None:
    """Remove what processes that died have left; the caller holds the lock."""
    if _aside(target).exists():
        if target.exists():
            _remove_aside(target)
        else:
            _aside(target).rename(target)
    ours = re.compile(re.escape(f".{target.name}.") + r"[a-z0-9_]{8}\.saving")
    for room in [found for found in target.parent.iterdir() if ours.fullmatch(found.name)]:
        try:
            lock = _lock(room, shared=False)
        except OSError:  # it is in use, or gone
            continue
        try:
            shutil.rmtree(room, ignore_errors=True)
        finally:
            if lock is not None:
                os.close(lock)


def _clear(room: Path) -> None:
    """Remove a folder into which threads of a writer that failed may still write for a moment."""
    quiet = 0
    for _ in range(200):
        quiet = 0 if room.exists() else quiet + 1
        if quiet > 10:
            return
        shutil.rmtree(room, ignore_errors=True)
        time.sleep(0.01)


def _make_room(target: Path) -> Path:
    """Make a hidden folder beside a store."""
    return Path(tempfile.mkdtemp(".saving", f".{target.name}.", target.parent))


def _make_folders(folder: Path) -> list[Path]:
    """Make a folder with its parents; return those that were made."""
    made: list[Path] = []
    for parent in [*reversed(folder.parents), folder]:
        if not parent.exists():
            with suppress(FileExistsError):
                parent.mkdir()
                made.append(parent)
    return made
