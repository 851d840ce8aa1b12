"""What importing the package costs a program."""

from __future__ import annotations

import importlib.resources
import json
import subprocess
import sys


def test_the_import_is_light() -> None:
    """Importing the package in a program loads no boto3."""
    command = [sys.executable, "-X", "importtime", "-c", "import pulumi_imagebuilder"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    assert "pulumi_imagebuilder" in told
    assert "boto" not in told


def test_no_plugin_is_asked_for() -> None:
    """By the name of the distribution alone, Pulumi would look for a plugin `imagebuilder` and try to download it."""
    told = (importlib.resources.files("pulumi_imagebuilder") / "pulumi-plugin.json").read_text(encoding="utf-8")
    assert json.loads(told) == {"resource": False}
