"""The stack's `aws:*` configuration: what of it is taken, and what is told where it cannot be used."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from imagebuilder_emulator.emulator import Emulator
from pulumi_imagebuilder import lifecycle
from pulumi_imagebuilder.aws import Service
from pulumi_imagebuilder.configuration import Configuration
from pulumi_imagebuilder.errors import ConfigurationError, PermanentError

ARN = "arn:aws:imagebuilder:eu-west-1:123456789012:image/web/1.0.0/1"
ROLE = "arn:aws:iam::123456789012:role/{}"
KEYS = {"aws:accessKey": "AKIAOFTHESTACK", "aws:secretKey": "the-secret-of-the-stack"}


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator({"images": [{"arn": ARN}]}) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, emulator: Emulator) -> None:
    emulator.reset()
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))


def parse(settings: dict[str, Any]) -> Configuration:
    """The configuration as the engine hands it over: objects as JSON text."""
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in settings.items()}
    return Configuration.parse(texts.get)


def endpoints(emulator: Emulator) -> dict[str, Any]:
    return {"aws:endpoints": [{"imagebuilder": emulator.url, "sts": emulator.url}]}


def find(configuration: Configuration) -> str:
    """The state of the image, asked for with this configuration."""
    client = lifecycle.ImageClient(Service(configuration), ARN, lifecycle.Progress("reading the image"))
    return asyncio.run(client.find_image()).state


def test_the_region_is_the_images(emulator: Emulator) -> None:
    """Not the stack's: an image of Ireland is asked for in Ireland."""
    assert find(parse({**KEYS, **endpoints(emulator), "aws:region": "us-west-2"})) == "AVAILABLE"


def test_roles_are_assumed_one_after_the_other(emulator: Emulator) -> None:
    """Each with the credentials of the one before it."""
    roles = [
        {"roleArn": ROLE.format("first"), "externalId": "outside", "duration": "1h", "tags": {"team": "web"}},
        {"roleArn": ROLE.format("second"), "sessionName": "of-a-person", "policyArns": [ROLE.format("none")]},
    ]
    configuration = parse({**KEYS, **endpoints(emulator), "aws:assumeRoles": roles})
    assert find(configuration) == "AVAILABLE"
    assert emulator.requests.counts()["sts:AssumeRole"] == 2
    credentials = configuration.session().get_credentials()
    assert credentials is not None
    assert credentials.get_frozen_credentials().access_key != KEYS["aws:accessKey"]


def test_a_role_is_assumed_with_a_web_identity(emulator: Emulator, tmp_path: Path) -> None:
    """With the token itself, or with a file that holds it; no other credentials are needed."""
    token = tmp_path / "token"
    token.write_text("a-token", encoding="utf-8")
    for given in ({"webIdentityToken": "a-token"}, {"webIdentityTokenFile": str(token)}):
        role = {"roleArn": ROLE.format("first"), "sessionName": "ci", **given}
        assert find(parse({**endpoints(emulator), "aws:assumeRoleWithWebIdentity": role})) == "AVAILABLE"
    assert emulator.requests.counts()["sts:AssumeRoleWithWebIdentity"] == 2


def test_a_profile_of_a_file(emulator: Emulator, tmp_path: Path) -> None:
    """`aws:profile` is looked for in the files that the stack names."""
    config, credentials = tmp_path / "config", tmp_path / "credentials"
    config.write_text(f"[profile web]\nendpoint_url = {emulator.url}\n", encoding="utf-8")
    credentials.write_text("[web]\naws_access_key_id = AKIAOFTHEFILE\naws_secret_access_key = s\n", encoding="utf-8")
    configuration = parse(
        {
            "aws:profile": "web",
            "aws:sharedConfigFiles": [str(config)],
            "aws:sharedCredentialsFiles": [str(credentials)],
        }
    )
    assert find(configuration) == "AVAILABLE"
    found = configuration.session().get_credentials()
    assert found is not None
    assert found.access_key == "AKIAOFTHEFILE"


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "https://imagebuilder.us-east-1.amazonaws.com"),
        ({"aws:useFipsEndpoint": "true"}, "https://imagebuilder-fips.us-east-1.amazonaws.com"),
        ({"aws:useDualstackEndpoint": "true"}, "https://imagebuilder.us-east-1.api.aws"),
        ({"aws:endpoints": [{"ec2": "http://x"}, {"imagebuilder": "http://y:1"}]}, "http://y:1"),
    ],
)
def test_where_calls_go(settings: dict[str, Any], url: str) -> None:
    """The endpoint follows from the region, or is the stack's."""
    configuration = parse({**KEYS, **settings})
    assert configuration.client(configuration.session(), "imagebuilder", "us-east-1").meta.endpoint_url == url


