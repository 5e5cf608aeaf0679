"""Settings that every test shares."""

import errno
import itertools
import os
from contextlib import contextmanager

import pytest
from hypothesis import settings

from statmech_bn.arrays import namespace
from statmech_bn.errors import NoDevice

settings.register_profile("reproducible", derandomize=True, deadline=None, max_examples=25)
settings.load_profile("reproducible")


@pytest.fixture
def failing_files(monkeypatch):
    """Return a context in which the file system fails at a moment: once, or if odd from then on."""

    @contextmanager
    def failing(moment, functions, number=errno.ENOSPC):
        """Count the calls of functions of `os`; yield a list of those that fail."""
        moments, failed = itertools.count(1), []

        def counted(function):
            def call(*arguments, **more):
                now = next(moments)
                if now == moment or (now > moment and moment % 2):
                    failed.append(now)
                    raise OSError(number, os.strerror(number))
                return function(*arguments, **more)

            return call

        with monkeypatch.context() as patch:
            for name in functions:
                patch.setattr(os, name, counted(getattr(os, name)))
            yield failed

    return failing


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
