"""`make demo`: the quickstart against a local Image Builder, in a folder that is removed at the end."""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import boto3
import yaml

from tools.workspace import ROOT, Workspace, emulator

SEED = ROOT / "examples" / "quickstart" / "seed.yaml"


def main() -> int:
    """Run the demo; returns the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    image = yaml.safe_load(SEED.read_text(encoding="utf-8"))["images"][0]
    with tempfile.TemporaryDirectory(prefix="imagebuilder-demo-") as folder, emulator(SEED, "8s") as url:
        say(f"A local Image Builder listens on {url}")
        print(f"Its one image is AVAILABLE: {image['arn']}\nEC2 knows its AMIs:")
        regions = [ami["region"] for ami in image["amis"]]
        show_amis(url, regions)

        settings = {"quickstart:imageArn": image["arn"], "quickstart:executionRole": "ImageLifecycle"}
        workspace = Workspace(ROOT, Path(folder), url, settings)
        say("pulumi up: examples/quickstart declares the image DEPRECATED, with its AMIs")
        up = workspace.run("up", "--yes", "--skip-preview", "--suppress-permalink=true", show=True)
        if up.returncode:
            return up.returncode
        outputs = workspace.outputs()

        say("What EC2 says now:")
        show_amis(url, regions)

        say('pulumi destroy: on_destroy is "retain" by default, so the image stays as it is')
        down = workspace.run("destroy", "--remove", "--yes", "--skip-preview", "--suppress-permalink=true", show=True)
        if down.returncode:
            return down.returncode
    say(f"Done. Lifecycle execution {outputs['lifecycle_execution_id']}, status {outputs['status']}.")
    print("The emulator is stopped, and nothing is left behind.")
    return 0


def say(text: str) -> None:
    """Print a headline."""
    print(f"\n=== {text}", flush=True)


def show_amis(url: str, regions: list[str]) -> None:
    """Print the AMIs that EC2 has in these regions."""
    print(f"    {'region':<12}{'AMI':<24}{'state':<12}deprecated at")
    for region in regions:
        ec2: Any = boto3.client(
            "ec2",
            region_name=region,
            endpoint_url=url,
            aws_access_key_id="local",
            aws_secret_access_key="local",  # noqa: S106
        )
        for ami in ec2.describe_images(Owners=["self"], IncludeDisabled=True)["Images"]:
            print(f"    {region:<12}{ami['ImageId']:<24}{ami['State']:<12}{ami.get('DeprecationTime', '-')}")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nInterrupted: the emulator is stopped, and nothing is left behind.")
        sys.exit(130)
