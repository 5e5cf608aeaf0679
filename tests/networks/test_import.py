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
import pydoc
assert "needs PyTorch" in pydoc.render_doc(sbn.networks)
for wrong in ("sbn.networks.train", "from statmech_bn.networks import train"):
    try:
        exec(wrong)
    except sbn.errors.MissingLibrary as error:
        assert "pip install '.[torch]'" in str(error)
    else:
        raise AssertionError(wrong)
assert NoTorch.asked
assert not hasattr(sbn, "nonsense")
"""


def test_the_networks_alone_need_pytorch():
    subprocess.run([sys.executable, "-c", SCRIPT], check=True)
