"""What stops a sweep leaves a store that the same call completes, to the same bytes."""

import errno
import itertools
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import BrokenExecutor, Future
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import studies
import zarr
from distributed import LocalCluster

import statmech_bn as sbn
from statmech_bn.errors import InvalidStore, SweepStopped
from statmech_bn.files import synchronize
from statmech_bn.sweeps import run
from statmech_bn.sweeps.store import Store, hold
from statmech_bn.sweeps.workers import _Here

pytestmark = pytest.mark.thorough

POINTS = 60
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def processes():
    """Return a starter of processes that have everything imported, so that kills come early too."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["statmech_bn", "pytest"])

    def start(target, *arguments, **more):
        process = context.Process(target=target, args=arguments, kwargs=more)
        process.start()
        return process

    start.context = context
    return start


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Return a store that nothing happened to, and the seconds that it took."""
    path = tmp_path_factory.mktemp("undisturbed") / "run.zarr"
    begin = time.perf_counter()
    studies.drive(path, studies.Silent(), points=POINTS)
    return path, time.perf_counter() - begin


def kill_drivers(path, processes, moments, **more):
    """Kill driver after driver of one store, each a time after it begins; count the kills."""
    kills = 0
    for moment in moments:
        begun = processes.context.Event()
        driver = processes(studies.drive, path, begun, points=POINTS, **more)
        assert begun.wait(60)
        time.sleep(moment)
        driver.kill()
        driver.join()
        kills += driver.exitcode == -signal.SIGKILL
    return kills


