"""Operations called in this process, in virtual time."""

from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from botocore.parsers import ResponseParserError
from imagebuilder_emulator.clock import Clock
from imagebuilder_emulator.environment import Environment
from imagebuilder_emulator.inprocess import InProcessError, InProcessService

WEB = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
START = datetime(2026, 1, 1, tzinfo=UTC)
SEED: dict[str, Any] = {"roles": ["ImageLifecycle"], "images": [{"arn": WEB, "amis": [{"region": "us-east-1"}]}]}
UPDATE = {
    "resourceArn": WEB,
    "state": {"status": "DISABLED"},
    "executionRole": "ImageLifecycle",
    "includeResources": {"amis": True},
}


class Simulation:
    def __init__(self, **options: Any) -> None:
        self.environment = Environment(SEED, execution_time="10s", clock=Clock(lambda: START), **options)
        self.service = InProcessService(self.environment)

    def call(self, operation: str, service: str = "imagebuilder", **parameters: Any) -> dict[str, Any]:
        return self.service.call(service, "us-east-1", operation, parameters)

    def later(self, seconds: float) -> None:
        self.environment.clock.advance(timedelta(seconds=seconds))


@pytest.fixture
def simulation() -> Simulation:
    return Simulation()


def test_an_execution_runs_in_virtual_time(simulation: Simulation) -> None:
    """Each step at its own instant, to the microsecond; answers are as boto3's."""
    execution = simulation.call("start_resource_state_update", **UPDATE)["lifecycleExecutionId"]
    found = simulation.call("get_lifecycle_execution", lifecycleExecutionId=execution)["lifecycleExecution"]
    assert (found["state"], found["startTime"]) == ({"status": "PENDING"}, START)
    simulation.later(5)
    found = simulation.call("GetLifecycleExecution", lifecycleExecutionId=execution)["lifecycleExecution"]
    assert found["state"] == {"status": "IN_PROGRESS"}
    simulation.later(5)
    answer = simulation.call("get_lifecycle_execution", lifecycleExecutionId=execution)
    assert answer["lifecycleExecution"]["endTime"] == START + timedelta(seconds=10)
    metadata = answer["ResponseMetadata"]
    assert (metadata["HTTPStatusCode"], metadata["HTTPHeaders"]["date"]) == (200, "Thu, 01 Jan 2026 00:00:10 GMT")
    image = simulation.call("get_image", imageBuildVersionArn=WEB)
    assert (image["image"]["state"]["status"], len(image["requestId"])) == ("DISABLED", 36)


def test_other_services_are_called_in_process(simulation: Simulation) -> None:
    """EC2 shows what the execution did, IAM dates roles by the virtual clock, and errors are theirs."""
    simulation.call("start_resource_state_update", **UPDATE)
    simulation.later(10)
    answer = simulation.call("describe_images", service="ec2", Owners=["self"], IncludeDisabled=True)
    (ami,) = answer["Images"]
    assert (ami["State"], ami["Public"]) == ("disabled", False)
    assert answer["ResponseMetadata"]["HTTPHeaders"]["date"] == "Thu, 01 Jan 2026 00:00:10 GMT"
    role = simulation.call("create_role", service="iam", RoleName="New", AssumeRolePolicyDocument="{}")["Role"]
    assert role["RoleName"] == "New"
    found = simulation.call("get_role", service="iam", RoleName="New")["Role"]
    assert found["CreateDate"] == START + timedelta(seconds=10)
    with pytest.raises(InProcessError) as refused:
        simulation.call("get_role", service="iam", RoleName="Missing")
    assert (refused.value.code, refused.value.status) == ("NoSuchEntity", 404)


def test_errors_are_boto3s_with_code_message_and_status(simulation: Simulation) -> None:
    """Of the shapes and of the rules."""
    with pytest.raises(ClientError) as raised:
        simulation.call("start_resource_state_update", resourceArn="web", state={"status": "GONE"})
    error = raised.value
    assert isinstance(error, InProcessError)
    assert (error.code, error.status) == ("InvalidRequestException", 400)
    assert "Value 'GONE' at 'state.status' must be one of" in error.message
    assert error.response["Error"] == {"Code": error.code, "Message": error.message}
    assert error.operation_name == "StartResourceStateUpdate"
    with pytest.raises(InProcessError) as refused:
        simulation.call("start_resource_state_update", resourceArn=WEB, state={"status": "DELETED"})
    assert refused.value.message.startswith("The state DELETED must include underlying resources")


def test_an_operation_that_is_not_emulated_is_refused_before_its_shape(simulation: Simulation) -> None:
    """As over HTTP."""
    with pytest.raises(InProcessError) as refused:
        simulation.call("create_workflow")
    assert (refused.value.code, refused.value.message) == ("ClientException", "CreateWorkflow is not emulated")


def test_client_tokens_are_filled_in(simulation: Simulation) -> None:
    """A new one for each call, as botocore does; a given one is kept."""
    first = simulation.call("start_resource_state_update", **UPDATE, clientToken="t")
    again = simulation.call("start_resource_state_update", **UPDATE, clientToken="t")
    assert again["lifecycleExecutionId"] == first["lifecycleExecutionId"]
    with pytest.raises(InProcessError) as refused:
        simulation.call("start_resource_state_update", **UPDATE)
    assert refused.value.code == "ResourceInUseException"


