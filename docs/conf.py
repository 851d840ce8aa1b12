"""How the site is built: `make docs`, without the network and with warnings as errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pulumi_imagebuilder import __version__

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "pulumi-imagebuilder"
version = release = __version__
html_title = f"{project} {version}"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autoclass_content = "both"
napoleon_numpy_docstring = False

nitpicky = True
nitpick_ignore_regex = [
    # Types of other packages, which the site does not link to: their inventories would have to be fetched.
    ("py:.*", r"(pulumi|collections|typing|datetime|timedelta)\b.*"),
    # Aliases of types of texts and dicts; what they allow is said where they are used.
    ("py:class", r"(State|OnDestroy|InUse|TimeUnit|\w+Dict)"),
]

html_theme = "furo"
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    # Napoleon takes the words before a colon in an attribute's docstring for its type; here they are a sentence.
    written: dict[str, list[str]] = {}

    def keep(app: Sphinx, what: str, name: str, item: Any, options: Any, lines: list[str]) -> None:
        if what in {"attribute", "property"}:
            written[name] = list(lines)

    def restore(app: Sphinx, what: str, name: str, item: Any, options: Any, lines: list[str]) -> None:
        lines[:] = written.pop(name, lines)

    app.connect("autodoc-process-docstring", keep, priority=400)
    app.connect("autodoc-process-docstring", restore, priority=600)
