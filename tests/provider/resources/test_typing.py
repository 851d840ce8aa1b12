"""What an editor and mypy find in a program before it runs."""

from __future__ import annotations

import re
from typing import NamedTuple

import mypy.api
import pytest

PROLOGUE = """\
import pulumi
from pulumi_imagebuilder import (
    AmiExclusionRulesArgs,
    ExclusionRulesArgs,
    FleetStateUpdate,
    ImageCleanup,
    IncludeResourcesArgs,
    LastLaunchedArgs,
    ResourceStateUpdate,
    get_image_build_versions,
    get_image_build_versions_output,
    get_image_references,
    get_image_references_output,
)

arn = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3/4"
arn_output: pulumi.Output[str] = pulumi.Output.from_input(arn)
flag_output: pulumi.Output[bool] = pulumi.Output.from_input(True)
config = pulumi.Config()
number_output: pulumi.Output[int] = pulumi.Output.from_input(1)
"""

GOOD = {
    "least": 'ResourceStateUpdate("x", resource_arn=arn, state="DISABLED")',
    "outputs": 'ResourceStateUpdate("x", resource_arn=arn_output, execution_role=arn_output, state="AVAILABLE")',
    "every state": "\n".join(
        f'ResourceStateUpdate("x", resource_arn=arn, state="{state}")'
        for state in ("AVAILABLE", "DEPRECATED", "DISABLED", "DELETED")
    ),
    "state from the configuration": (
        'ResourceStateUpdate("x", resource_arn=arn, state=config.require("state"),\n'
        '    on_destroy=config.get("on_destroy") or "retain", in_use=config.require_secret("in_use"))'
    ),
    "fleet's state from an output": 'FleetStateUpdate("x", resource_arns=[arn], state=arn_output, in_use=arn_output)',
    "unit from the configuration": (
        'unit = config.require("unit")\nLastLaunchedArgs(value=config.require_int("age"), unit=unit)\n'
        'AmiExclusionRulesArgs(last_launched={"value": 6, "unit": unit})'
    ),
    "guards": (
        'ResourceStateUpdate("x", resource_arn=arn, state="DISABLED", in_use="refuse", max_amis=3)\n'
        'FleetStateUpdate("x", resource_arns=[arn], state="DISABLED", in_use="warn", max_amis=number_output)\n'
        'ImageCleanup("x", resource_arn=arn, execution_role="R", in_use="ignore", max_amis=None)'
    ),
    "builds as a fleet": (
        'old = get_image_build_versions("web", older_than="90d", skip_newest=3, deprecated_for="30d", unused=True)\n'
        'FleetStateUpdate("x", resource_arns=[build.arn for build in old if build.deprecation_time], state="DISABLED")'
    ),
    "builds later": (
        "found = get_image_build_versions_output(arn_output, states=[arn_output], skip_newest=number_output,\n"
        "    unused=flag_output, region=config.get('region'))\n"
        'FleetStateUpdate("x", resource_arns=found.apply(lambda all: [one.arn for one in all]), state="DISABLED")'
    ),
    "references": (
        "used: list[str] = [one.arn for one in get_image_references([arn]) if one.in_use]\n"
        'pulumi.export("used", get_image_references_output([arn_output]).apply(lambda all: all[0].used_by))'
    ),
    "included, by Args": (
        'ResourceStateUpdate("x", resource_arn=arn, state="DELETED", execution_role="R", on_destroy="cancel",\n'
        "    include_resources=IncludeResourcesArgs(amis=True, snapshots=flag_output, containers=None))"
    ),
    "included, by a dict": (
        'ResourceStateUpdate("x", resource_arn=arn, state="DELETED", execution_role="R",\n'
        '    include_resources={"amis": True, "snapshots": flag_output})'
    ),
    "excluded, by Args": (
        'ResourceStateUpdate("x", resource_arn=arn, state="DEPRECATED", exclusion_rules=ExclusionRulesArgs(\n'
        "    amis=AmiExclusionRulesArgs(\n"
        '        is_public=True, regions=["us-east-1", arn_output], shared_accounts=[arn_output],\n'
        '        last_launched=LastLaunchedArgs(value=number_output, unit="DAYS"), tag_map={"team": arn_output})))'
    ),
    "excluded, by dicts": (
        'ResourceStateUpdate("x", resource_arn=arn, state="DEPRECATED", exclusion_rules={"amis": {\n'
        '    "is_public": flag_output, "regions": ["us-east-1"], "shared_accounts": ["123456789012"],\n'
        '    "last_launched": {"value": 6, "unit": "MONTHS"}, "tag_map": {"team": "web"}}})'
    ),
    "excluded, by both": (
        'ResourceStateUpdate("x", resource_arn=arn, state="DEPRECATED", exclusion_rules={"amis":\n'
        '    AmiExclusionRulesArgs(last_launched={"value": 6, "unit": "WEEKS"})})'
    ),
    "the rest": (
        'ResourceStateUpdate("x", resource_arn=arn, state="DEPRECATED", update_at="2030-01-31T00:00:00Z",\n'
        '    client_token="t", triggers=["2026", 6, {"deep": [True]}, arn_output], wait=False, on_destroy="restore",\n'
        '    opts=pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="30m")))'
    ),
    "clean-up": 'ImageCleanup("x", resource_arn=arn_output, execution_role=arn_output)',
    "clean-up of some": (
        'ImageCleanup("x", resource_arn=arn, execution_role="R", include_resources={"amis": True},\n'
        '    exclusion_rules=ExclusionRulesArgs(amis={"is_public": True}),\n'
        '    opts=pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(delete="30m")))'
    ),
    "fleet": 'FleetStateUpdate("x", resource_arns=[arn, arn_output], state="DEPRECATED")',
    "fleet of none": 'FleetStateUpdate("x", resource_arns=[], state="DISABLED")',
    "fleet that comes later": (
        "arns: pulumi.Output[list[str]] = pulumi.Output.from_input([arn])\n"
        'FleetStateUpdate("x", resource_arns=arns, state="DELETED", execution_role="R",\n'
        '    include_resources={"amis": True, "snapshots": True}, on_destroy="retain", triggers=(1, "two"))'
    ),
    "outputs of a fleet": (
        'done = FleetStateUpdate("x", resource_arns=[arn], state="DISABLED")\n'
        "ids: pulumi.Output[dict[str, str | None]] = done.lifecycle_execution_ids\n"
        'pulumi.export("states", done.executions.apply(lambda all: [one["image_state"] for one in all.values()]))'
    ),
    "outputs of a clean-up": (
        'kept = ImageCleanup("x", resource_arn=arn, execution_role="R")\nrole: pulumi.Output[str] = kept.execution_role'
    ),
    "outputs of the resource": (
        'done = ResourceStateUpdate("x", resource_arn=arn, state="DISABLED")\n'
        "id_of_it: pulumi.Output[str | None] = done.lifecycle_execution_id\n"
        "image_state: pulumi.Output[str] = done.image_state\n"
        'pulumi.export("failed", done.resources.apply(lambda all: [one["reason"] for one in all]))'
    ),
}


