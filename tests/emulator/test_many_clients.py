"""Many clients at once lose nothing and break no rule; `many_clients.py` is the same for a minute."""

from __future__ import annotations

import time

from imagebuilder_emulator.emulator import Emulator
from imagebuilder_emulator.responses import ImageBuilderResponse
from many_clients import alone


def test_fifty_clients() -> None:
    """For a few seconds here: tokens that two use at once, images that all want, cancellations in between."""
    figures = alone(seconds=8)
    assert figures.executions > 100
    assert figures.cancelled > 10
    assert figures.in_use > 10


def test_work_does_not_grow_with_what_is_there() -> None:
    """An execution costs about the same among a thousand images as among a hundred, other work on the machine aside."""
    among_few, among_many = (min(cost(images) for _ in range(3)) for images in (100, 1000))
    assert among_many < 4 * among_few, f"{among_few * 1000:.2f} ms an image of 100, {among_many * 1000:.2f} ms of 1000"


def cost(images: int) -> float:
    """Seconds of work for each image: an execution from start to end, read by its client."""
    arns = [f"arn:aws:imagebuilder:us-east-1:123456789012:image/web-{number}/1.0.0/1" for number in range(images)]
    seed = {"roles": ["ImageLifecycle"], "images": [{"arn": arn, "amis": [{}, {}]} for arn in arns]}
    with Emulator(seed, execution_time="0s") as emulator:
        answers = ImageBuilderResponse(emulator.backend, "us-east-1")
        begun = time.process_time()
        for arn in arns:
            request = {
                "resourceArn": arn,
                "state": {"status": "DISABLED"},
                "executionRole": "ImageLifecycle",
                "includeResources": {"amis": True},
                "clientToken": arn[-60:],
            }
            emulator.backend.start_resource_state_update(request, "us-east-1")
            emulator.backend.advance()
            (found,) = answers.list_lifecycle_executions({"resourceArn": arn})["lifecycleExecutions"]
            assert found["state"]["status"] == "SUCCESS"
            assert answers.get_image({"imageBuildVersionArn": arn})["image"]["state"]["status"] == "DISABLED"
            answers.list_image_build_versions({"imageVersionArn": arn.rpartition("/")[0]})
        return (time.process_time() - begun) / images
