"""The Python classes and functions on the native provider."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pulumi_imagebuilder
import pytest
import yaml
from pulumi_imagebuilder import native

ARN = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"


def declared(declared_by: Callable[..., Any], program: str, outputs: Any = None) -> list[tuple[str, dict[str, Any]]]:
    return declared_by(compile(inspect.cleandoc(program), "program", "exec"), {}, outputs)


@pytest.mark.parametrize("name", pulumi_imagebuilder.__all__)
def test_whoever_changes_the_import_changes_nothing_else(name: str) -> None:
    """Every public name is there, with the same arguments; functions take options too."""
    if name == "__version__":
        return
    dynamic, own = getattr(pulumi_imagebuilder, name), getattr(native, name)
    parameters = dict(inspect.signature(own).parameters)
    if name.startswith("get_"):
        assert parameters.pop("opts").default is None
    assert {n: (p.kind, p.default) for n, p in parameters.items()} == {
        n: (p.kind, p.default) for n, p in inspect.signature(dynamic).parameters.items()
    }


def test_inputs_are_in_the_names_of_the_schema(declared_by: Callable[..., Any]) -> None:
    """At every depth, inside of Outputs too; keys of tags and values of triggers stay."""
    program = f"""
        import pulumi
        from pulumi_imagebuilder.native import AmiExclusionRulesArgs, LastLaunchedArgs, ResourceStateUpdate
        ResourceStateUpdate(
            "web",
            resource_arn="{ARN}",
            state="DISABLED",
            include_resources=pulumi.Output.from_input({{"amis": True}}),
            exclusion_rules={{
                "amis": AmiExclusionRulesArgs(
                    last_launched=pulumi.Output.from_input({{"value": 1, "unit": "DAYS"}}),
                    tag_map=pulumi.Output.from_input({{"cost_center": "a"}}),
                )
            }},
            triggers=[{{"a_b": 1}}],
        )
    """
    ((token, inputs),) = declared(declared_by, program)
    assert token == "imagebuilder:index:ResourceStateUpdate"
    assert inputs == {
        "resourceArn": ARN,
        "state": "DISABLED",
        "includeResources": {"amis": True},
        "exclusionRules": {"amis": {"lastLaunched": {"value": 1, "unit": "DAYS"}, "tagMap": {"cost_center": "a"}}},
        "triggers": [{"a_b": 1}],
        "wait": True,
        "onDestroy": "retain",
        "inUse": "refuse",
    }


def test_outputs_are_in_the_names_of_python(declared_by: Callable[..., Any]) -> None:
    """As attributes and inside of them; ARNs stay."""
    program = f"""
        import pulumi
        from pulumi_imagebuilder.native import FleetStateUpdate
        fleet = FleetStateUpdate("fleet", resource_arns=["{ARN}"], state="DISABLED")
        pulumi.Output.all(fleet.executions, fleet.lifecycle_execution_ids, fleet.on_destroy).apply(found.append)
    """
    found: list[Any] = []
    token = "imagebuilder:index:FleetStateUpdate"
    outputs = {
        "executions": {ARN: {"imageState": "DISABLED", "resources": [{"accountId": "1"}]}},
        "lifecycleExecutionIds": {ARN: "lce-1"},
    }
    code = compile(inspect.cleandoc(program), "program", "exec")
    import builtins

    builtins.found = found  # type: ignore[attr-defined]
    try:
        declared_by(code, {}, {token: outputs})
    finally:
        del builtins.found  # type: ignore[attr-defined]
    assert found == [[{ARN: {"image_state": "DISABLED", "resources": [{"account_id": "1"}]}}, {ARN: "lce-1"}, "retain"]]


def test_a_provider(declared_by: Callable[..., Any]) -> None:
    """Its values are texts, JSON for those that are none; names of roles' members are the schema's, tags' keys stay."""
    program = """
        from pulumi_imagebuilder.native import Provider
        Provider(
            "own",
            region="eu-west-1",
            allowed_account_ids=["123456789012"],
            insecure=False,
            endpoints=[{"imagebuilder": "http://127.0.0.1:1"}],
            assume_roles=[{"role_arn": "arn:aws:iam::123456789012:role/r", "tags": {"cost_center": "a"}}],
        )
    """
    ((token, inputs),) = declared(declared_by, program)
    assert token == "pulumi:providers:imagebuilder"
    assert inputs.pop("region") == "eu-west-1"
    assert {name: json.loads(text) for name, text in inputs.items()} == {
        "allowedAccountIds": ["123456789012"],
        "insecure": False,
        "endpoints": [{"imagebuilder": "http://127.0.0.1:1"}],
        "assumeRoles": [{"roleArn": "arn:aws:iam::123456789012:role/r", "tags": {"cost_center": "a"}}],
    }