class Mistake(NamedTuple):
    """One line of a program, the code of mypy's error and what its message begins with."""

    line: str
    code: str
    told: str


BAD = {
    "no image": Mistake(
        'ResourceStateUpdate("x", state="DISABLED")', "call-arg", 'Missing named argument "resource_arn"'
    ),
    "no state": Mistake('ResourceStateUpdate("x", resource_arn=arn)', "call-arg", 'Missing named argument "state"'),
    "image as a number": Mistake(
        'ResourceStateUpdate("x", resource_arn=4, state="DISABLED")',
        "arg-type",
        'Argument "resource_arn" to "ResourceStateUpdate" has incompatible type "int"',
    ),
    "name as the API has it": Mistake(
        'ResourceStateUpdate("x", resourceArn=arn, resource_arn=arn, state="DISABLED")',
        "call-arg",
        'Unexpected keyword argument "resourceArn" for "ResourceStateUpdate"; did you mean "resource_arn"?',
    ),
    "name with a slip": Mistake(
        'ResourceStateUpdate("x", resource_arn=arn, state="DISABLED", include_resource={"amis": True})',
        "call-arg",
        'Unexpected keyword argument "include_resource" for "ResourceStateUpdate"; did you mean "include_resources"?',
    ),
    "arguments by position": Mistake(
        'ResourceStateUpdate("x", arn, "DISABLED")',
        "call-arg",
        'Too many positional arguments for "ResourceStateUpdate"',
    ),
    "included as a list": Mistake(
        'ResourceStateUpdate("x", resource_arn=arn, state="DISABLED", include_resources=["amis"])',
        "arg-type",
        'Argument "include_resources" to "ResourceStateUpdate" has incompatible type "list[str]"',
    ),
    "included as text": Mistake(
        'ResourceStateUpdate("x", resource_arn=arn, state="DISABLED", include_resources="amis")',
        "arg-type",
        'Argument "include_resources" to "ResourceStateUpdate" has incompatible type "str"',
    ),
    "flag as text": Mistake(
        'IncludeResourcesArgs(amis="yes")',
        "arg-type",
        'Argument "amis" to "IncludeResourcesArgs" has incompatible type',
    ),
    "flag that does not exist": Mistake(
        "IncludeResourcesArgs(ami=True)",
        "call-arg",
        'Unexpected keyword argument "ami" for "IncludeResourcesArgs"; did you mean "amis"?',
    ),
    "key that does not exist": Mistake(
        'ResourceStateUpdate("x", resource_arn=arn, state="DISABLED", include_resources={"ami": True})',
        "arg-type",
        'Argument "include_resources" to "ResourceStateUpdate" has incompatible type "dict[str, bool]"',
    ),
    "value as text": Mistake(
        'LastLaunchedArgs(value="1", unit="DAYS")',
        "arg-type",
        'Argument "value" to "LastLaunchedArgs" has incompatible type "str"',
    ),
    "no unit": Mistake("LastLaunchedArgs(value=1)", "call-arg", 'Missing named argument "unit" for "LastLaunchedArgs"'),
    "rule as the API has it": Mistake(
        "AmiExclusionRulesArgs(isPublic=True)",
        "call-arg",
        'Unexpected keyword argument "isPublic" for "AmiExclusionRulesArgs"; did you mean "is_public"?',
    ),
    "accounts as numbers": Mistake(
        "AmiExclusionRulesArgs(shared_accounts=[123456789012])",
        "list-item",
        'List item 0 has incompatible type "int"',
    ),
    "rules without amis": Mistake(
        "ExclusionRulesArgs(regions=[])", "call-arg", 'Unexpected keyword argument "regions" for "ExclusionRulesArgs"'
    ),
    "time as a number": Mistake(
        'ResourceStateUpdate("x", resource_arn=arn, state="DEPRECATED", update_at=1796083200)',
        "arg-type",
        'Argument "update_at" to "ResourceStateUpdate" has incompatible type "int"',
    ),
    "wait as text": Mistake(
        'ResourceStateUpdate("x", resource_arn=arn, state="DISABLED", wait="30m")',
        "arg-type",
        'Argument "wait" to "ResourceStateUpdate" has incompatible type "str"',
    ),
    "fleet of one image": Mistake('FleetStateUpdate("x", resource_arn=arn, state="DISABLED")', "call-arg", ""),
    "fleet of images as numbers": Mistake(
        'FleetStateUpdate("x", resource_arns=[1], state="DISABLED")',
        "list-item",
        'List item 0 has incompatible type "int"',
    ),
    "fleet in no state": Mistake(
        'FleetStateUpdate("x", resource_arns=[arn])',
        "call-arg",
        'Missing named argument "state" for "FleetStateUpdate"',
    ),
    "clean-up without a role": Mistake(
        'ImageCleanup("x", resource_arn=arn)', "call-arg", 'Missing named argument "execution_role" for "ImageCleanup"'
    ),
    "clean-up with a state": Mistake(
        'ImageCleanup("x", resource_arn=arn, execution_role="R", state="DELETED")',
        "call-arg",
        'Unexpected keyword argument "state" for "ImageCleanup"',
    ),
    "clean-up of a flag as text": Mistake(
        'ImageCleanup("x", resource_arn=arn, execution_role="R", include_resources={"amis": "yes"})',
        "arg-type",
        'Argument "include_resources" to "ImageCleanup" has incompatible type "dict[str, str]"',
    ),
    "output that does not exist": Mistake(
        'ImageCleanup("x", resource_arn=arn, execution_role="R").status',
        "attr-defined",
        '"ImageCleanup" has no attribute "status"',
    ),
    "state as a number": Mistake(
        'FleetStateUpdate("x", resource_arns=[arn], state=1)',
        "arg-type",
        'Argument "state" to "FleetStateUpdate" has incompatible type "Literal[1]"',
    ),
    "cap as text": Mistake(
        'ResourceStateUpdate("x", resource_arn=arn, state="DISABLED", max_amis="3")',
        "arg-type",
        'Argument "max_amis" to "ResourceStateUpdate" has incompatible type "str"',
    ),
    "use as a flag": Mistake(
        'ImageCleanup("x", resource_arn=arn, execution_role="R", in_use=True)',
        "arg-type",
        'Argument "in_use" to "ImageCleanup" has incompatible type "Literal[True]"',
    ),
    "one image as references": Mistake(
        "get_image_references(4)", "arg-type", 'Argument 1 to "get_image_references" has incompatible type "int"'
    ),
    "triggers as a number": Mistake(
        'ResourceStateUpdate("x", resource_arn=arn, state="DISABLED", triggers=6)',
        "arg-type",
        'Argument "triggers" to "ResourceStateUpdate" has incompatible type "int"',
    ),
}


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> dict[str, list[str]]:
    """What mypy says, by the name of the part of the program; checked at once, for mypy is slow to start."""
    lines, owner = PROLOGUE.splitlines(), {}
    for name, part in {**GOOD, **{name: mistake.line for name, mistake in BAD.items()}}.items():
        indented = [f"def part_{len(lines)}() -> None:", *(f"    {line}" for line in part.splitlines())]
        owner.update(dict.fromkeys(range(len(lines) + 1, len(lines) + len(indented) + 1), name))
        lines += indented
    cache = pytestconfig.cache
    cache_dir = cache.mkdir("mypy") if cache else tmp_path_factory.mktemp("mypy")
    options = ["--strict", "--config-file=", "--no-error-summary", "--hide-error-context", f"--cache-dir={cache_dir}"]
    output, trouble, _ = mypy.api.run([*options, "-c", "\n".join(lines)])
    assert trouble == ""
    found: dict[str, list[str]] = {}
    for line in output.splitlines():
        match = re.fullmatch(r"<string>:(\d+): (error|note): (.*)", line)
        assert match, line
        if match[2] == "error":
            found.setdefault(owner.get(int(match[1]), "prologue"), []).append(match[3])
    return found


@pytest.mark.parametrize("name", GOOD)
def test_good_programs_have_no_errors(name: str, errors: dict[str, list[str]]) -> None:
    """A good program passes mypy's strict mode without a cast or a comment."""
    assert errors.get(name, []) == []


@pytest.mark.parametrize("name", BAD)
def test_mistakes_are_found_before_the_program_runs(name: str, errors: dict[str, list[str]]) -> None:
    """Each mistake is one error, at its own line, of the argument that is wrong."""
    told = errors.get(name, [])

    assert len(told) == 1, told
    assert told[0].startswith(BAD[name].told)
    assert told[0].endswith(f"[{BAD[name].code}]")


def test_nothing_else_is_wrong(errors: dict[str, list[str]]) -> None:
    """The lines that all parts share are right."""
    assert errors.keys() <= BAD.keys()
