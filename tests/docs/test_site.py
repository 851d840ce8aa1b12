"""The site builds without a warning, asks the network for nothing, and leaves no page out."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pulumi_imagebuilder
import pytest

from tools.workspace import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site with the options of `make docs`."""
    folder = tmp_path_factory.mktemp("site")
    options = ["--fail-on-warning", "--keep-going", "--quiet"]
    command = [sys.executable, "-m", "sphinx", *options, "-d", folder / "doctrees", ROOT / "docs", folder / "html"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "html"


def test_every_page_is_in_the_table_of_contents(site: Path) -> None:
    """Each page under docs/ can be reached from the first one."""
    index = (site / "index.html").read_text(encoding="utf-8")
    pages = {page.relative_to(ROOT / "docs").with_suffix(".html") for page in (ROOT / "docs").rglob("*.md")}
    assert pages - {Path("index.html")} == {page for page in pages if f'href="{page}"' in index}


def test_nothing_is_fetched(site: Path) -> None:
    """Scripts, styles, fonts and pictures are the site's own: a reader's browser calls no other host."""
    outside = re.compile(r"""(?:src=|url\(|@import\s*|<link[^>]*href=)["']?(https?:)?//""")
    for file in [*site.rglob("*.html"), *site.rglob("*.css")]:
        assert not outside.search(file.read_text(encoding="utf-8")), file.name


def test_the_reference_has_all_public_names(site: Path) -> None:
    """What the package exports is documented there."""
    page = (site / "reference.html").read_text(encoding="utf-8")
    public = set(pulumi_imagebuilder.__all__) - {"__version__"}
    assert public == {name for name in public if f'id="pulumi_imagebuilder.{name}"' in page}
