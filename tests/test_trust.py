"""Stores from strangers: nothing leaves their folder, and bombs end in InvalidStore at once."""

import gzip
import json
import os
import warnings
import zlib
from contextlib import contextmanager

import h5py
import numcodecs
import numpy as np
import pytest
import sympy as sp
import xarray as xr

import statmech_bn as sbn
from statmech_bn.errors import InvalidSetup, InvalidStore
from tests.processor_time import at_once

LABELLED = xr.Dataset({"y": ("name", [1.0, 2.0])}, {"name": ["a", "b"]}, {"k": 1})
DEEP = "[" * 10**5 + "]" * 10**5


@contextmanager
def refused(match="[a-z]"):
    with at_once(), pytest.raises(InvalidStore, match=match):
        yield


@pytest.fixture
def store(tmp_path):
    tree = xr.DataTree.from_dict({"/": LABELLED, "/below": LABELLED.rename(name="other")})
    return sbn.save(tree, tmp_path / "store.zarr")


def edit(store, part, change):
    file = store / part / "zarr.json"
    metadata = json.loads(file.read_text())
    change(metadata)
    file.write_text(json.dumps(metadata))


def test_a_good_store_is_read(store):
    assert list(sbn.open(store)["below"]["other"].values) == ["a", "b"]


HUGE = 10**12


def sized(shape, chunk):
    def change(metadata):
        metadata["shape"] = shape
        metadata["chunk_grid"]["configuration"]["chunk_shape"] = chunk

    return change


@pytest.mark.parametrize("part", ["name", "below/other"])
@pytest.mark.parametrize(
    "change",
    [
        sized([HUGE], [HUGE]), sized([HUGE], [2]), sized([-1], [2]), sized([2.5], [2]),
        sized(["2"], [2]), sized([10**400], [2]), sized([HUGE, HUGE], [HUGE, 1]),
        lambda m: m.update(shape=None), lambda m: m.update(codecs=[{"name": "pickle"}]),
        lambda m: m.update(data_type="object"), lambda m: m.pop("chunk_grid"),
        lambda m: m.update(node_type="group"), lambda m: m.update(dimension_names=["a", "b"]),
        lambda m: m["attributes"].update(labels=DEEP),
        lambda m: m["attributes"].update(labels='"ab"'),
        lambda m: m["attributes"].update(labels="[1, 2]"),
        lambda m: m["attributes"].update(labels='["a"]'),
        lambda m: m["attributes"].update(labels=json.dumps(["x" * 2**24, "b"])),
        lambda m: m["attributes"].update(labels={"a": 1}),
    ],
)  # fmt: skip
def test_what_an_array_claims_is_checked(store, part, change):
    edit(store, part, change)
    with refused():
        sbn.open(store).load()


def test_a_variable_larger_than_memory_is_refused(store):
    edit(store, "y", sized([HUGE], [HUGE]))
    with refused("chunks"):
        sbn.open(store)


@pytest.mark.parametrize("text", [DEEP, "", "[]", "{", "\0", '{"a":' * 10**5, "9" * 10**5, "null"])
def test_garbled_metadata(store, text):
    for part in ("name", "below", ""):
        (store / part / "zarr.json").write_text(text)
        with refused():
            sbn.open(store)


def test_deep_groups(store):
    folder = store
    for _ in range(30):
        folder = folder / "g"
        folder.mkdir()
        (folder / "zarr.json").write_text((store / "below" / "zarr.json").read_text())
    with refused("deeper"):
        sbn.open(store)


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("part", ["extra", "below/extra", "name/c/0"])
def test_links_out_of_a_store_are_not_followed(store, tmp_path, part, absolute):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    link = store / part
    link.unlink(missing_ok=True)
    link.symlink_to(secret if absolute else "../" * part.count("/") + "../secret")
    with refused("leads out of the store"):
        sbn.open(store)


def test_links_to_themselves_are_not_followed(store):
    (store / "loop").symlink_to("loop")
    with refused("link to itself"):
        sbn.open(store)


@pytest.mark.parametrize("name", ["..", "../../x", "/tmp/x", "a/../../b"])
def test_names_of_consolidated_metadata_are_not_read(store, name):
    """They would be joined to the folder's path."""
    edit(store, "", lambda m: m.update(consolidated_metadata={
        "kind": "inline", "must_understand": False,
        "metadata": {name: json.loads((store / "y" / "zarr.json").read_text())}}))  # fmt: skip
    assert set(sbn.open(store).to_dataset().variables) == {"name", "y"}


def points(x, k=2):
    return xr.Dataset({"y": ("k", [x, 2 * x][:k])})


