"""How Sphinx builds the book: `make book`, or `sphinx-build -W -n --keep-going -c docs/book docs build/book`.

The folder of sources is `docs`, so that the older documents are pages of the same site where they lie. Chapters are run while the book is
built: a cell that raises or writes to stderr is a warning, and `-W` makes an error of each warning.
"""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "src"), str(Path(__file__).parent)]
# Kernels of Jupyter are other processes. One thread each: two pages run side by side.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
# And without the profile of whoever builds, and its messages about itself.
os.environ["IPYTHONDIR"] = tempfile.mkdtemp()
Path(os.environ["IPYTHONDIR"], "profile_default").mkdir()
Path(os.environ["IPYTHONDIR"], "profile_default", "ipython_kernel_config.py").write_text("c.IPKernelApp.log_level = 'ERROR'")
atexit.register(shutil.rmtree, os.environ["IPYTHONDIR"], ignore_errors=True)
os.environ["PYTHONWARNINGS"] = "ignore:E44"  # that there is no Numba: the pages say so where it matters
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from building.source_pages import address  # noqa: E402

project = "Gradus"
author = "The Gradus authors"
copyright = "The Gradus authors, MIT licence"
language = "en_GB"
root_doc = "book/index"
exclude_patterns = ["book/building", "book/templates"]
extensions = [
    "myst_nb",
    "sphinx_design",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # formulas without a network
    "building.docstrings",
    "building.module_pages",
    "building.source_pages",
    "building.notebooks",
    "building.streams",
]

# --- chapters -----------------------------------------------------------------------------------------------------------------------------

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "force"  # a cache would not see that the package has changed
nb_execution_timeout = 120
nb_execution_show_tb = True
nb_output_stderr = "warn"
nb_merge_streams = True
nb_code_prompt_show = "Solution"
nb_code_prompt_hide = "Solution"

# --- docstrings ---------------------------------------------------------------------------------------------------------------------------

default_role = "code"  # `x` is code in Markdown, so it is in docstrings
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_custom_sections = ["Shape", "Source", "Sources"]
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
# Types of other packages have no page here; what is Gradus' own must have one.
nitpick_ignore_regex = [(r"py:.*", r"(?!gradus\.).*")]

linkcode_resolve = address  # beside each name, a link to its line

# --- looks --------------------------------------------------------------------------------------------------------------------------------

html_theme = "furo"
html_title = "Gradus"
html_static_path = ["appearance"]
templates_path = ["templates"]
html_additional_pages = {"index": "front.html"}  # build/book/index.html leads to book/index.html
html_css_files = ["book.css"]
html_show_sphinx = False
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {"source_repository": "", "navigation_with_keys": True}
pygments_style = "friendly"
pygments_dark_style = "monokai"


def setup(app):
    # The extension that brings MathJax only copies files at the end, and does not say that this stands no page in the way.
    app.extensions["sphinx-mathjax-offline"].parallel_read_safe = True