def test_the_way_calls_take() -> None:
    """Through the stack's proxies, past them where `aws:noProxy` says so; with its certificates, or without any."""
    settings = {"aws:httpsProxy": "http://proxy:3128", "aws:noProxy": "localhost,.us-east-1.amazonaws.com"}

    def session(region: str, **more: str) -> Any:
        configuration = parse({**KEYS, **settings, **more})
        client = configuration.client(configuration.session(), "imagebuilder", region)
        return client._endpoint.http_session

    assert session("us-west-2")._proxy_config._proxies == {"https": "http://proxy:3128"}
    assert session("us-east-1")._proxy_config._proxies == {}
    assert session("us-west-2", **{"aws:customCaBundle": "/etc/ca.pem"})._verify == "/etc/ca.pem"
    assert session("us-west-2", **{"aws:insecure": "true"})._verify is False


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            {"aws:forbiddenAccountIds": ["123456789012"]},
            "reading the image: account 123456789012 is one of aws:forbiddenAccountIds",
        ),
        (
            {"aws:allowedAccountIds": ["111122223333"]},
            "reading the image: account 123456789012 is none of aws:allowedAccountIds, which are 111122223333",
        ),
        ({"aws:profile": "nobody"}, "aws:profile 'nobody' was not found in the AWS configuration"),
        ({"aws:accessKey": ""}, "aws:secretKey is set without aws:accessKey; set both or neither"),
        ({"aws:assumeRoles": "[{"}, "aws:assumeRoles is not valid JSON"),
        ({"aws:assumeRoles": {"roleArn": "x"}}, "aws:assumeRoles must be a JSON list"),
        ({"aws:assumeRoles": [{"externalId": "x"}]}, "aws:assumeRoles needs a roleArn in each of its objects"),
        (
            {"aws:assumeRoles": [{"roleArn": "x", "role": "y"}]},
            "role is not known of a role to assume; known are roleArn, duration, durationSeconds, externalId, policy, "
            "policyArns, sessionName, sourceIdentity, tags, transitiveTagKeys",
        ),
        (
            {"aws:assumeRoles": [{"roleArn": "x", "duration": "long"}]},
            "duration 'long' of a role to assume is none such as 1h30m",
        ),
        (
            {"aws:assumeRoleWithWebIdentity": {"roleArn": "x"}},
            "aws:assumeRoleWithWebIdentity needs a roleArn, and webIdentityToken or webIdentityTokenFile",
        ),
        ({"aws:endpoints": ["x"]}, "aws:endpoints must be a list of objects such as {imagebuilder: URL}"),
        ({"aws:useFipsEndpoint": "perhaps"}, "aws:useFipsEndpoint must be true or false"),
        (
            {"aws:sharedConfigFiles": ["/a", "/b"]},
            "aws:sharedConfigFiles lists 2 files; boto3 reads one, so put all into one",
        ),
        ({"aws:sharedCredentialsFiles": ["/nowhere/c"]}, "aws:sharedCredentialsFiles: there is no file /nowhere/c"),
    ],
)
def test_what_cannot_be_used_is_told(settings: dict[str, Any], told: str) -> None:
    """In one line that names the setting, and shows no credential."""
    with pytest.raises(ConfigurationError) as failure:
        find(parse({**KEYS, **settings}))
    assert str(failure.value) == told
    assert KEYS["aws:secretKey"] not in told


def test_a_profile_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not exist is told as what it is."""
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(ConfigurationError) as failure:
        find(parse({}))
    assert str(failure.value) == "the profile that AWS_PROFILE names was not found in the AWS configuration"


def test_no_credentials() -> None:
    """One line tells where to set them."""
    with pytest.raises(PermanentError) as failure:
        find(parse({}))
    assert str(failure.value) == (
        "reading the image: no AWS credentials were found: set aws:profile or aws:accessKey and aws:secretKey in the "
        "stack's configuration, or any source that boto3 knows"
    )


def test_no_credentials_to_assume_a_role_with() -> None:
    """The role is named, for it is what wants them."""
    with pytest.raises(ConfigurationError) as failure:
        find(parse({"aws:assumeRoles": [{"roleArn": ROLE.format("deploy")}]}))
    assert str(failure.value) == f"there are no credentials to assume {ROLE.format('deploy')} with"


def test_no_credential_is_shown() -> None:
    """Not even where somebody prints the configuration."""
    settings = {**KEYS, "aws:token": "a-token", "aws:assumeRoleWithWebIdentity": {"webIdentityToken": "an-identity"}}
    text = repr(parse(settings))
    assert not [secret for secret in ("AKIA", "the-secret", "a-token", "an-identity") if secret in text]