def test_a_sweep_has_the_arrays_that_are_in_its_store(tmp_path):
    """Consolidated metadata may name others, which would be joined to the folder's path."""
    path = tmp_path / "s.zarr"
    expected = sbn.sweep(points, {"x": [1.0, 2.0]}, path, workers=1).load()
    array = json.loads((path / "y" / "zarr.json").read_text())
    edit(path, "", lambda m: m["consolidated_metadata"]["metadata"].update({"../y": array}))
    (path / "y" / "c.0.0").write_bytes(b"")
    xr.testing.assert_equal(sbn.sweep(points, {"x": [1.0, 2.0]}, path, workers=1), expected)


def test_a_sweep_writes_nothing_out_of_its_store(tmp_path):
    sbn.sweep(points, {"x": [1.0, 2.0]}, tmp_path / "s.zarr", workers=1)
    shard, outside = tmp_path / "s.zarr" / "y" / "c.0.0", tmp_path / "outside"
    shard.rename(tmp_path / "moved")
    outside.mkdir()
    shard.symlink_to(outside / "new")
    with refused("leads out of the store"):
        sbn.sweep(points, {"x": [1.0, 2.0]}, tmp_path / "s.zarr", workers=1)
    assert not list(outside.iterdir())


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f.__setitem__("out", h5py.ExternalLink("secret.h5", "/")),
        lambda f: f.__setitem__("soft", h5py.SoftLink("/y")),
        lambda f: f.__setitem__("loop", f["/"]),
        lambda f: f.create_dataset("raw", (6,), "u1", external=[("secret", 0, 6)]),
        lambda f: f.create_dataset("huge", (HUGE,), "f8", chunks=(2**32 - 1,)),
        lambda f: f["name"].attrs.__setitem__("labels", DEEP[:40000]),
    ],
)
def test_netcdf_files_are_checked_as_well(tmp_path, change):
    path = sbn.save(LABELLED, tmp_path / "a.nc")
    assert list(sbn.open(path)["name"].values) == ["a", "b"]
    with h5py.File(path, "r+") as file:
        change(file)
    with refused():
        sbn.open(path)


