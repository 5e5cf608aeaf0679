"""Compiled code is kept for its owner alone, believed by checksum, and not needed."""

import os
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import sympy as sp

import statmech_bn
from statmech_bn import compile_cache
from statmech_bn.codegen import numba_array_function, numba_function
from statmech_bn.codegen.numba_target import _array_function
from statmech_bn.errors import CompileCacheWarning

x = sp.Symbol("x")
EXPRESSIONS = [sp.cos(3 * x) + 11, x**2]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Yield a cache folder of this test alone."""
    tmp_path.chmod(0o700)
    monkeypatch.setenv(compile_cache.VARIABLE, str(tmp_path / "cache"))
    compile_cache.cache_folder.cache_clear()
    generated = {k: v for k, v in sys.modules.items() if k.startswith(compile_cache.GENERATED)}
    yield tmp_path / "cache"
    sys.modules.update(generated)  # compiled functions of the package are of these modules
    compile_cache.cache_folder.cache_clear()


def again():
    """Compile as another process would, and return whether the code was found."""
    for name in [name for name in sys.modules if name.startswith(compile_cache.GENERATED)]:
        del sys.modules[name]
    made = numba_function(EXPRESSIONS, [x])
    assert made(0.0) == (12.0, 0.0)
    return sum(made.stats.cache_hits.values()) == 1


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_code_is_found_again(folder, monkeypatch):
    assert [again(), again()] == [False, True]
    monkeypatch.chdir(folder)
    assert again()


def test_the_folder_is_private(folder):
    old = os.umask(0)
    try:
        assert not again()
    finally:
        os.umask(old)
    for path in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        assert path.stat().st_mode & 0o777 == 0o700


def cut(content):
    return content[: len(content) // 2]


def flipped(content):
    return content[:-200] + bytes([content[-200] ^ 1]) + content[-199:]


class Fires:
    def __reduce__(self):
        return open, ("fired", "w")


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize(
    "garble",
    [cut, flipped, lambda c: b"", lambda c: c[:31], lambda c: os.urandom(len(c)),
     lambda c: b"\0" * len(c), lambda c: c + b"x", lambda c: c[32:],
     lambda c: pickle.dumps(Fires()), lambda c: c[:32] + pickle.dumps(Fires())],
    ids=["cut", "flipped", "empty", "short", "random", "zeros", "longer", "headless", "pickle",
         "pickle behind a checksum"],
)  # fmt: skip
def test_a_garbled_file_is_made_anew(folder, monkeypatch, garble, suffix):
    monkeypatch.chdir(folder.parent)
    assert [again(), again()] == [False, True]
    chosen = [path for path in files(folder) if path.suffix == suffix]
    assert chosen
    for path in chosen:
        path.write_bytes(garble(path.read_bytes()))
    assert [again(), again()] == [False, True]
    assert not Path("fired").exists()


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_a_folder_in_place_of_a_file_makes_room(folder, suffix):
    again()
    for path in [path for path in files(folder) if path.suffix == suffix]:
        path.unlink()
        (path / "inside").mkdir(parents=True)
    assert [again(), again()] == [False, True]


def test_callbacks_are_kept_as_well(folder):
    """They are compiled by another part of Numba."""
    for hits in (0, 1):
        _array_function.cache_clear()
        for name in [name for name in sys.modules if name.startswith(compile_cache.GENERATED)]:
            del sys.modules[name]
        assert numba_array_function(EXPRESSIONS, x).cache_hits == hits


def test_no_source_is_read_or_written(folder):
    again()
    assert {path.suffix for path in files(folder)} == {".nbi", ".nbc"}


def not_kept(match):
    with pytest.warns(CompileCacheWarning, match=match) as caught:
        assert [again(), again()] == [False, False]
    assert len(caught) == 1


@pytest.mark.parametrize("mode", [0o770, 0o720, 0o702, 0o777, 0o1777])
@pytest.mark.parametrize("made", [True, False])
def test_a_folder_that_others_may_write_to_is_not_used(folder, mode, made):
    folder.mkdir()
    folder.chmod(mode)
    not_kept("others may write to")
    assert not files(folder)


@pytest.mark.parametrize("mode", [0o770, 0o777])
def test_nor_is_one_below_such_a_folder(folder, mode, monkeypatch):
    monkeypatch.setenv(compile_cache.VARIABLE, str(folder / "deep" / "er"))
    folder.mkdir()
    folder.chmod(mode)
    not_kept("others may write to")


def test_a_sticky_folder_may_be_above(folder, monkeypatch):
    monkeypatch.setenv(compile_cache.VARIABLE, str(folder / "mine"))
    folder.mkdir()
    folder.chmod(0o1777)
    assert [again(), again()] == [False, True]


def test_a_link_is_judged_by_where_it_leads(folder, tmp_path):
    elsewhere = tmp_path / "shared" / "cache"
    elsewhere.mkdir(parents=True)
    elsewhere.parent.chmod(0o777)
    folder.symlink_to(elsewhere)
    not_kept("others may write to")


def test_the_folder_of_another_user_is_not_used(folder, monkeypatch):
    folder.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    not_kept("belongs to another user")


def test_a_file_in_place_of_the_folder(folder):
    folder.write_text("")
    not_kept("cannot be written to")


@pytest.mark.parametrize("place", ["~nobody-of-this-name/cache", "loop"])
def test_what_is_no_folder(folder, place, monkeypatch):
    (folder.parent / "loop").symlink_to("loop")
    monkeypatch.setenv("STATMECH_BN_CACHE", place if "~" in place else str(folder.parent / place))
    not_kept("cannot be written to")


def test_a_full_disk_is_no_error(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compile_cache.CheckedFile, "_write", full)
    assert [again(), again()] == [False, False]


def test_every_module_that_compiles_takes_numba_from_the_cache():
    """Another `numba` may have been told of no folder when its functions are decorated."""
    package = Path(statmech_bn.__file__).parent
    for path in package.rglob("*.py"):
        text = path.read_text()
        if re.search(r"@numba\.njit\([^)]*cache=True|= numba\.njit\(cache=True", text):
            assert re.search(r"from statmech_bn\.compile_cache import .*\bnumba$", text, re.M), path
            assert not re.search(r"^import numba", text, re.MULTILINE), path


def test_functions_of_others_are_left_to_numba(tmp_path):
    def theirs(y):
        return y

    assert compile_cache.Locator.from_function(theirs, __file__) is None
    file = compile_cache._cache_file(str(tmp_path), "f", b"")
    assert type(file) is compile_cache._NUMBAS


CODE = (
    "import sympy as sp; from statmech_bn.codegen import numba_function;"
    "from statmech_bn.averages.quadrature import numba; x = sp.Symbol('x');"
    "print(numba_function([x**2], [x])(3.0))"
)


@pytest.mark.skipif(shutil.which("unshare") is None, reason="no mount namespaces")
@pytest.mark.parametrize("writable", [pytest.param(True, marks=pytest.mark.thorough), False])
def test_package_and_home_read_only(tmp_path, writable):
    """Containers and clusters are so: one variable is enough, and nothing is needed."""
    project = Path(statmech_bn.__file__).parents[1]
    read_only = f"mount --bind {project} {project} && mount -o remount,ro,bind {project}"
    if subprocess.run(["unshare", "-m", "sh", "-c", read_only], capture_output=True).returncode:
        pytest.skip("mounting is not allowed")
    tmp_path.chmod(0o700)
    cache = tmp_path / "cache" if writable else project / "cache"
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("NUMBA")},
        "HOME": "/proc/none", "XDG_CACHE_HOME": "/proc/none", "TMPDIR": "/proc/none",
        "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(project), "STATMECH_BN_CACHE": str(cache),
    }  # fmt: skip
    call = ["unshare", "-m", "sh", "-c", f'{read_only} && exec {sys.executable} -c "{CODE}"']
    done = subprocess.run(call, env=environment, capture_output=True, text=True, timeout=200)
    assert done.stdout == "(9.0,)\n", done.stderr
    assert done.stderr.count("CompileCacheWarning") == (0 if writable else 1)
    assert bool(files(tmp_path)) == writable


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_is_told_once_that_something_is_compiled(folder, terminal, monkeypatch, capsys):
    monkeypatch.setattr(compile_cache.Notice, "said", False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    monkeypatch.setattr(compile_cache.notice, "said", False)
    before = compile_cache.notice.seconds
    assert [again(), again()] == [False, True]
    assert capsys.readouterr().err.count("compiling …") == terminal
    assert 0 < compile_cache.notice.seconds - before < 60
