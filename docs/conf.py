"""How the documentation is built: from these pages, the docstrings, the notebooks of `analysis`."""

import hashlib
import os
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE / "extensions"))

project = "statmech_bn"
author = "The statmech_bn developers"
copyright = "the statmech_bn developers"
release = metadata.version("statmech_bn")
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_copybutton",
    "gallery",
    "mathml",
    "reference",
]
exclude_patterns = ["build"]
html_theme = "furo"
html_math_renderer = "mathml"
html_title = "statmech_bn"
html_static_path = ["static"]
html_css_files = ["style.css"]
copybutton_exclude = ".linenos, .gp, .go"

default_role = "autolink"
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(distributed|functools|numpy|scipy|sympy|xarray)(\..*)?")]
autosummary_generate = False
autodoc_typehints = "none"
autodoc_mock_imports = ["torch", "bokeh", "tornado"]
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3


def _sources() -> str:
    """Hash what notebooks run on, so that their outputs are those of this package."""
    files = [*ROOT.glob("statmech_bn/**/*.py"), *ROOT.glob("simulations/*.py")]
    return hashlib.sha256(b"".join(file.read_bytes() for file in sorted(files))).hexdigest()[:16]


nb_execution_mode = "cache"
nb_merge_streams = True
nb_execution_cache_path = str(HERE / "build" / "executed" / _sources())
nb_execution_raise_on_error = True
nb_execution_timeout = 600
if "STATMECH_BN_GALLERY" not in os.environ:  # its notebooks take half an hour, once
    nb_execution_excludepatterns = ["gallery/*"]
elif find_spec("torch") is None:  # notebooks of networks are shown without their output
    nb_execution_excludepatterns = ["gallery/network_*"]