def test_a_provider_of_another_package(declared_by: Callable[..., Any]) -> None:
    """Is refused in one line: the SDK would pass it over, and calls would go to another account."""
    program = f"""
        import pulumi
        from pulumi_imagebuilder.native import ImageCleanup
        other = pulumi.ProviderResource("random", "other", {{}})
        ImageCleanup("web", resource_arn="{ARN}", execution_role="r", opts=pulumi.ResourceOptions(provider=other))
    """
    with pytest.raises(pulumi.RunError) as refused:
        declared(declared_by, program)
    assert str(refused.value) == (
        'ImageCleanup "web": provider "other" is one of package random; '
        "use one of pulumi_imagebuilder.native.Provider, or leave it out"
    )


ADVICE = (
    "pulumi-resource-imagebuilder is not on the PATH of `pulumi`; write into Pulumi.yaml: "
    "plugins: {providers: [{name: imagebuilder, path: venv/bin}]}"
)


@pytest.mark.parametrize(
    ("project", "advised"),
    [
        ({"runtime": {"name": "python", "options": {"virtualenv": "venv"}}}, True),
        ({"runtime": {"name": "python", "options": {"toolchain": "uv"}}}, True),
        # Without either the program's PATH is the engine's.
        ({"runtime": "python"}, False),
        ({"runtime": {"name": "python"}}, False),
        (
            {
                "runtime": {"name": "python", "options": {"virtualenv": "venv"}},
                "plugins": {"providers": [{"name": "imagebuilder", "path": "venv/bin"}]},
            },
            False,
        ),
        (
            {
                "runtime": {"name": "python", "options": {"virtualenv": "venv"}},
                "packages": {"imagebuilder": "./venv/bin"},
            },
            False,
        ),
    ],
)
def test_advice_on_where_the_plugin_is(tmp_path: Path, project: Any, advised: bool) -> None:
    """Where Pulumi makes the environment, its scripts are on the program's PATH and not on the engine's."""
    scripts = tmp_path / "venv" / "bin"
    scripts.mkdir(parents=True)
    plugin = scripts / "pulumi-resource-imagebuilder"
    plugin.touch(mode=0o755)
    (tmp_path / "Pulumi.yaml").write_text(yaml.safe_dump({"name": "test", **project}), encoding="utf-8")
    environment = {"PATH": f"{scripts}:/nowhere", "PULUMI_HOME": str(tmp_path / "home")}
    assert native.advise_on_plugin(tmp_path, environment, scripts) == (ADVICE if advised else None)


def test_no_advice_where_the_plugin_is_installed(tmp_path: Path) -> None:
    """Among Pulumi's own plugins, or twice on the PATH as in an environment that is activated."""
    scripts = tmp_path / "venv" / "bin"
    scripts.mkdir(parents=True)
    (scripts / "pulumi-resource-imagebuilder").touch(mode=0o755)
    project = {"name": "test", "runtime": {"name": "python", "options": {"virtualenv": "venv"}}}
    (tmp_path / "Pulumi.yaml").write_text(yaml.safe_dump(project), encoding="utf-8")
    home = {"PULUMI_HOME": str(tmp_path / "home")}
    assert native.advise_on_plugin(tmp_path, {"PATH": f"{scripts}:{scripts}", **home}, scripts) is None
    (tmp_path / "home" / "plugins" / "resource-imagebuilder-v0.2.0").mkdir(parents=True)
    assert native.advise_on_plugin(tmp_path, {"PATH": f"{scripts}", **home}, scripts) is None
    assert native.advise_on_plugin(tmp_path / "elsewhere", {"PATH": f"{scripts}", **home}, scripts) is None


@pytest.mark.parametrize(
    ("configured", "region_matters", "told"),
    [
        ({"aws:profile": "images", "aws:region": "us-east-1"}, False, "aws:profile, aws:region,"),
        ({"aws:profile": "images", "aws:region": "us-east-1"}, True, "aws:profile, aws:region,"),
        ({"aws:region": "us-east-1"}, True, "aws:region,"),
        # An ARN tells the region.
        ({"aws:region": "us-east-1"}, False, None),
        # It concerns no call of ours.
        ({"aws:defaultTags": "{}"}, True, None),
        # Any key of its own shows that the provider was thought of.
        ({"aws:profile": "images", "imagebuilder:region": "us-east-1"}, True, None),
        ({}, True, None),
    ],
)
def test_advice_on_configuration(configured: dict[str, str], region_matters: bool, told: str | None) -> None:
    """Where `aws:*` is all that is configured, the keys that are not read are named, and no values."""
    advice = native.advise_on_configuration(configured.get, region_matters=region_matters)
    assert (advice is None) if told is None else (advice or "").startswith(f"the native provider does not read {told}")
    assert "images" not in (advice or "")
