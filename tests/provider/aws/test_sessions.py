"""Sessions and clients: credentials, roles, regions, endpoints, proxies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from imagebuilder_emulator.emulator import Emulator
from pulumi_imagebuilder.aws.sessions import MAX_CONCURRENT_CALLS, Sessions, partition_of
from pulumi_imagebuilder.errors import ConfigurationError

from tests.provider.aws.settings import CREDENTIALS, ROLE, parse


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator({}) as running:
        yield running


def sessions_of(settings: dict[str, Any]) -> Sessions:
    return Sessions(parse(settings))


def client_of(sessions: Sessions, region: str) -> Any:
    return sessions.client(sessions.session(region), "imagebuilder", region)


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
    assert sessions_of({})._role_parameters("assumeRoles", {"roleArn": "arn:r", **role}) == ("arn:r", parameters)


def test_roles_are_assumed_one_after_the_other(emulator: Emulator) -> None:
    """Each with the credentials of the one before it, and with the parameters of pulumi-aws."""
    emulator.reset()
    roles = [
        {"roleArn": ROLE.format("first"), "externalId": "outside", "duration": "1h", "tags": {"team": "web"}},
        {"roleArn": ROLE.format("second"), "sessionName": "of-a-person", "policyArns": [ROLE.format("none")]},
    ]
    sessions = sessions_of({**CREDENTIALS, "aws:endpoints": [{"sts": emulator.url}], "aws:assumeRoles": roles})
    credentials = sessions.session("eu-west-1").get_credentials()
    assert credentials is not None
    assert credentials.get_frozen_credentials().access_key != CREDENTIALS["aws:accessKey"]
    assert credentials.method == "assume-role"
    assert credentials._refresh_using.__self__._assume_kwargs == {
        "RoleArn": ROLE.format("second"),
        "RoleSessionName": "of-a-person",
        "PolicyArns": [{"arn": ROLE.format("none")}],
    }


def test_a_role_is_assumed_with_a_web_identity(emulator: Emulator, tmp_path: Path) -> None:
    """With the token itself, or with a file that holds it; no other credentials are needed."""
    emulator.reset()
    token = tmp_path / "token"
    token.write_text("a-token", encoding="utf-8")
    for source in ({"webIdentityToken": "a-token"}, {"webIdentityTokenFile": str(token)}):
        role = {"roleArn": ROLE.format("first"), "sessionName": "ci", **source}
        sessions = sessions_of({"aws:endpoints": [{"sts": emulator.url}], "aws:assumeRoleWithWebIdentity": role})
        credentials = sessions.session("eu-west-1").get_credentials()
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
    sessions = sessions_of({**settings, "aws:assumeRoleWithWebIdentity": role})
    assert sessions.sts_region_for(called) == region
    credentials = sessions.session(called).get_credentials()
    assert credentials is not None
    fetcher = credentials._refresh_using.__self__
    assert f"sts.{region}." in fetcher._client_creator("sts").meta.endpoint_url


def test_sts_is_called_in_the_region_of_the_profile(tmp_path: Path) -> None:
    """Where the configuration names none, and the profile's is in the partition; also for the profile's own role."""
    config = tmp_path / "config"
    config.write_text("[profile web]\nregion = us-west-2\n", encoding="utf-8")
    sessions = sessions_of({"aws:profile": "web", "aws:sharedConfigFiles": [str(config)]})
    assert sessions.sts_region_for("eu-west-1") == "us-west-2"
    assert sessions.session("eu-west-1").get_config_variable("region") == "us-west-2"
    assert sessions.session("cn-north-1").get_config_variable("region") == "cn-north-1"


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
    sessions = sessions_of(
        {
            "aws:profile": "web",
            "aws:sharedConfigFiles": [str(config)],
            "aws:sharedCredentialsFiles": [str(credentials)],
        }
    )
    session = sessions.session("us-east-1")
    found = session.get_credentials()
    assert found is not None
    assert found.access_key == "AKIAOFTHEFILE"
    assert sessions.client(session, "imagebuilder", "us-east-1").meta.endpoint_url == "http://127.0.0.1:9"
    assert sessions._sts("us-east-1")("sts").meta.endpoint_url == "http://127.0.0.1:9"


def test_the_default_region_is_found_as_pulumi_aws_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration's, else AWS_REGION, which boto3 does not read, else AWS_DEFAULT_REGION; or there is none."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-3")
    assert sessions_of({}).default_region() == "eu-west-3"
    monkeypatch.setenv("AWS_REGION", "eu-west-2")
    assert sessions_of({}).default_region() == "eu-west-2"
    assert sessions_of({}).sts_region_for("us-east-1") == "eu-west-2"
    assert sessions_of({"aws:region": "eu-west-1"}).default_region() == "eu-west-1"
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(ConfigurationError) as failure:
        sessions_of({}).default_region()
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
    sessions = sessions_of({**CREDENTIALS, **settings})
    client = client_of(sessions, "us-east-1")
    assert client.meta.endpoint_url == url


def test_the_way_calls_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through proxies, past them where `noProxy` says so; with certificates of one's own, or without any."""
    settings = {"aws:httpsProxy": "http://proxy:3128", "aws:noProxy": "localhost,.us-east-1.amazonaws.com"}

    def http_session(region: str, **more: str) -> Any:
        sessions = sessions_of({**CREDENTIALS, **settings, **more})
        client = client_of(sessions, region)
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
    sessions = sessions_of({**CREDENTIALS, "aws:httpsProxy": "http://proxy:3128", "aws:noProxy": no_proxy})
    client = client_of(sessions, "us-west-2")
    assert client._endpoint.http_session._proxy_config._proxies == ({} if bypassed else {"https": "http://proxy:3128"})


