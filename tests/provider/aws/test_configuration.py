"""The provider's configuration: which keys are read, what follows from them, and messages where one cannot be used."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from typing import Any

import pytest
from pulumi_imagebuilder.aws.configuration import UNUSED_KEYS, Configuration
from pulumi_imagebuilder.aws.sessions import Sessions
from pulumi_imagebuilder.errors import ConfigurationError

from tests.provider.aws.settings import CREDENTIALS, ROLE, parse


def keys_of_pulumi_aws() -> set[str]:
    """Return the keys of the installed pulumi-aws, from its source: to import it takes seconds."""
    spec = importlib.util.find_spec("pulumi_aws")
    assert spec is not None
    assert spec.origin is not None
    source = (Path(spec.origin).parent / "config" / "vars.py").read_text(encoding="utf-8")
    return {
        node.args[0].value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).startswith("__config__.get")
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    }


def test_every_key_of_pulumi_aws_is_read_or_named_with_a_reason() -> None:
    """A key of a newer pulumi-aws fails here; `assumeRole` alone is of an older one."""
    assert len(keys_of_pulumi_aws()) > 30
    assert not set(Configuration.KEYS) & UNUSED_KEYS.keys()
    assert set(Configuration.KEYS) | UNUSED_KEYS.keys() == keys_of_pulumi_aws() | {"assumeRole"}
    assert all(UNUSED_KEYS.values())


def test_exactly_the_listed_keys_are_read() -> None:
    """Once each; what hands a configuration over takes the list."""
    asked: list[str] = []
    Configuration.parse(asked.append)
    assert asked == [f"aws:{key}" for key in Configuration.KEYS]


# One usable value for each key, without what else it needs beside it.
_VALUES: dict[str, Any] = {
    "accessKey": "AKIAOFTHESTACK",
    "secretKey": "the-secret-of-the-stack",
    "token": "a-token",
    "profile": "web",
    "region": "eu-west-1",
    "stsRegion": "eu-west-2",
    "assumeRole": {"roleArn": ROLE.format("one")},
    "assumeRoles": [{"roleArn": ROLE.format("two")}],
    "assumeRoleWithWebIdentity": {"roleArn": ROLE.format("web"), "webIdentityToken": "t"},
    "allowedAccountIds": ["111122223333"],
    "forbiddenAccountIds": ["444455556666"],
    "customCaBundle": __file__,
    "sharedConfigFiles": [__file__],
    "sharedCredentialsFiles": [__file__],
    "ec2MetadataServiceEndpoint": "http://metadata",
    "ec2MetadataServiceEndpointMode": "IPv6",
    "skipMetadataApiCheck": True,
    "endpoints": [{"imagebuilder": "http://here"}],
    "httpProxy": "http://proxy",
    "httpsProxy": "http://proxy",
    "noProxy": "localhost",
    "insecure": True,
    "useDualstackEndpoint": True,
    "useFipsEndpoint": True,
    "userAgents": ["ci/1.0"],
}
_TOGETHER = {"accessKey": ("secretKey",), "secretKey": ("accessKey",), "token": ("accessKey", "secretKey")}


@pytest.mark.parametrize("key", Configuration.KEYS)
def test_every_key_has_an_effect(key: str) -> None:
    """A key that is read and dropped would be an option that does nothing; keys that need others get another value."""
    beside = {f"aws:{other}": _VALUES[other] for other in _TOGETHER.get(key, ())}
    without = {**beside, f"aws:{key}": "another"} if key in _TOGETHER else beside
    assert parse({**beside, f"aws:{key}": _VALUES[key]}) != parse(without)


def test_the_native_provider_has_its_own_prefix() -> None:
    """The same keys, and messages that name them as the user wrote them."""
    assert parse({"imagebuilder:region": "eu-west-1"}, "imagebuilder").region == "eu-west-1"
    with pytest.raises(ConfigurationError, match=r"^imagebuilder:insecure must be true or false$"):
        parse({"imagebuilder:insecure": "perhaps"}, "imagebuilder")
    configuration = parse({"imagebuilder:forbiddenAccountIds": ["123456789012"]}, "imagebuilder")
    with pytest.raises(ConfigurationError, match=r"^account 123456789012 is one of imagebuilder:forbiddenAccountIds$"):
        configuration.check_account("123456789012")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"aws:forbiddenAccountIds": ["123456789012"]},
            "account 123456789012 is one of aws:forbiddenAccountIds",
        ),
        (
            {"aws:allowedAccountIds": ["111122223333", 444455556666]},
            "account 123456789012 is not one of aws:allowedAccountIds, which are 111122223333, 444455556666",
        ),
    ],
)
def test_an_account_can_be_refused(settings: dict[str, Any], message: str) -> None:
    """Numbers are taken as texts, for YAML makes such of accounts."""
    configuration = parse(settings)
    assert configuration.guards_accounts
    with pytest.raises(ConfigurationError) as failure:
        configuration.check_account("123456789012")
    assert str(failure.value) == message
    configuration.check_account("111122223333")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"aws:profile": "none"}, "aws:profile 'none' was not found in the AWS configuration"),
        ({"aws:accessKey": ""}, "aws:secretKey is set without aws:accessKey; set both or neither"),
        ({"aws:secretKey": ""}, "aws:accessKey is set without aws:secretKey; set both or neither"),
        (
            {"aws:accessKey": "", "aws:secretKey": "", "aws:token": "a-token"},
            "aws:token is set without aws:accessKey and aws:secretKey",
        ),
        ({"aws:assumeRoles": "[{"}, "aws:assumeRoles is not valid JSON"),
        ({"aws:assumeRoles": {"roleArn": "x"}}, "aws:assumeRoles must be a JSON list"),
        ({"aws:allowedAccountIds": "111122223333"}, "aws:allowedAccountIds must be a JSON list"),
        ({"aws:assumeRoleWithWebIdentity": []}, "aws:assumeRoleWithWebIdentity must be a JSON object"),
        ({"aws:assumeRoles": [{"externalId": "x"}]}, "aws:assumeRoles needs a roleArn in each of its objects"),
        ({"aws:assumeRoles": ["x"]}, "aws:assumeRoles needs a roleArn in each of its objects"),
        (
            {"aws:assumeRoles": [{"roleArn": "x", "role": "y"}]},
            "aws:assumeRoles has the unknown member 'role'; known are roleArn, duration, durationSeconds, externalId, "
            "policy, policyArns, sessionName, sourceIdentity, tags, transitiveTagKeys",
        ),
        (
            {"aws:assumeRoles": [{"roleArn": "x", "duration": "long"}]},
            "aws:assumeRoles has the invalid duration 'long'; expected e.g. 1h30m",
        ),
        (
            {"aws:assumeRoleWithWebIdentity": {"webIdentityToken": "x"}},
            "aws:assumeRoleWithWebIdentity needs a roleArn",
        ),
        (
            {"aws:assumeRoleWithWebIdentity": {"roleArn": "x"}},
            "aws:assumeRoleWithWebIdentity needs webIdentityToken or webIdentityTokenFile",
        ),
        ({"aws:endpoints": ["x"]}, "aws:endpoints must be a list of objects such as {imagebuilder: URL}"),
        ({"aws:endpoints": [{"ec2": 1}]}, "aws:endpoints must be a list of objects such as {imagebuilder: URL}"),
        ({"aws:useFipsEndpoint": "perhaps"}, "aws:useFipsEndpoint must be true or false"),
        (
            {"aws:sharedConfigFiles": ["/a", "/b"]},
            "aws:sharedConfigFiles lists 2 files; boto3 reads one, so put all into one",
        ),
        ({"aws:sharedCredentialsFiles": ["/nowhere/c"]}, "aws:sharedCredentialsFiles: there is no file /nowhere/c"),
        ({"aws:customCaBundle": "/nowhere/ca.pem"}, "aws:customCaBundle: there is no file /nowhere/ca.pem"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused(settings: dict[str, Any], message: str) -> None:
    """In one line that names the key, and shows no credential."""
    with pytest.raises(ConfigurationError) as failure:
        Sessions(parse({**CREDENTIALS, **settings})).session("us-east-1")
    assert str(failure.value) == message
    assert CREDENTIALS["aws:secretKey"] not in message


def test_no_credential_is_shown() -> None:
    """Not even where the configuration is printed."""
    settings = {
        **CREDENTIALS,
        "aws:token": "a-token",
        "aws:assumeRoleWithWebIdentity": {"webIdentityToken": "an-identity"},
        "aws:endpoints": [{"imagebuilder": "http://me:hidden@here"}],
        "aws:httpsProxy": "http://me:hidden@proxy",
    }
    configuration = parse(settings)
    for secret in ("AKIA", "the-secret", "a-token", "an-identity", "hidden"):
        assert secret not in repr(configuration)
    assert configuration.secrets == ("AKIAOFTHESTACK", "the-secret-of-the-stack", "a-token", "an-identity")
