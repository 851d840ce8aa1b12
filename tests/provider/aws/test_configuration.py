"""The provider's configuration: which keys are read, what follows from them, and messages where one cannot be used."""

from __future__ import annotations

import ast
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from imagebuilder_emulator.emulator import Emulator
from pulumi_imagebuilder.aws.configuration import MAX_CONCURRENT_CALLS, UNUSED_KEYS, Configuration, partition_of
from pulumi_imagebuilder.errors import ConfigurationError

ROLE = "arn:aws:iam::123456789012:role/{}"
CREDENTIALS = {"aws:accessKey": "AKIAOFTHESTACK", "aws:secretKey": "the-secret-of-the-stack"}


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator({}) as running:
        yield running


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "AWS_PROFILE",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_ENDPOINT_URL",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))


def parse(settings: dict[str, Any], prefix: str = "aws") -> Configuration:
    """Parse settings as the engine hands them over: objects as JSON text."""
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in settings.items()}
    return Configuration.parse(texts.get, prefix)


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


def test_roles_are_assumed_one_after_the_other(emulator: Emulator) -> None:
    """Each with the credentials of the one before it, and with the parameters of pulumi-aws."""
    emulator.reset()
    roles = [
        {"roleArn": ROLE.format("first"), "externalId": "outside", "duration": "1h", "tags": {"team": "web"}},
        {"roleArn": ROLE.format("second"), "sessionName": "of-a-person", "policyArns": [ROLE.format("none")]},
    ]
    configuration = parse({**CREDENTIALS, "aws:endpoints": [{"sts": emulator.url}], "aws:assumeRoles": roles})
    credentials = configuration.session("eu-west-1").get_credentials()
    assert credentials is not None
    assert credentials.get_frozen_credentials().access_key != CREDENTIALS["aws:accessKey"]
    assert credentials.method == "assume-role"
    assert credentials._refresh_using.__self__._assume_kwargs == {
        "RoleArn": ROLE.format("second"),
        "RoleSessionName": "of-a-person",
        "PolicyArns": [{"arn": ROLE.format("none")}],
    }


@pytest.mark.parametrize(
    ("role", "parameters"),
    [
        ({}, {"RoleSessionName": "pulumi-imagebuilder"}),
        ({"sessionName": "ci", "externalId": ""}, {"RoleSessionName": "ci"}),
        (
            {"duration": "1h30m", "tags": {"team": "web"}, "policyArns": ["arn:p"], "transitiveTagKeys": ["team"]},
            {
                "RoleSessionName": "pulumi-imagebuilder",
                "DurationSeconds": 5400,
                "Tags": [{"Key": "team", "Value": "web"}],
                "PolicyArns": [{"arn": "arn:p"}],
                "TransitiveTagKeys": ["team"],
            },
        ),
        ({"durationSeconds": 900}, {"RoleSessionName": "pulumi-imagebuilder", "DurationSeconds": 900}),
    ],
)
def test_parameters_of_a_role(role: dict[str, Any], parameters: dict[str, Any]) -> None:
    """What pulumi-aws declares becomes what STS takes."""
    assert Configuration()._role_parameters("assumeRoles", {"roleArn": "arn:r", **role}) == ("arn:r", parameters)


def test_a_role_is_assumed_with_a_web_identity(emulator: Emulator, tmp_path: Path) -> None:
    """With the token itself, or with a file that holds it; no other credentials are needed."""
    emulator.reset()
    token = tmp_path / "token"
    token.write_text("a-token", encoding="utf-8")
    for source in ({"webIdentityToken": "a-token"}, {"webIdentityTokenFile": str(token)}):
        role = {"roleArn": ROLE.format("first"), "sessionName": "ci", **source}
        configuration = parse({"aws:endpoints": [{"sts": emulator.url}], "aws:assumeRoleWithWebIdentity": role})
        credentials = configuration.session("eu-west-1").get_credentials()
        assert credentials is not None
        assert credentials.get_frozen_credentials().access_key
    assert emulator.requests.counts()["sts:AssumeRoleWithWebIdentity"] == 2


