"""Settings that every test shares."""

import pytest
from hypothesis import settings

from statmech_bn.arrays import namespace
from statmech_bn.errors import NoDevice

settings.register_profile("reproducible", derandomize=True, deadline=None, max_examples=25)
settings.load_profile("reproducible")


def pytest_runtest_setup(item):
    """Skip what needs a GPU where there is none."""
    if item.get_closest_marker("gpu"):
        try:
            namespace("cuda")
        except NoDevice as error:
            pytest.skip(str(error))
