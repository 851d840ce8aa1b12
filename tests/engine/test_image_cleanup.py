"""An `ImageCleanup` under the real program."""

from __future__ import annotations

from typing import Any

import pytest

ARN = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"


def test_nothing_happens_until_destroy(bench: Any) -> None:
    """While it stands the image is left alone; destroy deletes it with all its AMIs and snapshots, then ends."""
    bench.write(f"""
        from pulumi_imagebuilder import ImageCleanup
        ImageCleanup("web", resource_arn="{ARN}", execution_role="ImageLifecycle")
    """)
    bench.well("up")
    assert bench.executions() == []
    assert bench.image_state() == "AVAILABLE"
    bench.well("destroy")
    for region in ("us-east-1", "us-west-2", "eu-west-1"):
        ec2 = bench.client("ec2", region)
        assert ec2.describe_images(Owners=["self"])["Images"] == []
        assert ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []
    with pytest.raises(bench.client("imagebuilder").exceptions.ResourceNotFoundException):
        bench.image_state()
