import re
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def explorer():
    """Start the explorer at a free port; the address of its page."""
    pytest.importorskip("bokeh", reason="the explorer needs Bokeh: the extra explore")
    command = [sys.executable, "-m", "statmech_bn", "explore", "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())[0]
        finally:
            process.terminate()
