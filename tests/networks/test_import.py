"""The package works without PyTorch, and says what its networks need."""

import subprocess
import sys

SCRIPT = """
import sys

class NoTorch:
    asked = 0
    def find_spec(name, path=None, target=None):
        if name == "torch":
            NoTorch.asked += 1
            raise ImportError(name)

sys.meta_path.insert(0, NoTorch)
import statmech_bn as sbn
assert not NoTorch.asked
try:
    sbn.networks
except sbn.errors.MissingLibrary as error:
    assert "pip install '.[torch]'" in str(error)
assert NoTorch.asked == 1
assert not hasattr(sbn, "nonsense")
"""


def test_the_networks_alone_need_pytorch():
    subprocess.run([sys.executable, "-c", SCRIPT], check=True)
