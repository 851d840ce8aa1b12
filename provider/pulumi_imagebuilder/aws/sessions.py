"""Make botocore's sessions and clients from a configuration: profile, roles, endpoints, proxies."""

from __future__ import annotations

import functools
import os
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

import botocore.config
import botocore.credentials
import botocore.exceptions
import botocore.session
import urllib3

from .._version import __version__
from ..durations import parse_duration
from ..errors import ConfigurationError
from ..validation.schema import find_partition, installed, loader
from .configuration import Configuration

MAX_CONCURRENT_CALLS = 16
"""The most concurrent calls to one service in one region; more would only queue at the service."""

_ROLE_PARAMETERS = {
    # Members of `assumeRoles` and `assumeRoleWithWebIdentity` → parameters of STS.
    "externalId": "ExternalId",
    "sessionName": "RoleSessionName",
    "policy": "Policy",
    "policyArns": "PolicyArns",
    "sourceIdentity": "SourceIdentity",
    "tags": "Tags",
    "transitiveTagKeys": "TransitiveTagKeys",
    "duration": "DurationSeconds",
    "durationSeconds": "DurationSeconds",
}


class Sessions:
    """Makes sessions and clients with the credentials of a configuration, in the partition where they are used.

    Args:
        configuration: credentials and endpoints; botocore's own chain and environment supply what it leaves out.
        given: the session to use, whatever credentials the configuration has. Default: one is made for each partition.
    """

    def __init__(self, configuration: Configuration, given: botocore.session.Session | None = None) -> None:
        self._configuration = configuration
        self._given = given
        self._by_partition: dict[str, botocore.session.Session] = {}

    def default_region(self) -> str:
        """Return the region where none is named, as pulumi-aws finds it: configuration, environment, profile.

        Raises:
            ConfigurationError: there is none, or the profile does not exist.
        """
        configuration = self._configuration
        region = (
            configuration.region
            or (self._given and _region_of(self._given))
            or os.environ.get("AWS_REGION")
            or _region_of(self._profile_session())
        )
        if not region:
            raise ConfigurationError(
                "no region was given", next_step=f"name one, or set {configuration.prefix}:region in the configuration"
            )
        return str(region)

    def session(self, region: str) -> botocore.session.Session:
        """Return the session with these credentials, for calls in the partition of a region.

        Roles are assumed in their order, at the first call and again when they expire, by the STS of that partition:
        in ``stsRegion``, else the default region, if these are in the partition; else in ``region`` itself.

        Args:
            region: where calls go.

        Raises:
            ConfigurationError: the profile does not exist, or there is nothing to assume a role with.
        """
        if self._given is not None:
            return self._given
        partition = partition_of(region)
        if partition not in self._by_partition:
            self._by_partition[partition] = self._make_session(self.sts_region_for(region))
        return self._by_partition[partition]

    def _make_session(self, sts_region: str) -> botocore.session.Session:
        session = self._profile_session(sts_region)
        if self._configuration.web_identity is not None:
            session = self._with_web_identity(self._configuration.web_identity, sts_region)
        for role in self._configuration.assume_roles:
            session = self._with_role(session, role, sts_region)
        return session

    def sts_region_for(self, region: str) -> str:
        """Return the region where STS is called for calls in a region."""
        given, profile = self._configuration, self._profile_session()
        candidates = (given.sts_region, given.region, os.environ.get("AWS_REGION"), _region_of(profile))
        return next((name for name in candidates if name and partition_of(name) == partition_of(region)), region)

    def client(self, session: botocore.session.Session, service: str, region: str, **options: Any) -> Any:
        """Return a new client of a service.

        Args:
            session: whose credentials it has.
            service: botocore's name of the service.
            region: where it calls.
            options: what else botocore takes; a ``config`` takes precedence over what is set here.
        """
        configuration = self._configuration
        if configuration.verify is False:
            # The user has asked for it: no warning at each call.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        session.register_component("data_loader", loader())
        config = self._client_config().merge(options.pop("config", None) or botocore.config.Config())
        options = {"endpoint_url": configuration.endpoints.get(service), "verify": configuration.verify, **options}
        client = session.create_client(service, region_name=region, config=config, **options)
        if self._bypasses_proxies(client.meta.endpoint_url):
            config = config.merge(botocore.config.Config(proxies={}))
            client = session.create_client(service, region_name=region, config=config, **options)
        return client

    def _bypasses_proxies(self, url: str) -> bool:
        """Return whether ``noProxy`` names a URL's host, or a domain that it is in."""
        host = urllib.parse.urlsplit(url).hostname or ""
        names = [name.strip().lstrip(".") for name in (self._configuration.no_proxy or "").split(",")]
        return any(name == "*" or host == name or host.endswith(f".{name}") for name in names if name)

    def _client_config(self) -> botocore.config.Config:
        configuration = self._configuration
        return botocore.config.Config(
            # `Service.call` retries, and no one else does.
            retries={"mode": "standard", "total_max_attempts": 1},
            connect_timeout=5,
            read_timeout=20,
            max_pool_connections=MAX_CONCURRENT_CALLS,
            user_agent_extra=" ".join((f"pulumi-imagebuilder/{__version__}", *configuration.user_agents)),
            proxies=dict(configuration.proxies) if configuration.proxies else None,
            use_fips_endpoint=configuration.fips,
            use_dualstack_endpoint=configuration.dualstack,
        )

    def _profile_session(self, region: str | None = None) -> botocore.session.Session:
        """Return a session with the credentials of the configuration, the profile or the environment; no role."""
        configuration = self._configuration
        session = botocore.session.Session(profile=configuration.profile)
        for name, value in {**configuration.settings, **({"region": region} if region else {})}.items():
            session.set_config_variable(name, value)
        try:
            session.get_scoped_config()
        except botocore.exceptions.ProfileNotFound as error:
            profile = (
                f"{configuration.prefix}:profile {configuration.profile!r}"
                if configuration.profile
                else "the profile of AWS_PROFILE"
            )
            raise ConfigurationError(f"{profile} was not found in the AWS configuration") from error
        if configuration.access_key:
            session.set_credentials(configuration.access_key, configuration.secret_key, configuration.token)
        if configuration.skip_metadata:
            session.get_component("credential_provider").remove("iam-role")
        return session

    def _with_role(self, session: botocore.session.Session, role: Any, sts_region: str) -> botocore.session.Session:
        arn, parameters = self._role_parameters("assumeRoles", role)
        source = session.get_credentials()
        if source is None:
            raise ConfigurationError(f"there are no credentials to assume {arn} with")
        fetcher = botocore.credentials.AssumeRoleCredentialFetcher(self._sts(sts_region), source, arn, parameters)
        return self._refreshable_session(fetcher, "assume-role", sts_region)

    def _with_web_identity(self, role: Mapping[str, Any], sts_region: str) -> botocore.session.Session:
        key = "assumeRoleWithWebIdentity"
        arn, parameters = self._role_parameters(key, {k: v for k, v in role.items() if "webIdentityToken" not in k})
        token, path = role.get("webIdentityToken"), role.get("webIdentityTokenFile")
        if not token and not path:
            raise ConfigurationError(
                f"{self._configuration.prefix}:{key} needs webIdentityToken or webIdentityTokenFile"
            )
        load = (lambda: token) if token else botocore.credentials.FileWebIdentityTokenLoader(path)
        fetcher = botocore.credentials.AssumeRoleWithWebIdentityCredentialFetcher(
            self._sts(sts_region), load, arn, parameters
        )
        return self._refreshable_session(fetcher, "assume-role-with-web-identity", sts_region)

    def _sts(self, region: str) -> Callable[..., Any]:
        def create_client(service: str, **options: Any) -> Any:
            return self.client(self._profile_session(region), service, region, **options)

        return create_client

    def _refreshable_session(self, fetcher: Any, method: str, region: str) -> botocore.session.Session:
        session = self._profile_session(region)
        # botocore has no public way to set credentials that refresh themselves.
        session._credentials = botocore.credentials.DeferredRefreshableCredentials(
            refresh_using=fetcher.fetch_credentials, method=method
        )
        return session

    def _role_parameters(self, key: str, role: Any) -> tuple[str, dict[str, Any]]:
        """Return the ARN of a role, and STS's other parameters.

        Raises:
            ConfigurationError: it cannot be used; an unknown member would silently do nothing.
        """
        if not isinstance(role, Mapping) or not role.get("roleArn"):
            each = " in each of its objects" if key == "assumeRoles" else ""
            raise ConfigurationError(f"{self._configuration.prefix}:{key} needs a roleArn{each}")
        unknown = sorted(role.keys() - _ROLE_PARAMETERS.keys() - {"roleArn"})
        if unknown:
            known = ", ".join(["roleArn", *sorted(_ROLE_PARAMETERS)])
            raise ConfigurationError(
                f"{self._configuration.prefix}:{key} has the unknown member {unknown[0]!r}; known are {known}"
            )
        parameters = {name: role[member] for member, name in _ROLE_PARAMETERS.items() if role.get(member)}
        try:
            if "DurationSeconds" in parameters:
                parameters["DurationSeconds"] = _duration_seconds(parameters["DurationSeconds"])
        except ValueError:
            raise ConfigurationError(
                f"{self._configuration.prefix}:{key} has the invalid duration {parameters['DurationSeconds']!r}; "
                "expected e.g. 1h30m"
            ) from None
        if "PolicyArns" in parameters:
            parameters["PolicyArns"] = [{"arn": arn} for arn in parameters["PolicyArns"]]
        if "Tags" in parameters:
            parameters["Tags"] = [{"Key": name, "Value": value} for name, value in parameters["Tags"].items()]
        return str(role["roleArn"]), {"RoleSessionName": "pulumi-imagebuilder", **parameters}


@functools.cache
def partition_of(region: str) -> str:
    """Return the partition of a region, as ``aws-cn``; a region that no partition has is a partition of its own."""
    partition = find_partition(region, installed().partitions)
    return partition.id if partition else region


def _region_of(session: botocore.session.Session) -> str | None:
    region: str | None = session.get_config_variable("region")
    return region


def _duration_seconds(duration: Any) -> int:
    """Return the seconds of a number, or of a Go duration as pulumi-aws takes it: ``1h30m``."""
    return int(duration) if isinstance(duration, int | float) else int(parse_duration(str(duration)))
