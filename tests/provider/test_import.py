"""What importing the package costs a program."""

from __future__ import annotations

import subprocess
import sys


def test_the_import_is_light() -> None:
    """Importing the package in a program loads no boto3."""
    command = [sys.executable, "-X", "importtime", "-c", "import pulumi_imagebuilder"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    assert "pulumi_imagebuilder" in told
    assert "boto" not in told
