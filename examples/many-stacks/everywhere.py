"""Deprecates the same image in four places at once: a stack for each account and region."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pulumi
from pulumi import automation
from pulumi_imagebuilder import ResourceStateUpdate

IMAGE = "web/1.0.0/1"


class Place(NamedTuple):
    """Where a copy of the image is; against AWS each account has a role or a profile of its own."""

    stack: str
    account: str
    region: str

    @property
    def configuration(self) -> automation.ConfigMap:
        """The stack's settings; here `aws:assumeRoles` would name the account's role."""
        return {"aws:region": automation.ConfigValue(self.region)}


PLACES = [
    Place("staging-us", "123456789012", "us-east-1"),
    Place("staging-eu", "123456789012", "eu-west-1"),
    Place("production-us", "123456789012", "us-west-2"),
    Place("production-eu", "123456789012", "eu-central-1"),
]


def deploy(place: Place) -> str:
    """Bring one stack up; return a line that says how it went."""

    def program() -> None:
        update = ResourceStateUpdate(
            "web",
            resource_arn=f"arn:aws:imagebuilder:{place.region}:{place.account}:image/{IMAGE}",
            state="DEPRECATED",
            execution_role="ImageLifecycle",
            include_resources={"amis": True},
        )
        pulumi.export("lifecycle_execution_id", update.lifecycle_execution_id)

    errors = []

    def collect(event: automation.EngineEvent) -> None:
        diagnostic = event.diagnostic_event
        if diagnostic and diagnostic.severity == "error":
            errors.append(diagnostic.message.strip())

    stack = automation.create_or_select_stack(stack_name=place.stack, project_name="everywhere", program=program)
    stack.set_all_config(place.configuration)
    try:
        outputs = stack.up(on_event=collect).outputs
    except automation.CommandError:
        return f"{place.stack}: failed: {errors[0] if errors else 'see its log'}"
    return f"{place.stack}: {outputs['lifecycle_execution_id'].value}"


def main() -> int:
    """Bring all stacks up side by side; return how many failed. One that fails does not stop the others."""
    with ThreadPoolExecutor(len(PLACES)) as threads:
        lines = list(threads.map(deploy, PLACES))
    print("\n".join(lines))
    return sum(": failed: " in line for line in lines)


if __name__ == "__main__":
    sys.exit(main())
