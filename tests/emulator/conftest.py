"""A running emulator for the tests of what the service does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from imagebuilder_emulator.emulator import Emulator

WEB = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
SEED: dict[str, Any] = {
    "roles": ["ImageLifecycle"],
    "images": [
        {
            "arn": WEB,
            "amis": [
                {"region": "us-east-1", "snapshots": 2},
                {"region": "eu-west-1", "public": True, "tags": {"keep": "yes"}},
                {"region": "us-west-2", "shared_accounts": ["111122223333"], "last_launched": "2026-05-01T00:00:00Z"},
            ],
        },
        {"arn": WEB.replace("web", "building"), "state": "BUILDING"},
        {"arn": WEB.replace("web", "broken"), "state": "FAILED"},
        {
            "arn": WEB.replace("web", "docker"),
            "type": "DOCKER",
            "containers": [{"region": "us-east-1", "repository": "app", "tag": "v1"}],
        },
    ],
}


class Emulated:
    """A running emulator whose executions take ten seconds of its own time, asked by boto3."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self._clients: dict[tuple[str, str], Any] = {}

    @property
    def image_builder(self) -> Any:
        return self.client("imagebuilder")

    def client(self, service: str, region: str = "us-east-1") -> Any:
        if (service, region) not in self._clients:
            self._clients[service, region] = self.emulator.client(service, region)
        return self._clients[service, region]

    def start(self, arn: str = WEB, state: str = "DEPRECATED", **options: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.image_builder.start_resource_state_update(
            resourceArn=arn, state={"status": state}, **options
        )
        return answer

    def status(self, execution: dict[str, Any]) -> str:
        answer = self.image_builder.get_lifecycle_execution(lifecycleExecutionId=execution["lifecycleExecutionId"])
        status: str = answer["lifecycleExecution"]["state"]["status"]
        return status

    def rows(self, execution: dict[str, Any], parent: str | None = WEB) -> list[dict[str, Any]]:
        """What lies under the parent; without one, the image record."""
        under = {"parentResourceId": parent} if parent else {}
        rows: list[dict[str, Any]] = self.image_builder.list_lifecycle_execution_resources(
            lifecycleExecutionId=execution["lifecycleExecutionId"], **under
        )["resources"]
        return rows

    def resources(self, execution: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
        """Status and reason by region."""
        rows = self.rows(execution)
        return {row["region"]: (row["state"]["status"], row["state"].get("reason")) for row in rows}

    def image_state(self, arn: str = WEB) -> str:
        state: str = self.image_builder.get_image(imageBuildVersionArn=arn)["image"]["state"]["status"]
        return state

    def amis(self, region: str = "us-east-1") -> list[dict[str, Any]]:
        images: list[dict[str, Any]] = self.client("ec2", region).describe_images(
            Owners=["self"], IncludeDisabled=True
        )["Images"]
        return images

    def later(self, seconds: float = 10) -> None:
        self.emulator.clock.advance(timedelta(seconds=seconds))

    @staticmethod
    def refused(call: Callable[[], Any]) -> tuple[str, int, str]:
        """Code, status and message of the error that a call must raise."""
        with pytest.raises(ClientError) as error:
            call()
        metadata = error.value.response["ResponseMetadata"]
        assert metadata["RequestId"]
        details = error.value.response["Error"]
        return details["Code"], metadata["HTTPStatusCode"], details["Message"]


@pytest.fixture(scope="module")
def running_of() -> Callable[[Emulator], Emulated]:
    """For modules with a seed of their own, which override `running`."""
    return Emulated


@pytest.fixture(scope="module")
def running() -> Iterator[Emulated]:
    with Emulator(SEED, execution_time="10s") as emulator:
        yield Emulated(emulator)


@pytest.fixture
def emulated(running: Emulated) -> Emulated:
    running.emulator.reset()
    return running