@pytest.mark.parametrize(
    ("settings", "called", "region"),
    [
        ({}, "eu-west-1", "eu-west-1"),
        ({"aws:region": "us-west-2"}, "eu-west-1", "us-west-2"),
        ({"aws:region": "us-west-2", "aws:stsRegion": "us-east-2"}, "eu-west-1", "us-east-2"),
        ({"aws:region": "us-west-2"}, "cn-north-1", "cn-north-1"),
        ({"aws:region": "us-west-2", "aws:stsRegion": "us-east-2"}, "us-gov-west-1", "us-gov-west-1"),
        ({"aws:region": "cn-northwest-1", "aws:stsRegion": "us-east-2"}, "cn-north-1", "cn-northwest-1"),
        ({"aws:region": "cn-north-1"}, "us-east-1", "us-east-1"),
        ({"aws:region": "us-iso-west-1"}, "us-iso-east-1", "us-iso-west-1"),
    ],
)
def test_sts_is_called_in_the_partition_of_the_call(settings: dict[str, str], called: str, region: str) -> None:
    """Credentials of one partition are worth nothing in another."""
    role = {"roleArn": ROLE.format("first"), "webIdentityToken": "t"}
    configuration = parse({**settings, "aws:assumeRoleWithWebIdentity": role})
    assert configuration.sts_region_for(called) == region
    credentials = configuration.session(called).get_credentials()
    assert credentials is not None
    fetcher = credentials._refresh_using.__self__
    assert f"sts.{region}." in fetcher._client_creator("sts").meta.endpoint_url


def test_sts_is_called_in_the_region_of_the_profile(tmp_path: Path) -> None:
    """Where the configuration names none, and the profile's is in the partition; also for the profile's own role."""
    config = tmp_path / "config"
    config.write_text("[profile web]\nregion = us-west-2\n", encoding="utf-8")
    configuration = parse({"aws:profile": "web", "aws:sharedConfigFiles": [str(config)]})
    assert configuration.sts_region_for("eu-west-1") == "us-west-2"
    assert configuration.session("eu-west-1").region_name == "us-west-2"
    assert configuration.session("cn-north-1").region_name == "cn-north-1"


def test_a_region_that_is_not_known_is_a_partition_of_its_own() -> None:
    """Nothing is guessed for a partition newer than botocore."""
    assert [partition_of(region) for region in ("us-east-1", "cn-north-1", "us-gov-east-1", "mars")] == [
        "aws",
        "aws-cn",
        "aws-us-gov",
        "mars",
    ]


def test_a_profile_of_a_file(tmp_path: Path) -> None:
    """`aws:profile` is looked for in the files that the configuration names, with its endpoint."""
    config, credentials = tmp_path / "config", tmp_path / "credentials"
    config.write_text("[profile web]\nendpoint_url = http://127.0.0.1:9\n", encoding="utf-8")
    credentials.write_text("[web]\naws_access_key_id = AKIAOFTHEFILE\naws_secret_access_key = s\n", encoding="utf-8")
    configuration = parse(
        {
            "aws:profile": "web",
            "aws:sharedConfigFiles": [str(config)],
            "aws:sharedCredentialsFiles": [str(credentials)],
        }
    )
    session = configuration.session("us-east-1")
    found = session.get_credentials()
    assert found is not None
    assert found.access_key == "AKIAOFTHEFILE"
    assert configuration.client(session, "imagebuilder", "us-east-1").meta.endpoint_url == "http://127.0.0.1:9"
    assert configuration._sts("us-east-1")("sts").meta.endpoint_url == "http://127.0.0.1:9"


def test_the_default_region_is_found_as_pulumi_aws_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration's, else AWS_REGION, which boto3 does not read, else AWS_DEFAULT_REGION; or there is none."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-3")
    assert parse({}).default_region() == "eu-west-3"
    monkeypatch.setenv("AWS_REGION", "eu-west-2")
    assert parse({}).default_region() == "eu-west-2"
    assert parse({"aws:region": "eu-west-1"}).default_region() == "eu-west-1"
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(ConfigurationError) as failure:
        parse({}).default_region()
    assert str(failure.value) == "no region was given; name one, or set aws:region in the configuration"


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "https://imagebuilder.us-east-1.amazonaws.com"),
        ({"aws:useFipsEndpoint": "true"}, "https://imagebuilder-fips.us-east-1.amazonaws.com"),
        ({"aws:useDualstackEndpoint": "true"}, "https://imagebuilder.us-east-1.api.aws"),
        ({"aws:endpoints": [{"ec2": "http://x"}, {"imagebuilder": "http://y:1"}]}, "http://y:1"),
        ({"aws:endpoints": [{"imagebuilder": ""}]}, "https://imagebuilder.us-east-1.amazonaws.com"),
    ],
)
def test_where_calls_go(settings: dict[str, Any], url: str) -> None:
    """The endpoint follows from the region, or is the configuration's."""
    configuration = parse({**CREDENTIALS, **settings})
    client = configuration.client(configuration.session("us-east-1"), "imagebuilder", "us-east-1")
    assert client.meta.endpoint_url == url


