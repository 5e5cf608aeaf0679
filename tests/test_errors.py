"""Messages show what was given briefly."""

import numpy as np
import pytest
import xarray as xr

from statmech_bn.errors import LONGEST, shown


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.5, "0.5"),
        ([1, 2], "[1, 2]"),
        (np.zeros((500, 60)), "ndarray of shape (500, 60)"),
        (xr.DataArray(np.zeros((40, 60))), "DataArray of shape (40, 60)"),
    ],
)
def test_long_values_are_said_by_their_shape(value, expected):
    assert shown(value) == expected


def test_what_has_no_shape_is_one_short_line():
    text = shown({f"a name {k}": xr.Dataset({"x": ("t", np.zeros(9))}) for k in range(9)})
    assert text.startswith("dict {'a name 0'")
    assert "\n" not in text
    assert len(text) < LONGEST + 10
