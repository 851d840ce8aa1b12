"""The README's first program, under the real pulumi. All programs of the pages run under mocks in tests/docs."""

from __future__ import annotations

from typing import Any

from pages import pieces


def test_the_first_program(bench: Any) -> None:
    """It does what the README says: image and AMIs are deprecated, and an `up` without a change calls nobody."""
    first = next(piece for piece in pieces("python") if piece.page.name == "README.md")
    bench.write(first.text)
    told = bench.check("up")
    assert bench.workspace.outputs() == {"status": "SUCCESS"}
    assert "of 3 resources" in told
    assert bench.image_state() == "DEPRECATED"
    for region in ("us-east-1", "us-west-2", "eu-west-1"):
        (ami,) = bench.client("ec2", region).describe_images(Owners=["self"], IncludeDisabled=True)["Images"]
        assert ami["DeprecationTime"]

    bench.emulator.requests.clear()
    bench.check("up", "--expect-no-changes")
    assert bench.emulator.requests.counts() == {}
    bench.write(first.text.replace("DEPRECATED", "AVAILABLE"))
    bench.check("up")
    assert bench.image_state() == "AVAILABLE"
