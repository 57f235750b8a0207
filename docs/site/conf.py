"""Settings of the site; `docs/build.py` lays out what is read, and runs Sphinx."""

from docutils.nodes import SkipNode
from docutils.utils.math.latex2mathml import tex2mathml

project = "evalkit"
project_copyright = "the evalkit authors"
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_nb",
]
root_doc = "index"
default_role = "autolink"

nb_execution_mode = "off"
nb_ipywidgets_js = {}  # a script from elsewhere
myst_heading_anchors = 3
myst_enable_extensions = ["smartquotes"]

autodoc_typehints_format = "short"
autodoc_preserve_defaults = True  # no path of this machine
python_maximum_signature_line_length = 72
numpydoc_show_class_members = False

html_theme = "pydata_sphinx_theme"
html_title = "evalkit"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_extra_path = ["../_build/source/extra"]
html_math_renderer = "mathml"
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "navigation_with_keys": False,
    "show_prev_next": False,
    "header_links_before_dropdown": 5,
    "secondary_sidebar_items": ["page-toc"],
}


def show_math(writer, node):
    """Write a formula as MathML, which browsers draw by themselves."""
    is_block = node.tagname == "math_block"
    writer.body.append(tex2mathml(node.astext(), as_block=is_block))
    raise SkipNode


def setup(app):
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", (show_math, None), (show_math, None))
