"""`pulumi up` of the quickstart against a local Image Builder, with the options given, to be recorded."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import yaml

from tools.workspace import ROOT, Workspace, emulator

SEED = ROOT / "examples" / "quickstart" / "seed.yaml"


def main() -> int:
    """Run it; returns pulumi's exit code."""
    image = yaml.safe_load(SEED.read_text(encoding="utf-8"))["images"][0]
    settings = {"quickstart:imageArn": image["arn"], "quickstart:executionRole": "ImageLifecycle"}
    with tempfile.TemporaryDirectory(prefix="imagebuilder-run-") as folder, emulator(SEED, "45s") as url:
        workspace = Workspace(ROOT, Path(folder), url, settings)
        return workspace.run("up", "--yes", *sys.argv[1:], show=True).returncode


if __name__ == "__main__":
    sys.exit(main())