@pytest.mark.parametrize("kills", [4, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_drivers(tmp_path, digest, processes, undisturbed, kills):
    path, duration = undisturbed
    expected, dice, killed = digest(path), random.Random(0), 0
    for trial in itertools.count():
        store = tmp_path / str(trial) / "run.zarr"
        moments = [dice.uniform(0, duration) for _ in range(dice.choice([1, 1, 2, 3]))]
        killed += kill_drivers(store, processes, moments)
        studies.drive(store, studies.Silent(), points=POINTS)
        assert digest(store.parent) == {f"run.zarr/{name}": d for name, d in expected.items()}
        if killed >= kills:
            break


def test_the_next_call_computes_only_what_is_missing(tmp_path, monkeypatch):
    store, grid, called = tmp_path / "run.zarr", {"x": range(12)}, tmp_path / "called"
    function = partial(studies.fragile, cure=str(tmp_path / "cure"), called=str(called))
    with pytest.raises(SweepStopped):
        sbn.sweep(function, grid, store, workers=1)
    assert sbn.open(store).attrs["sweep_complete"] == 0
    finished = np.isfinite(sbn.open(store).z.values)
    assert 1 <= finished.sum() < 12
    assert not finished[7]
    (tmp_path / "cure").touch()
    called.unlink()
    sbn.sweep(function, grid, store, workers=1)
    assert sorted(map(int, called.read_text().split())) == np.flatnonzero(~finished).tolist()
    assert sbn.open(store).attrs["sweep_complete"] == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failing_point_is_named_and_the_rest_kept(tmp_path, digest, workers):
    store, cure = tmp_path / "run.zarr", tmp_path / "cure"
    function = partial(studies.fragile, cure=str(cure))
    with pytest.raises(SweepStopped) as caught:
        sbn.sweep(function, {"x": range(12)}, store, workers=workers)
    message = str(caught.value)
    assert "failed at {'x': 7}: RuntimeError: seven is too many" in message
    assert "make the same call again" in message
    cure.touch()
    sbn.sweep(function, {"x": range(12)}, store, workers=workers)
    sbn.sweep(function, {"x": range(12)}, tmp_path / "other", workers=1)
    assert digest(store) == digest(tmp_path / "other")


def test_a_failing_first_point_leaves_nothing(tmp_path):
    function = partial(studies.fragile, cure=str(tmp_path / "cure"))
    told = r"^The function failed at \{'x': 7\}: RuntimeError: seven is too many$"
    with pytest.raises(SweepStopped, match=told):
        sbn.sweep(function, {"x": [7, 8]}, tmp_path / "run.zarr")
    assert not list(tmp_path.iterdir())


def test_a_worker_that_ends_is_told_from_an_error():
    for error, told in (
        (BrokenExecutor("gone"), "^BrokenExecutor: gone A worker process ended.* Go on.$"),
        (OSError("gone"), "^OSError: gone Go on.$"),
    ):
        future = Future()
        future.set_exception(error)
        with pytest.raises(SweepStopped, match=told):
            run.result_of(future, "Go on.")


def test_a_pool_that_breaks_between_blocks_is_told(tmp_path, monkeypatch):
    class Breaking(_Here):
        left = 3

        def submit(self, function, /, *arguments):
            self.left -= 1
            if self.left < 0:
                raise BrokenExecutor("gone")
            return super().submit(function, *arguments)

    store = tmp_path / "run.zarr"
    monkeypatch.setattr(run, "executor", lambda *_: nullcontext((Breaking(), lambda: 1)))
    told = f"^BrokenExecutor: gone A worker process ended.* kept in {store}"
    with pytest.raises(SweepStopped, match=told):
        sbn.sweep(studies.nap, {"x": range(9)}, store)


def damage(kind, file):
    """Do to a chunk's file what a power cut can do."""
    content = file.read_bytes()
    if kind == "removed":
        file.unlink()
    else:
        file.write_bytes(
            {
                "empty": b"",
                "truncated": content[: len(content) // 2],
                "zeros": bytes(len(content)),
                "one bit": bytes([content[0] ^ 1]) + content[1:],
                "short zeros": bytes(4),
            }[kind]
        )


@pytest.mark.parametrize(
    "kind", ["removed", "empty", "truncated", "zeros", "one bit", "short zeros", "power cut"]
)
def test_damaged_chunks_are_found_and_computed_again(
    tmp_path, digest, undisturbed, cut_power, kind
):
    store = tmp_path / "run.zarr"
    stop_at_the_end(store)
    files = sorted(path for path in store.rglob("c/**/*") if path.is_file())
    assert len(files) > POINTS
    if kind == "power cut":
        cut_power(store)
    else:
        for file in random.Random(1).sample(files, 5):
            damage(kind, file)
    if kind in ("truncated", "one bit"):
        with pytest.raises(ValueError, match=r"checksum|bytes, a chunk"):
            sbn.open(store).load()  # any reader notices
    (store / "zarr.json.unfinished").write_text("{")
    (files[3].parent / "3.unfinished").write_bytes(b"abc")
    studies.drive(store, studies.Silent(), points=POINTS)
    assert digest(store) == digest(undisturbed[0])


def stop_at_the_end(store):
    """Make a store that has all its chunks, and is not finished."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "finish", lambda _: None)
        studies.drive(store, studies.Silent(), points=POINTS)


@pytest.mark.parametrize("kind", ["removed", "empty", "truncated", "zeros", "one bit", "index"])
@pytest.mark.parametrize("name", ["y", "z"])
def test_damaged_shards_are_found_and_computed_again(tmp_path, digest, undisturbed, kind, name):
    store = tmp_path / "run.zarr"
    shutil.copytree(undisturbed[0], store)
    (file,) = (store / name).glob("c.*")
    content = file.read_bytes()
    if kind == "index":
        file.write_bytes(content[:-8] + bytes([content[-8] ^ 1]) + content[-7:])
    else:
        damage(kind, file)
    if kind == "removed":
        with pytest.raises(InvalidStore, match=r"files of values.* a sweep that is run again"):
            sbn.open(store)
    studies.drive(store, studies.Silent(), points=POINTS)
    assert digest(store) == digest(undisturbed[0])


def test_interrupts_while_chunks_are_merged(tmp_path, digest, undisturbed, cut_power):
    """An interrupt at every file that is opened, replaced or removed from the last chunk on.

    Whenever the power is cut then, values that are on disk can be read.
    """
    store, moment, finished = tmp_path / "run.zarr", 0, False
    stop_at_the_end(tmp_path / "chunks.zarr")
    sys.addaudithook(interrupt)
    while not finished:
        moment += 9 + moment // 3
        shutil.rmtree(store, ignore_errors=True)
        shutil.copytree(tmp_path / "chunks.zarr", store)
        synchronize(store)
        LEFT["count"] = moment
        try:
            studies.drive(store, studies.Silent(), points=POINTS)
            finished = LEFT["count"] > 0
        except (KeyboardInterrupt, SweepStopped):
            pass
        finally:
            LEFT["count"] = None
        cut_power(store)
        np.testing.assert_array_equal(sbn.open(store).z, np.arange(1.0 * POINTS))
        studies.drive(store, studies.Silent(), points=POINTS)
        assert digest(store) == digest(undisturbed[0])
    assert moment > 20


LEFT = {"count": None}


def interrupt(event, _):
    main = threading.current_thread() is threading.main_thread()  # which Ctrl-C reaches
    if (
        main
        and LEFT["count"] is not None
        and event in {"open", "os.rename", "os.remove", "shutil.rmtree"}
    ):
        LEFT["count"] -= 1
        if LEFT["count"] == 0:
            raise KeyboardInterrupt


def test_all_chunks_carry_checksums(undisturbed):
    for _, array in zarr.open_group(undisturbed[0], mode="r").arrays():
        codecs = [codec.to_dict() for codec in array.metadata.codecs]
        if codecs[0]["name"] == "sharding_indexed":
            codecs = codecs[0]["configuration"]["codecs"]
        assert codecs[-1]["name"] == "crc32c"


def test_full_disk(tmp_path, digest, undisturbed, monkeypatch):
    written, write = [], Path.write_bytes

    def write_until_full(path, content):
        if len(written) > 25:
            write(path, content[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        written.append(path)
        return write(path, content)

    store = tmp_path / "run.zarr"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", write_until_full)
        with pytest.raises(SweepStopped, match="No space left on device") as caught:
            studies.drive(store, studies.Silent(), points=POINTS)
    assert "make the same call again" in str(caught.value)
    assert not list(store.rglob("*.unfinished"))
    studies.drive(store, studies.Silent(), points=POINTS)
    assert digest(store) == digest(undisturbed[0])


@pytest.mark.parametrize("is_begun", [False, True])
def test_writes_that_fail_at_every_moment(tmp_path, digest, failing_files, is_begun):
    """Folders, renames, removals and fsync fail, of a new sweep or one whose index is damaged."""
    store, other, moment, failed = tmp_path / "try" / "run.zarr", tmp_path / "other.zarr", 0, [0]
    drive = partial(sbn.sweep, studies.nap, {"x": range(4)}, workers=1)
    drive(other)
    expected = {f"run.zarr/{name}": value for name, value in digest(other).items()}
    while failed:
        moment += 1 + moment // 8
        shutil.rmtree(store.parent, ignore_errors=True)
        if is_begun:
            shutil.copytree(other, store)
            damage("truncated", store / "z" / "c.0")
        changes = ("mkdir", "rename", "replace", "unlink", "fsync")
        with failing_files(moment, changes) as failed, suppress(SweepStopped, InvalidStore):
            drive(store)
            assert digest(store.parent) == expected
        assert moment % 2 or not list(store.rglob("c*.unfinished"))  # the space may be needed
        drive(store)
        assert digest(store.parent) == expected
    assert moment > 60


@pytest.mark.parametrize(
    ("step", "told"),
    [("create", "No point is finished"), ("Store.begin", "kept in"), ("Store.finish", "kept in")],
)
def test_a_disk_that_is_full_at_a_step(tmp_path, monkeypatch, step, told):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = tmp_path / "run.zarr"
    monkeypatch.setattr(f"statmech_bn.sweeps.run.{step}", full)
    with pytest.raises(SweepStopped, match=rf"No space left on device\. .*{told}") as caught:
        sbn.sweep(studies.nap, {"x": [1]}, store, workers=1)
    assert (str(store) in str(caught.value)) == store.exists() == (step != "create")


FULL_DISK = """
set -e
mount -t tmpfs -o size=200k,nr_inodes=10k none {folder}
{python} - <<'END'
import shutil
import studies
from statmech_bn.errors import SweepStopped
try:
    studies.drive("{folder}/run.zarr", studies.Silent(), seconds=0.0)
except SweepStopped as error:
    print(error)
shutil.copytree("{folder}/run.zarr", "{copy}")
END
"""


@pytest.mark.slow
def test_full_file_system(tmp_path, digest, undisturbed):
    folder, copy = tmp_path / "small", tmp_path / "run.zarr"
    folder.mkdir()
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    try:
        subprocess.run([*unshare, f"mount -t tmpfs none {folder}"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small file system is not permitted here")
    script = FULL_DISK.format(folder=folder, python=sys.executable, copy=copy)
    paths = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*unshare, script],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert "No space left on device" in done.stdout
    with pytest.raises(InvalidStore, match=r"arguments\.seconds"):
        studies.drive(copy, studies.Silent(), points=POINTS)
    studies.drive(copy, studies.Silent(), seconds=0.0, points=POINTS)
    studies.drive(tmp_path / "other", studies.Silent(), seconds=0.0, points=POINTS)
    assert digest(copy) == digest(tmp_path / "other")


def test_keyboard_interrupt_says_how_to_resume(tmp_path, digest, processes):
    ours, theirs = processes.context.Pipe()
    store, slow = tmp_path / "run.zarr", {"points": POINTS, "seconds": 0.1}
    driver = processes(studies.drive_and_tell, store, theirs, **slow)
    assert ours.poll(60)
    assert ours.recv() == "begun"
    while not (store / "y" / "c" / "3").exists():
        time.sleep(0.005)
    os.kill(driver.pid, signal.SIGINT)
    assert ours.poll(60)
    kind, _, notes = ours.recv()
    driver.join()
    assert kind == "KeyboardInterrupt"
    assert f"kept in {store}; make the same call again" in notes[0]
    studies.drive(store, studies.Silent(), **slow, workers=32)
    studies.drive(tmp_path / "undisturbed.zarr", studies.Silent(), **slow, workers=32)
    assert digest(store) == digest(tmp_path / "undisturbed.zarr")


def test_one_of_several_drivers_goes_on(tmp_path, digest, processes, undisturbed):
    store, told = tmp_path / "run.zarr", []
    for _ in range(3):
        ours, theirs = processes.context.Pipe()
        processes(studies.drive_and_tell, store, theirs, points=POINTS)
        told.append(ours)
    ends = [(pipe.recv(), pipe.recv())[1] for pipe in told]
    refused = [end for end in ends if end[0] == "InvalidStore"]
    assert all("Another process is writing" in end[1] for end in refused)
    assert len(refused) + ends.count("finished") == 3
    assert "finished" in ends
    assert digest(store.parent) == {
        f"run.zarr/{name}": value for name, value in digest(undisturbed[0]).items()
    }


def test_the_lock_ends_with_its_holder(tmp_path):
    store = tmp_path / "run.zarr"
    with hold(store) as folder:
        with pytest.raises(InvalidStore, match="Another process"), hold(store):
            pass
        assert folder.exists()
    with hold(store):
        pass


@pytest.mark.parametrize("moment", ["before it is opened", "after", "after, and made again"])
def test_a_folder_that_another_process_removes_is_made_again(tmp_path, monkeypatch, moment):
    """What is held is what stands there."""
    removed, opened, store = [], os.open, tmp_path / "run.zarr"

    def open_removed(path, flags):
        if removed:
            return opened(path, flags)
        removed.append(path)
        descriptor = opened(path, flags)
        os.rmdir(path)
        if moment == "after, and made again":
            os.mkdir(path)
        if moment == "before it is opened":
            os.close(descriptor)
            return opened(path, flags)
        return descriptor

    monkeypatch.setattr(os, "open", open_removed)
    with hold(store) as folder:
        assert [folder] == removed
        with pytest.raises(InvalidStore, match="Another process"), hold(store):
            pass


def test_a_store_is_held_from_first_point_to_last(tmp_path):
    store, leftover = tmp_path / "run.zarr", tmp_path / ".run.zarr.unfinished"
    (leftover / "y").mkdir(parents=True)
    (leftover / "zarr.json").write_text("{}")
    function = partial(studies.intruder, store=str(store))
    refused = sbn.sweep(function, {"x": range(600)}, store, workers=2, chunk_points=1)
    assert refused.refused.all()
    assert not leftover.exists()


@pytest.mark.slow
def test_killed_worker_process(tmp_path, digest):
    store, cure = tmp_path / "run.zarr", tmp_path / "cure"
    function, grid = partial(studies.deadly, cure=str(cure)), {"x": range(20)}
    with pytest.raises(SweepStopped, match="BrokenProcessPool"):
        sbn.sweep(function, grid, store, workers=2, processes=True)
    cure.touch()
    sbn.sweep(function, grid, store, workers=2, processes=True)
    sbn.sweep(function, grid, tmp_path / "other", workers=1)
    assert digest(store) == digest(tmp_path / "other")


@pytest.mark.slow
def test_worker_processes_end_with_a_killed_driver(tmp_path, processes):
    begun = processes.context.Event()
    store = tmp_path / "run.zarr"
    driver = processes(
        studies.drive, store, begun, seconds=0.1, points=2000, workers=2, processes=True
    )
    assert begun.wait(60)
    while not (store / "y" / "c" / "3").exists():
        time.sleep(0.05)
    listed = Path(f"/proc/{driver.pid}/task/{driver.pid}/children").read_text().split()
    assert len(listed) >= 2
    driver.kill()
    driver.join()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{child}").exists() for child in listed):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_killed_workers_of_a_cluster(tmp_path, digest, undisturbed):
    store, kills, dice = tmp_path / "run.zarr", 0, random.Random(2)
    with LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as cluster:
        ours, theirs = multiprocessing.Pipe()
        function, grid = partial(studies.nap, seconds=0.3), {"x": range(2 * POINTS)}
        driver = multiprocessing.get_context("spawn").Process(
            target=studies.sweep_on_cluster,
            args=(store, cluster.scheduler_address, theirs, 2 * POINTS),
        )
        driver.start()
        while driver.is_alive() and kills < 10:
            time.sleep(dice.uniform(0.1, 1))
            alive = [  # a nanny does not replace a worker that dies before it has registered
                nanny.pid
                for nanny in cluster.workers.values()
                if nanny.worker_address in cluster.scheduler.workers
            ]
            if alive and (store / "y" / "c").exists():
                os.kill(dice.choice(alive), signal.SIGKILL)
                kills += 1
        driver.join()
        assert ours.recv() == "finished"
    assert kills == 10
    sbn.sweep(function, grid, tmp_path / "other", workers=8)
    assert digest(store) == digest(tmp_path / "other")
