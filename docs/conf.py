"""How the documentation is built. Nothing is fetched: references to trio are plain links."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import neighio

sys.path.insert(0, str(Path(__file__).parent))

project: Final = "neighio"
author: Final = "the neighio developers"
copyright: Final = "the neighio developers"
release: Final = neighio.__version__
version: Final = release

extensions: Final = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinxcontrib_trio",
    "command_pages",
    "nud_diagram",
]
exclude_patterns: Final = ["_build"]
# Options begin with two hyphens.
smartquotes_action: Final = "qe"
nitpicky: Final = True
# What is not described on our own pages; a reference to anything of ours must lead somewhere.
nitpick_ignore_regex: Final = [
    (r"py:.*", r"(?!neighio)[a-z_]+\..*"),
    (r"py:.*", r"neighio\.(core|driver|link|kernel|publication)\..*"),
    (r"py:.*", r"neighio\.testing\.[a-z_]+\..*|neighio\.errors\._.*"),
    (r"py:.*", r"[a-zA-Z]+"),
]

autodoc_member_order: Final = "bysource"
autodoc_typehints: Final = "signature"
napoleon_google_docstring: Final = True
napoleon_numpy_docstring: Final = False

html_theme: Final = "furo"
html_title: Final = f"neighio {release}"