def test_limits_of_a_client() -> None:
    """It gives up a silent connection, has one for each call under way, and does not retry by itself."""
    sessions = sessions_of(CREDENTIALS)
    config = client_of(sessions, "us-east-1").meta.config
    assert (config.connect_timeout, config.read_timeout) == (5, 20)
    assert config.max_pool_connections == MAX_CONCURRENT_CALLS
    assert config.retries == {"mode": "standard", "total_max_attempts": 1}


def test_only_insecure_silences_the_warning_of_an_unverified_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user has asked for it; elsewhere the warning stays."""
    silenced: list[object] = []
    monkeypatch.setattr("urllib3.disable_warnings", silenced.append)
    for insecure in ("False", "TRUE"):
        sessions = sessions_of({**CREDENTIALS, "aws:insecure": insecure})
        client_of(sessions, "us-east-1")
        assert bool(silenced) is (insecure == "TRUE")


def test_a_session_token_goes_with_the_keys() -> None:
    """Keys of a role are worth nothing without it."""
    credentials = sessions_of({**CREDENTIALS, "aws:token": "a-token"}).session("us-east-1").get_credentials()
    assert credentials is not None
    assert credentials.get_frozen_credentials().token == "a-token"


def test_calls_are_named_by_their_user_agent() -> None:
    """The package's own, and what the configuration adds."""
    sessions = sessions_of({**CREDENTIALS, "aws:userAgents": ["ci/1.0", "team/web"]})
    client = client_of(sessions, "us-east-1")
    assert client.meta.config.user_agent_extra.startswith("pulumi-imagebuilder/")
    assert client.meta.config.user_agent_extra.endswith(" ci/1.0 team/web")


def test_skip_metadata_api_check_asks_no_instance_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in pulumi-aws: credentials of an instance's role are not looked for."""
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    asked: list[object] = []
    monkeypatch.setattr(
        "botocore.utils.InstanceMetadataFetcher.retrieve_iam_role_credentials", lambda self: asked.append(self) or {}
    )
    assert sessions_of({"aws:skipMetadataApiCheck": "true"}).session("us-east-1").get_credentials() is None
    assert asked == []
    assert sessions_of({}).session("us-east-1").get_credentials() is None
    assert len(asked) == 1


def test_a_profile_of_the_environment_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the variable, for the configuration has no such key."""
    monkeypatch.setenv("AWS_PROFILE", "none")
    with pytest.raises(ConfigurationError) as failure:
        sessions_of({}).session("us-east-1")
    assert str(failure.value) == "the profile of AWS_PROFILE was not found in the AWS configuration"


def test_a_role_cannot_be_assumed_without_credentials() -> None:
    """The role is named, as it is what needs them."""
    with pytest.raises(ConfigurationError) as failure:
        sessions_of({"aws:assumeRoles": [{"roleArn": ROLE.format("deploy")}]}).session("us-east-1")
    assert str(failure.value) == f"there are no credentials to assume {ROLE.format('deploy')} with"