def test_the_way_calls_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through proxies, past them where `noProxy` says so; with certificates of one's own, or without any."""
    settings = {"aws:httpsProxy": "http://proxy:3128", "aws:noProxy": "localhost,.us-east-1.amazonaws.com"}

    def http_session(region: str, **more: str) -> Any:
        configuration = parse({**CREDENTIALS, **settings, **more})
        client = configuration.client(configuration.session(region), "imagebuilder", region)
        return client._endpoint.http_session

    assert http_session("us-west-2")._proxy_config._proxies == {"https": "http://proxy:3128"}
    assert http_session("us-east-1")._proxy_config._proxies == {}
    assert http_session("us-west-2", **{"aws:customCaBundle": __file__})._verify == __file__
    assert http_session("us-west-2", **{"aws:insecure": "true"})._verify is False
    monkeypatch.setenv("HTTPS_PROXY", "http://of-the-environment:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    del settings["aws:httpsProxy"]
    assert http_session("us-west-2")._proxy_config._proxies["https"] == "http://of-the-environment:3128"
    assert http_session("us-east-1")._proxy_config._proxies == {}


@pytest.mark.parametrize(
    ("no_proxy", "bypassed"),
    [
        ("*", True),
        ("imagebuilder.us-west-2.amazonaws.com", True),
        (" amazonaws.com ,x", True),
        ("azonaws.com", False),
        (",", False),
    ],
)
def test_no_proxy_names_hosts_and_domains(no_proxy: str, bypassed: bool) -> None:
    """As curl reads it: all, a host, or a domain with or without a dot before it."""
    configuration = parse({**CREDENTIALS, "aws:httpsProxy": "http://proxy:3128", "aws:noProxy": no_proxy})
    client = configuration.client(configuration.session("us-west-2"), "imagebuilder", "us-west-2")
    assert client._endpoint.http_session._proxy_config._proxies == ({} if bypassed else {"https": "http://proxy:3128"})


def test_limits_of_a_client() -> None:
    """It gives up a silent connection, has one for each call under way, and does not retry by itself."""
    configuration = parse(CREDENTIALS)
    config = configuration.client(configuration.session("us-east-1"), "imagebuilder", "us-east-1").meta.config
    assert (config.connect_timeout, config.read_timeout) == (5, 20)
    assert config.max_pool_connections == MAX_CONCURRENT_CALLS
    assert config.retries == {"mode": "standard", "total_max_attempts": 1}


def test_only_insecure_silences_the_warning_of_an_unverified_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user has asked for it; elsewhere the warning stays."""
    silenced: list[object] = []
    monkeypatch.setattr("urllib3.disable_warnings", silenced.append)
    for insecure in ("False", "TRUE"):
        configuration = parse({**CREDENTIALS, "aws:insecure": insecure})
        configuration.client(configuration.session("us-east-1"), "imagebuilder", "us-east-1")
        assert bool(silenced) is (insecure == "TRUE")


def test_a_session_token_goes_with_the_keys() -> None:
    """Keys of a role are worth nothing without it."""
    credentials = parse({**CREDENTIALS, "aws:token": "a-token"}).session("us-east-1").get_credentials()
    assert credentials is not None
    assert credentials.get_frozen_credentials().token == "a-token"


def test_calls_are_named_by_their_user_agent() -> None:
    """The package's own, and what the configuration adds."""
    configuration = parse({**CREDENTIALS, "aws:userAgents": ["ci/1.0", "team/web"]})
    client = configuration.client(configuration.session("us-east-1"), "imagebuilder", "us-east-1")
    assert client.meta.config.user_agent_extra.startswith("pulumi-imagebuilder/")
    assert client.meta.config.user_agent_extra.endswith(" ci/1.0 team/web")


def test_skip_metadata_api_check_asks_no_instance_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in pulumi-aws: credentials of an instance's role are not looked for."""
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    asked: list[object] = []
    monkeypatch.setattr(
        "botocore.utils.InstanceMetadataFetcher.retrieve_iam_role_credentials", lambda self: asked.append(self) or {}
    )
    assert parse({"aws:skipMetadataApiCheck": "true"}).session("us-east-1").get_credentials() is None
    assert asked == []
    assert parse({}).session("us-east-1").get_credentials() is None
    assert len(asked) == 1


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
        parse({**CREDENTIALS, **settings}).session("us-east-1")
    assert str(failure.value) == message
    assert CREDENTIALS["aws:secretKey"] not in message


def test_a_profile_of_the_environment_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the variable, for the configuration has no such key."""
    monkeypatch.setenv("AWS_PROFILE", "none")
    with pytest.raises(ConfigurationError) as failure:
        parse({}).session("us-east-1")
    assert str(failure.value) == "the profile of AWS_PROFILE was not found in the AWS configuration"


def test_a_role_cannot_be_assumed_without_credentials() -> None:
    """The role is named, as it is what needs them."""
    with pytest.raises(ConfigurationError) as failure:
        parse({"aws:assumeRoles": [{"roleArn": ROLE.format("deploy")}]}).session("us-east-1")
    assert str(failure.value) == f"there are no credentials to assume {ROLE.format('deploy')} with"


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