def test_virtual_data_is_not_followed(tmp_path):
    path = sbn.save(LABELLED, tmp_path / "a.nc")
    layout = h5py.VirtualLayout((2,), "f8")
    layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "x", (2,))
    with h5py.File(path, "r+") as file:
        file.create_virtual_dataset("v", layout)
    with refused("another file"):
        sbn.open(path)


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_garbage_is_no_store(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    with refused():
        sbn.open(path)


@pytest.mark.parametrize(
    "setup",
    [
        DEEP, "9" * 5000, "null", "3", '{"activation": 3}', '{"activation": {"a": 1}}', b"{}", 3,
        '{"activation": "relu", "batch_size": 1e400}', '{"activation": "relu", "batch_size": -1}',
        '{"activation": "relu", "label_noise": "open(1)"}', '{"activation": null}',
        '{"activation": "relu", "normalization": ["a"]}', "x" * 2**25,
    ],
    ids=lambda setup: str(setup)[:30],
)  # fmt: skip
def test_setups_of_attributes(setup):
    with refused():
        sbn.TeacherStudent.from_attrs({"setup": setup})


z = sp.Symbol("z", real=True)
JUMPS = [
    sp.sign(z), z * sp.Heaviside(z - 1), sp.Piecewise((0, z < 1), (z, True)), sp.cot(z), 1 / z,
    sp.acot(z), sp.tanh(1 / z), sp.Piecewise((0, sp.And(z > -2, z < 3.7)), (1, True)),
    sp.sign(sp.sin(z)), sp.Heaviside(z - 1e-4) - sp.Heaviside(z), sp.Abs(z) + sp.sign(z + 30) / 9,
]  # fmt: skip


@pytest.mark.parametrize("expression", JUMPS, ids=str)
def test_activations_that_jump_are_not_read(expression):
    """The constructor and the reader refuse them, and with the same words if the function does."""
    with pytest.raises(InvalidSetup, match="activation: expected"):
        sbn.activation(expression)
    setup = json.dumps({"activation": sp.srepr(expression)})
    with refused("a continuous function.* A step has no gradient"):
        sbn.TeacherStudent.from_attrs({"setup": setup})


@pytest.mark.parametrize(
    "text",
    ["log({})", "Pow({}, Rational(1, 3))", "asin({})", "Mul({}, acos(Integer(2)))", "atanh({})"],
)
def test_activations_that_are_not_real_are_not_read(text):
    setup = json.dumps({"activation": text.format("Symbol('z', real=True)")})
    with refused("finite real values"):
        sbn.TeacherStudent.from_attrs({"setup": setup})


CONTINUOUS = [
    sp.Max(z, z / 10), z * sp.sign(z), (z - 1) * sp.Heaviside(z - 1), sp.sin(z) / z, sp.erf(99 * z),
    sp.Piecewise((1, z < 1), (z, True)), z / (sp.exp(z) - 1), sp.Abs(z - sp.pi), sp.asinh(z) ** 3,
    sp.Piecewise((-1, z < -1), (1, z > 1), (z, True)), z * sp.exp(-z * z), sp.Rational(1, 3) + z,
]  # fmt: skip


@pytest.mark.parametrize("expression", CONTINUOUS, ids=str)
def test_continuous_activations_are_read(expression):
    setup = sbn.TeacherStudent(expression)
    assert sbn.TeacherStudent.from_attrs(setup.to_attrs()) == setup


GIGABYTE = 10**9


def zstd_zeros(size):
    """Return a zstd frame that claims a size, of blocks of 128 kB that repeat one byte each."""
    last, block = size // 2**17 - 1, lambda end: (2**17 << 3 | 1 << 1 | end).to_bytes(3, "little")
    blocks = [block(int(i == last)) + b"\0" for i in range(last + 1)]
    return b"\x28\xb5\x2f\xfd" + b"\xe0" + size.to_bytes(8, "little") + b"".join(blocks)


def test_a_frame_of_zeros_is_one():
    assert numcodecs.Zstd().decode(zstd_zeros(2**20)) == bytes(2**20)


def blosc_zeros(size):
    return numcodecs.Blosc("zstd", 9).encode(bytes(size))


ZSTD = {"name": "zstd", "configuration": {"level": 0, "checksum": False}}
BLOSC = {"name": "blosc", "configuration": {"typesize": 8, "cname": "zstd", "clevel": 9,
    "shuffle": "noshuffle", "blocksize": 0}}  # fmt: skip
SHARDS = {"name": "sharding_indexed", "configuration": {
    "chunk_shape": [1], "index_location": "end",
    "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
    "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}]}}  # fmt: skip
GZIP = {"name": "gzip", "configuration": {"level": 9}}
COUNTED = (2**32 - 1).to_bytes(4, "little")
BOMBS = {
    "zstd": ([ZSTD], lambda: zstd_zeros(2**17 * 700_000)),  # 92 GB in 3 MB
    "zstd, twice": ([ZSTD, ZSTD], lambda: numcodecs.Zstd(9).encode(zstd_zeros(GIGABYTE))),
    "zstd without a size": ([ZSTD], lambda: b"\x28\xb5\x2f\xfd\x00\x58" + bytes(20)),
    "zstd, skipped frame": ([ZSTD], lambda: b"\x50\x2a\x4d\x18\0\0\0\0" + zstd_zeros(2**30)),
    "blosc": ([BLOSC], lambda: blosc_zeros(GIGABYTE)),
    "gzip": ([GZIP], lambda: gzip.compress(bytes(10**8))),
    "a checksum between": ([ZSTD, {"name": "crc32c"}, ZSTD], lambda: zstd_zeros(GIGABYTE)),
    "inside of a shard": ([{**SHARDS, "configuration": {**SHARDS["configuration"],
        "codecs": [*SHARDS["configuration"]["codecs"], ZSTD]}}], lambda: b""),
    "many parts of a shard": ([SHARDS], lambda: bytes(20)),
    "strings": ("string", lambda: COUNTED),
    "compressed strings": ("compressed string", lambda: numcodecs.Zstd().encode(COUNTED)),
}  # fmt: skip


@pytest.mark.parametrize("kind", BOMBS)
@pytest.mark.parametrize("part", ["y", "name"])
def test_small_chunks_that_grow(store, part, kind):
    codecs, content = BOMBS[kind]

    def change(metadata):
        start = [{"name": "bytes", "configuration": {"endian": "little"}}]
        if isinstance(codecs, str):
            metadata.update(data_type="string", fill_value="")
            metadata["codecs"] = [
                {"name": "vlen-utf8"},
                *([ZSTD] if "compressed" in codecs else []),
            ]
        else:
            metadata["codecs"] = codecs if codecs[0]["name"] == SHARDS["name"] else start + codecs
        if kind == "many parts of a shard":
            metadata["chunk_grid"]["configuration"]["chunk_shape"] = [10**12]

    edit(store, part, change)
    (store / part / "c" / "0").write_bytes(content())
    with refused():
        sbn.open(store).load()


def test_pipes_are_not_read(store):
    (store / "y" / "c" / "0").unlink()
    os.mkfifo(store / "y" / "c" / "0")
    with refused("pipe"):
        sbn.open(store)


@pytest.mark.parametrize("name", ["a.nc", "a.zarr"])
def test_pipes_and_devices_are_no_stores(tmp_path, name):
    os.mkfifo(tmp_path / name)
    (tmp_path / f"link {name}").symlink_to("/dev/zero")
    for path in (tmp_path / name, tmp_path / f"link {name}"):
        with refused("pipe"):
            sbn.open(path)
        with refused("pipe"):
            sbn.save(LABELLED, path)
    assert (tmp_path / name).is_fifo()


@pytest.mark.parametrize("path", ["/", "/proc/self/root", "/tmp/.."])
def test_the_root_is_no_store(path):
    for function in (sbn.open, lambda path: sbn.save(LABELLED, path)):
        with pytest.raises(InvalidSetup, match="path within a folder"):
            function(path)


def lies(**more):
    """Let an array of one file claim another type, or chunks of another length."""

    def change(metadata):
        metadata.update({key: value for key, value in more.items() if key != "length"})
        if "length" in more:
            metadata["chunk_grid"]["configuration"]["chunk_shape"] = [more["length"]]

    return change


@pytest.mark.parametrize("part", ["y", "below/y"])
@pytest.mark.parametrize(
    "change", [lies(length=1), lies(length=3), lies(data_type="float32"), lies(data_type="int16")]
)
def test_chunks_are_as_long_as_their_array_says(store, part, change):
    edit(store, part, change)
    with refused("bytes"):
        sbn.open(store)


def inner(length, **more):
    def change(metadata):
        [codec] = metadata["codecs"]
        codec["configuration"] |= {"chunk_shape": [length, 1], **more}

    return change


@pytest.mark.parametrize(
    "change",
    [inner(1), inner(4), inner(2, index_location="start"), inner(2, index_codecs=[]),
     lies(data_type="float32")],
)  # fmt: skip
def test_shards_are_what_their_array_says(tmp_path, change):
    path = tmp_path / "s.zarr"
    sbn.sweep(points, {"x": np.arange(4.0), "k": [1]}, path, workers=1, chunk_points=2)
    assert sbn.open(path).y.sizes == {"x": 4, "k": 1}
    edit(path, "y", change)
    with refused("checksum|too short|other sizes"):
        sbn.open(path)


@pytest.mark.parametrize("name", ["scale_factor", "add_offset"])
@pytest.mark.parametrize("value", ["abc", [1, 2], {"a": 1}, None])
def test_factors_of_values_are_numbers(store, tmp_path, name, value):
    edit(store, "y", lambda m: m["attributes"].update({name: value}))
    with refused("no number"):
        sbn.open(store)
    path = sbn.save(LABELLED, tmp_path / "a.nc")
    with h5py.File(path, "r+") as file:
        file["y"].attrs[name] = str(value)
    with refused("no number"):
        sbn.open(path)


def test_an_array_without_values_is_refused(tmp_path):
    path = sbn.save(LABELLED, tmp_path / "a.nc")
    with h5py.File(path, "r+") as file:
        file.create_dataset("n", data=h5py.Empty("f8"))
    with refused("no values"):
        sbn.open(path)


@pytest.mark.parametrize("name", ["\udcff", "a\nb", "..."])
def test_groups_have_names_that_folders_can_have(tmp_path, name):
    with pytest.raises(InvalidSetup, match="its group"):
        sbn.save(xr.DataTree.from_dict({f"/{name}": LABELLED}), tmp_path / "a.zarr")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("filters", ["twice", "lzf", "long"])
def test_filters_of_netcdf_that_grow(tmp_path, filters):
    path = sbn.save(LABELLED, tmp_path / "a.nc")
    with h5py.File(path, "r+") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        if filters == "lzf":
            file.create_dataset("z", (1000,), "f8", chunks=(1000,), compression="lzf")
        else:
            properties.set_chunk((1000,))
            for _ in range(2 if filters == "twice" else 1):
                properties.set_deflate(9)
            space, kind = h5py.h5s.create_simple((1000,)), h5py.h5t.IEEE_F64LE
            array = h5py.h5d.create(file.id, b"z", kind, space, properties)
            content = zlib.compress(bytes(2 * 10**7), 9)
            array.write_direct_chunk(
                (0,), zlib.compress(content) if filters == "twice" else content
            )
    with refused("filters|longer"):
        sbn.open(path)


NAMES = np.array([f"n{i}é" for i in range(9000)], object)


def test_compressed_files_of_others_are_read(tmp_path):
    """What xarray writes by itself, with strings, and with the usual filters of NetCDF."""
    values = xr.Dataset({"y": ("name", np.zeros(9000))}, {"name": NAMES})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values.to_zarr(tmp_path / "a.zarr", zarr_format=3)
    more = {"zlib": True, "shuffle": True, "fletcher32": True}
    values.to_netcdf(tmp_path / "a.nc", engine="h5netcdf", encoding={"y": more})
    for path in (tmp_path / "a.zarr", tmp_path / "a.nc"):
        with sbn.open(path) as found:
            np.testing.assert_array_equal(found.load().y, values.y)
            assert list(found.name.values) == list(values.name.values)
