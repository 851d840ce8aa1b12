"""What importing the package costs a program."""

from __future__ import annotations

import importlib.resources
import json
import subprocess
import sys
import textwrap

import pytest

ARN = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"


def test_the_import_is_light() -> None:
    """Importing the package in a program loads no botocore."""
    command = [sys.executable, "-X", "importtime", "-c", "import pulumi_imagebuilder"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    assert "pulumi_imagebuilder" in told
    assert "boto" not in told


@pytest.mark.parametrize("side", ["dynamic", "plugin.servicer"])
def test_without_calls_no_client_is_loaded(side: str) -> None:
    """An unchanged `pulumi up` validates and compares: that takes botocore's models, and not its clients."""
    program = f"""
        import sys, pulumi_imagebuilder.{side}, pulumi_imagebuilder.handlers
        from pulumi_imagebuilder import validation
        inputs = {{"resource_arn": {ARN!r}, "state": "DEPRECATED"}}
        checked = validation.validate(validation.Kind.SINGLE, inputs)
        assert not checked.failures
        assert not validation.diff(validation.Kind.SINGLE, checked.inputs, checked.inputs)
        print(*sorted(name for name in sys.modules if name.startswith("boto")))
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert "botocore.model" in loaded
    assert not {"boto3", "botocore.client", "botocore.session"} & set(loaded)


def test_no_plugin_is_asked_for() -> None:
    """By the name of the distribution alone, Pulumi would look for a plugin `imagebuilder` and try to download it."""
    told = (importlib.resources.files("pulumi_imagebuilder") / "pulumi-plugin.json").read_text(encoding="utf-8")
    assert json.loads(told) == {"resource": False}
