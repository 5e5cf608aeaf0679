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


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """Let a test module that cannot be imported fail; collected for doctests it is skipped."""
    report = yield
    left_out = report.outcome == "skipped" and "unable to import module" in str(report.longrepr)
    if left_out and collector.path.name.startswith("test_"):
        report.outcome = "failed"
    return report
