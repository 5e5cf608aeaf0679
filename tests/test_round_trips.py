"""Any Dataset comes back from a store as it was, or is refused before anything is written."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import statmech_bn as sbn
from statmech_bn.errors import StatmechError

TYPES = ["f8", "f4", "f2", "i8", "i4", "u2", "u1", "?", "c16", ">f8", "M8[ns]", "m8[ns]", "U", "O",
         "M8[D]", "S3", "i2,f4"]  # fmt: skip
NAMES = st.sampled_from(
    ["x", "y", "time", "α", "a b", "a/b", ".", "..", "", "zarr.json", "c", "labels", "__x", "x\0",
     "coordinates", "UNITS", "a.b", "é\n"]
)  # fmt: skip
TEXTS = st.text(max_size=4)
PLAIN = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | TEXTS
ATTRIBUTES = st.dictionaries(
    TEXTS | st.sampled_from(["units", "scale_factor", "_FillValue", "dtype", "coordinates",
                             "labels", "calendar", "missing_value", "long_name"]),
    PLAIN | st.lists(PLAIN, max_size=2) | hnp.arrays("f8", 2),
    max_size=2,
)  # fmt: skip


@st.composite
def datasets(draw):
    """Draw a Dataset with up to three dims, some of them empty, variables and coordinates."""
    sizes = draw(st.dictionaries(NAMES, st.integers(0, 3), max_size=3))
    variables, coordinates = {}, {}
    for name in draw(st.lists(NAMES, min_size=1, max_size=3, unique=True)):
        own = [name] if name in sizes else [d for d in sizes if draw(st.booleans())]
        shape = tuple(sizes[d] for d in own)
        kind = draw(st.sampled_from(TYPES))
        if kind in "UO":
            items = TEXTS if kind == "U" else TEXTS | PLAIN
            count = int(np.prod(shape))
            texts = draw(st.lists(items, min_size=count, max_size=count))
            values = np.empty(count, object)
            values[:] = texts
            values = (values.astype(str) if kind == "U" else values).reshape(shape)
        elif kind[0] in "Mm":
            values = draw(hnp.arrays("i8", shape, elements=st.integers(0, 10**5))).astype(kind)
        else:
            values = draw(hnp.arrays(kind, shape))
        place = coordinates if draw(st.booleans()) else variables
        place[name] = (own, values, draw(ATTRIBUTES))
    return xr.Dataset(variables, coordinates, draw(ATTRIBUTES))


def built():
    """Draw what xarray itself takes for a Dataset."""

    def attempt(draw):
        try:
            return draw(datasets())
        except (ValueError, TypeError, xr.MergeError, FutureWarning):  # pandas warns of float16
            return xr.Dataset()

    return st.composite(attempt)()


@pytest.mark.filterwarnings("ignore:.*unknown.*:UserWarning")
@pytest.mark.parametrize("name", ["run.zarr", "run.nc"])
@pytest.mark.parametrize("number", [60, pytest.param(2000, marks=pytest.mark.slow)])
def test_datasets_come_back_or_are_refused(tmp_path, name, number):
    kept = []

    @settings(max_examples=number, deadline=None, suppress_health_check=list(HealthCheck))
    @given(built())
    def check(dataset):
        path = tmp_path / name
        old = xr.Dataset({"old": 1.0})
        if not path.exists():
            sbn.save(old, path)
            kept.append(old)
        try:
            sbn.save(dataset, path)
        except StatmechError:
            dataset = kept[-1]
        with sbn.open(path) as found:
            xr.testing.assert_equal(found.load(), dataset)
            for one, other in ((dataset, found), *zip_variables(dataset, found)):
                assert list(one.attrs) == list(other.attrs)
                for key, value in one.attrs.items():
                    np.testing.assert_array_equal(np.asarray(other.attrs[key]), np.asarray(value))
        kept.append(dataset)
        assert [p.name for p in tmp_path.iterdir()] == [name]

    check()
    assert len(kept) > number / 10


def zip_variables(one, other):
    return ((one.variables[name], other.variables[name]) for name in one.variables)