def test_variants_hold_in_process() -> None:
    """Reads lag, and pages are short."""
    simulation = Simulation(variants={"consistency": "lag", "pages": "short"})
    execution = simulation.call("start_resource_state_update", **UPDATE)["lifecycleExecutionId"]
    with pytest.raises(InProcessError) as refused:
        simulation.call("get_lifecycle_execution", lifecycleExecutionId=execution)
    assert (refused.value.code, refused.value.status) == ("ResourceNotFoundException", 404)
    simulation.later(2)
    assert simulation.call("get_lifecycle_execution", lifecycleExecutionId=execution)
    assert simulation.call("list_images")["imageVersionList"] == []


def test_faults_strike_in_process(simulation: Simulation) -> None:
    """Errors by their code, dropped connections before and after the work; delays pass on the virtual clock."""
    faults = simulation.environment.faults
    faults.replace("GetImage error=ExpiredTokenException first=1", "GetImage delay=3s nth=2")
    with pytest.raises(InProcessError) as expired:
        simulation.call("get_image", imageBuildVersionArn=WEB)
    assert (expired.value.code, expired.value.status) == ("ExpiredTokenException", 403)
    simulation.call("get_image", imageBuildVersionArn=WEB)
    assert simulation.environment.clock.now() == START + timedelta(seconds=3)
    faults.replace("sts:GetCallerIdentity error=InvalidClientTokenId")
    with pytest.raises(InProcessError) as invalid:
        simulation.call("get_caller_identity", service="sts")
    assert (invalid.value.code, invalid.value.status) == ("InvalidClientTokenId", 403)
    faults.replace("StartResourceStateUpdate drop-request first=1", "StartResourceStateUpdate drop-answer nth=2")
    for started in (0, 1):
        with pytest.raises(ConnectionClosedError):
            simulation.call("start_resource_state_update", **UPDATE)
        assert len(simulation.environment.backend.executions) == started


def test_faults_of_a_region_a_last_page_and_a_front_end_strike_in_process(simulation: Simulation) -> None:
    """As they do over HTTP; the log has the region."""
    faults, service = simulation.environment.faults, simulation.service
    for number in range(11):
        parameter = {"Name": f"web-{number}", "Type": "String", "Value": "ami-1"}
        simulation.call("put_parameter", service="ssm", **parameter)
    faults.replace("ec2:* error=UnauthorizedOperation region=eu-*")
    simulation.call("describe_images", service="ec2")
    with pytest.raises(InProcessError) as refused:
        service.call("ec2", "eu-west-1", "describe_images")
    assert (refused.value.code, refused.value.status) == ("UnauthorizedOperation", 403)
    assert [each.region for each in simulation.environment.requests.newest(2)] == ["eu-west-1", "us-east-1"]
    faults.replace("ssm:DescribeParameters error=AccessDeniedException page=last")
    first = simulation.call("describe_parameters", service="ssm")
    with pytest.raises(InProcessError):
        simulation.call("describe_parameters", service="ssm", NextToken=first["NextToken"])
    faults.replace("ec2:* plain-text=503")
    with pytest.raises(ResponseParserError):
        simulation.call("describe_images", service="ec2")


def test_references_are_found_in_process(simulation: Simulation) -> None:
    """By EC2's own operations, and what EC2 does not have is refused in its form."""
    (image,) = simulation.call("describe_images", service="ec2", Owners=["self"])["Images"]
    request = {"ImageIds": [image["ImageId"]], "IncludeAllResourceTypes": True}
    assert simulation.call("describe_image_references", service="ec2", **request)["ImageReferences"] == []
    simulation.call("put_parameter", service="ssm", Name="/golden/web", Type="String", Value=image["ImageId"])
    (found,) = simulation.call("describe_image_references", service="ec2", **request)["ImageReferences"]
    assert found["ResourceType"] == "ssm:Parameter"
    with pytest.raises(InProcessError) as refused:
        simulation.call("describe_ipam_policies", service="ec2")
    assert (refused.value.code, refused.value.status) == ("InvalidAction", 400)


def test_calls_are_in_the_request_log(simulation: Simulation) -> None:
    """With parameters for Image Builder alone, and how they ended."""
    simulation.call("get_image", imageBuildVersionArn=WEB)
    simulation.call("get_caller_identity", service="sts")
    with pytest.raises(InProcessError):
        simulation.call("get_image", imageBuildVersionArn=WEB.replace("web", "none"))
    shown = [
        (each.service, each.operation, each.status, each.error, each.answered)
        for each in simulation.environment.requests.all()
    ]
    assert shown == [
        ("imagebuilder", "GetImage", 200, None, True),
        ("sts", "GetCallerIdentity", 200, None, True),
        ("imagebuilder", "GetImage", 404, "ResourceNotFoundException", True),
    ]
    assert simulation.environment.requests.all()[0].parameters == {"imageBuildVersionArn": WEB}


def test_thousands_of_calls_take_seconds_at_most(simulation: Simulation) -> None:
    """Generous: a slow machine makes some thousand calls a second of processor time."""
    begun = time.process_time()
    for _ in itertools.repeat(None, 2000):
        simulation.call("get_image", imageBuildVersionArn=WEB)
    assert time.process_time() - begun < 10


def test_the_program_of_the_page_runs() -> None:
    """docs/emulator.md shows a simulation; its own asserts hold."""
    page = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text(encoding="utf-8")
    section = page.partition("## In one process, in virtual time")[2]
    program = section.partition("```python\n")[2].partition("```")[0]
    assert "assert image" in program
    exec(compile(program, "docs/emulator.md", "exec"), {})
