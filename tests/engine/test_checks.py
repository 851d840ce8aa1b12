"""Mistakes as a person reads them in `pulumi preview`: all at once, one line each, before any call."""

from __future__ import annotations

from typing import Any

HEAD = """
import datetime
import pulumi
from pulumi_imagebuilder import *

image = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
"""


def told(bench: Any, program: str, kind: str) -> list[str]:
    """The lines that `pulumi preview` closes with, without what is the same in all; no call was made meanwhile."""
    bench.write(HEAD + program)
    done = bench.run("preview")
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    assert bench.emulator.requests.all() == []
    token = f"pulumi-python:dynamic/imagebuilder:{kind}"
    # The engine's own section, on the stack, says that the program was stopped.
    diagnostics = done.stdout.partition("Diagnostics:")[2].partition("Resources:")[0]
    section = diagnostics.partition(f"\n  {token} (web):\n")[2].partition("\n\n")[0]
    start = f"    error: {token} resource 'web': property "
    found = [line for line in section.split("\n") if line.startswith("    error: ")]
    assert all(line.startswith(start) for line in found), found
    return [line.removeprefix(start) for line in found]


def test_the_wording_of_slips(bench: Any) -> None:
    """Names, values and types that are wrong in themselves, whatever Python let pass; and what is right is not told."""
    program = """
ResourceStateUpdate(
    "web",
    resource_arn="arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0",
    state="DEPRECATE",
    execution_role="ImageLifecycle",
    include_resources={"ami": True},
    exclusion_rules={"amis": {"isPublic": True, "shared_accounts": ["1234-5678-9012"],
                              "last_launched": {"value": 400, "unit": "DAY"}}},
    update_at=datetime.datetime(2030, 1, 31),
    client_token="",
    wait=datetime.timedelta(minutes=30),
    on_destroy="delete",
)
"""
    assert told(bench, program, "ResourceStateUpdate") == [
        "resource_arn value {arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0} has a problem: "
        '"arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0" has no build number; expected the ARN of an '
        'image build version, such as "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3/4"',
        'state value {DEPRECATE} has a problem: "DEPRECATE" is not valid; '
        'expected one of AVAILABLE, DELETED, DEPRECATED, DISABLED (did you mean "DEPRECATED"?)',
        "include_resources.ami value {<nil>} has a problem: not an argument of include_resources; did you mean `amis`?",
        "exclusion_rules.amis.isPublic value {<nil>} has a problem: "
        "not an argument of exclusion_rules.amis; did you mean `is_public`?",
        "exclusion_rules.amis.last_launched.unit value {<nil>} has a problem: "
        '"DAY" is not valid; expected one of DAYS, WEEKS, MONTHS, YEARS (did you mean "DAYS"?)',
        "exclusion_rules.amis.last_launched.value value {<nil>} has a problem: "
        "400 is not valid; expected a whole number, 1 to 365",
        "exclusion_rules.amis.shared_accounts[0] value {<nil>} has a problem: "
        '"1234-5678-9012" is not valid; expected an account id of 12 digits (did you mean "123456789012"?)',
        'update_at value {2030-01-31T00:00:00} has a problem: "2030-01-31T00:00:00" has no offset from UTC; '
        'expected an RFC 3339 time with an offset, such as "2030-01-31T00:00:00Z"',
        'client_token value {} has a problem: "" has 0 characters; expected 1 to 64',
        "wait value {map[__type:{timedelta}]} has a problem: timedelta is not valid; expected True or False",
        'on_destroy value {delete} has a problem: "delete" is not valid; expected one of retain, cancel, restore',
    ]


def test_the_wording_of_what_does_not_go_together(bench: Any) -> None:
    """Rules between arguments are told beside values that are not known yet, and without a secret in the message."""
    program = """
other = ResourceStateUpdate("other", resource_arn=image, state="DISABLED")
ResourceStateUpdate(
    "web",
    resource_arn=image,
    state="DISABLED",
    execution_role=pulumi.Output.secret("arn:aws:iam::999999999999:role/Hush"),
    include_resources={"amis": other.wait, "snapshots": True},
    exclusion_rules={"amis": {"regions": [other.client_token]}},
    update_at="2030-01-31T00:00:00Z",
    client_token=other.lifecycle_execution_id,
    triggers=[other.status],
)
"""
    assert told(bench, program, "ResourceStateUpdate") == [
        '["execution_role"] value {<nil>} has a problem: '
        "[secret] is of another account; expected a role of the account of the image (resource_arn)",
        "include_resources.snapshots value {<nil>} has a problem: "
        'True is valid only with state "DELETED", not "DISABLED"; leave it out',
        'update_at value {2030-01-31T00:00:00Z} has a problem: "2030-01-31T00:00:00Z" is valid only with state '
        '"DEPRECATED", not "DISABLED"; leave it out',
    ]


def test_the_wording_for_a_fleet(bench: Any) -> None:
    """The same rules check every image of a fleet, beside those that are not known yet."""
    program = """
other = ResourceStateUpdate("other", resource_arn=image, state="DISABLED")
FleetStateUpdate(
    "web",
    resource_arns=[other.client_token, image, image, "web", image.replace("arn:aws:", "arn:aws-cn:")],
    state="DELETED",
    include_resources={"amis": True},
    on_destroy="restore",
)
"""
    assert told(bench, program, "FleetStateUpdate") == [
        "resource_arns[2] value {<nil>} has a problem: "
        '"arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1" is listed twice; '
        "resource_arns[1] is the same image",
        'resource_arns[3] value {<nil>} has a problem: "web" is not an ARN; expected the ARN of an image build '
        'version, such as "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3/4"',
        "resource_arns[4] value {<nil>} has a problem: "
        '"arn:aws-cn:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1" is in partition aws-cn, but region '
        "us-east-1 is in aws; expected a region and a partition that belong together",
        "execution_role value {<nil>} has a problem: missing; include_resources needs the role that Image Builder "
        "assumes, by its name or ARN",
        'on_destroy value {restore} has a problem: "restore" is not possible with state "DELETED", '
        "which cannot be undone; expected one of retain, cancel",
    ]


def test_the_wording_for_a_clean_up(bench: Any) -> None:
    """The same rules check a clean-up; the log that shows that no call was made does show calls."""
    program = """
ImageCleanup(
    "web",
    resource_arn=image.replace("imagebuilder", "ec2"),
    execution_role="",
    include_resources={"amis": False},
)
"""
    assert told(bench, program, "ImageCleanup") == [
        "resource_arn value {arn:aws:ec2:us-east-1:123456789012:image/web/1.0.0/1} has a problem: "
        '"arn:aws:ec2:us-east-1:123456789012:image/web/1.0.0/1" is an ARN of ec2, not of imagebuilder; expected the '
        'ARN of an image build version, such as "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3/4"',
        'execution_role value {} has a problem: "" has 0 characters; expected 1 to 2048',
        'include_resources value {map[amis:{false}]} has a problem: {"amis": False} includes nothing; '
        "set amis (with snapshots) or containers to True, or leave include_resources out to delete them all",
    ]
    bench.image_state()
    bench.client("sts").get_caller_identity()
    assert [call.operation for call in bench.emulator.requests.all()] == ["GetImage", "GetCallerIdentity"]
