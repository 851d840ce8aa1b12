"""Read the provider's configuration, with the keys of pulumi-aws: credentials, account guards and endpoints."""

from __future__ import annotations

import functools
import json
import os
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import boto3
import botocore.config
import botocore.credentials
import botocore.exceptions
import botocore.session
import urllib3

from .._version import __version__
from ..durations import parse_duration
from ..errors import ConfigurationError

MAX_CONCURRENT_CALLS = 16
"""The most concurrent calls to one service in one region; more would only queue at the service."""

UNUSED_KEYS: Mapping[str, str] = {
    "defaultTags": "nothing here is tagged",
    "ignoreTags": "nothing here is tagged",
    "tagPolicyCompliance": "nothing here is tagged",
    "maxRetries": "a call is retried until the time limit of the resource",
    "retryMode": "calls are slowed down as the adaptive mode does, which the rate limit of Image Builder needs",
    "tokenBucketRateLimiterCapacity": "how often a call is retried follows from the time limit of the resource",
    "s3UsEast1RegionalEndpoint": "S3 is not called",
    "s3UsePathStyle": "S3 is not called",
    "skipCredentialsValidation": "credentials are not asked for their validity beforehand",
    "skipRegionValidation": "the region is that of the image's ARN, which is validated",
    "skipRequestingAccountId": "the account is that of the image's ARN",
}
"""Keys of pulumi-aws that do not concern calls of Image Builder, with the reason."""

_DATA = Path(__file__).with_name("data")
"""Additions to botocore's service models, in botocore's own format (``sdk-extras``)."""

_SESSION_SETTINGS = {
    # Names of botocore's own settings → keys of the configuration.
    "config_file": "sharedConfigFiles",
    "credentials_file": "sharedCredentialsFiles",
    "ec2_metadata_service_endpoint": "ec2MetadataServiceEndpoint",
    "ec2_metadata_service_endpoint_mode": "ec2MetadataServiceEndpointMode",
}

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


@dataclass(frozen=True)
class Configuration:
    """The configuration of a stack or a provider; boto3's own chain and environment supply what is left out."""

    KEYS: ClassVar[tuple[str, ...]] = (
        "accessKey",
        "allowedAccountIds",
        "assumeRole",
        "assumeRoleWithWebIdentity",
        "assumeRoles",
        "customCaBundle",
        "ec2MetadataServiceEndpoint",
        "ec2MetadataServiceEndpointMode",
        "endpoints",
        "forbiddenAccountIds",
        "httpProxy",
        "httpsProxy",
        "insecure",
        "noProxy",
        "profile",
        "region",
        "secretKey",
        "sharedConfigFiles",
        "sharedCredentialsFiles",
        "skipMetadataApiCheck",
        "stsRegion",
        "token",
        "useDualstackEndpoint",
        "useFipsEndpoint",
        "userAgents",
    )
    """Every key that :meth:`parse` reads, without the prefix; it can read no other."""

    prefix: str = "aws"
    profile: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    assume_roles: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    web_identity: Mapping[str, Any] | None = field(default=None, repr=False)
    endpoints: Mapping[str, str] = field(default_factory=dict, repr=False)
    region: str | None = None
    sts_region: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    skip_metadata: bool | None = None
    verify: bool | str | None = None
    proxies: Mapping[str, str] | None = field(default=None, repr=False)
    no_proxy: str | None = None
    fips: bool | None = None
    dualstack: bool | None = None
    user_agents: tuple[str, ...] = ()
    allowed_accounts: tuple[str, ...] = ()
    forbidden_accounts: tuple[str, ...] = ()

    @classmethod
    def parse(cls, get: Callable[[str], str | None], prefix: str = "aws") -> Configuration:
        """Read the configuration.

        Args:
            get: returns the text of a key such as ``aws:profile``, objects as JSON text, or ``None``.
            prefix: what stands before the colon: ``aws`` in a stack's configuration, ``imagebuilder`` for the native
                provider's own.

        Raises:
            ConfigurationError: a value cannot be used; credentials are never part of the message.
        """
        values = _Values({key: get(f"{prefix}:{key}") for key in cls.KEYS}, prefix)
        single = values.json("assumeRole", dict)
        roles = values.json("assumeRoles", list) or ([single] if single else [])
        access_key, secret_key = values.text("accessKey"), values.text("secretKey")
        if bool(access_key) != bool(secret_key):
            present, missing = ("accessKey", "secretKey") if access_key else ("secretKey", "accessKey")
            raise ConfigurationError(f"{prefix}:{present} is set without {prefix}:{missing}; set both or neither")
        token = values.text("token")
        if token and not access_key:
            raise ConfigurationError(f"{prefix}:token is set without {prefix}:accessKey and {prefix}:secretKey")
        settings = {
            name: values.single_file(key) if key.endswith("Files") else values.text(key)
            for name, key in _SESSION_SETTINGS.items()
        }
        proxies = {scheme: url for scheme in ("http", "https") if (url := values.text(f"{scheme}Proxy"))}
        ca_bundle = values.text("customCaBundle")
        return cls(
            prefix=prefix,
            profile=values.text("profile"),
            access_key=access_key,
            secret_key=secret_key,
            token=token,
            assume_roles=tuple(roles),
            web_identity=values.json("assumeRoleWithWebIdentity", dict),
            endpoints=values.endpoints(),
            region=values.text("region"),
            sts_region=values.text("stsRegion"),
            settings={name: value for name, value in settings.items() if value},
            skip_metadata=values.flag("skipMetadataApiCheck"),
            verify=False if values.flag("insecure") else ca_bundle and values.file("customCaBundle", ca_bundle),
            proxies=proxies or None,
            no_proxy=values.text("noProxy"),
            fips=values.flag("useFipsEndpoint"),
            dualstack=values.flag("useDualstackEndpoint"),
            user_agents=tuple(map(str, values.json("userAgents", list) or [])),
            allowed_accounts=tuple(map(str, values.json("allowedAccountIds", list) or [])),
            forbidden_accounts=tuple(map(str, values.json("forbiddenAccountIds", list) or [])),
        )

    @property
    def guards_accounts(self) -> bool:
        """Whether only some accounts may be called."""
        return bool(self.allowed_accounts or self.forbidden_accounts)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The credentials in the configuration, for leaving them out of messages."""
        web_identity = self.web_identity or {}
        found = (self.access_key, self.secret_key, self.token, web_identity.get("webIdentityToken"))
        return tuple(str(secret) for secret in found if secret)

    def check_account(self, account: str) -> None:
        """Refuse an account that must not be called.

        Args:
            account: the account of an image's ARN, or that of the credentials.

        Raises:
            ConfigurationError: it is forbidden, or is not among those allowed.
        """
        if account in self.forbidden_accounts:
            raise ConfigurationError(f"account {account} is one of {self.prefix}:forbiddenAccountIds")
        if self.allowed_accounts and account not in self.allowed_accounts:
            raise ConfigurationError(
                f"account {account} is not one of {self.prefix}:allowedAccountIds, "
                f"which are {', '.join(self.allowed_accounts)}"
            )

    def default_region(self) -> str:
        """Return the region where none is named, as pulumi-aws finds it: configuration, environment, profile.

        Raises:
            ConfigurationError: there is none, or the profile does not exist.
        """
        region = self.region or os.environ.get("AWS_REGION") or self._profile_session().region_name
        if not region:
            raise ConfigurationError(
                "no region was given", next_step=f"name one, or set {self.prefix}:region in the configuration"
            )
        return str(region)

    def session(self, region: str) -> boto3.Session:
        """Return a new boto3 session with these credentials, for calls in the partition of a region.

        Roles are assumed in their order, at the first call and again when they expire, by the STS of that partition:
        in ``stsRegion``, else the default region, if these are in the partition; else in ``region`` itself.

        Args:
            region: where calls go.

        Raises:
            ConfigurationError: the profile does not exist, or there is nothing to assume a role with.
        """
        sts_region = self.sts_region_for(region)
        session = self._profile_session(sts_region)
        if self.web_identity is not None:
            session = self._with_web_identity(self.web_identity, sts_region)
        for role in self.assume_roles:
            session = self._with_role(session, role, sts_region)
        return session

    def sts_region_for(self, region: str) -> str:
        """Return the region where STS is called for calls in a region."""
        candidates = (self.sts_region, self.region, os.environ.get("AWS_REGION"), self._profile_session().region_name)
        return next((name for name in candidates if name and partition_of(name) == partition_of(region)), region)

    def client(self, session: boto3.Session, service: str, region: str, **options: Any) -> Any:
        """Return a new client of a service.

        Args:
            session: whose credentials it has.
            service: boto3's name of the service.
            region: where it calls.
            options: what else boto3 takes; a ``config`` takes precedence over what is set here.
        """
        if self.verify is False:
            # The user has asked for it: no warning at each call.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        # boto3 has no public way to its loader, nor to add paths to it.
        search_paths = session._session.get_component("data_loader").search_paths
        if str(_DATA) not in search_paths:
            search_paths.append(str(_DATA))
        config = self._client_config().merge(options.pop("config", None) or botocore.config.Config())
        options = {"endpoint_url": self.endpoints.get(service), "verify": self.verify, **options}
        client = session.client(service, region_name=region, config=config, **options)
        if self._bypasses_proxies(client.meta.endpoint_url):
            config = config.merge(botocore.config.Config(proxies={}))
            client = session.client(service, region_name=region, config=config, **options)
        return client

    def _bypasses_proxies(self, url: str) -> bool:
        """Return whether ``noProxy`` names a URL's host, or a domain that it is in."""
        host = urllib.parse.urlsplit(url).hostname or ""
        names = [name.strip().lstrip(".") for name in (self.no_proxy or "").split(",")]
        return any(name == "*" or host == name or host.endswith(f".{name}") for name in names if name)

    def _client_config(self) -> botocore.config.Config:
        return botocore.config.Config(
            # `Service.call` retries, and no one else does.
            retries={"mode": "standard", "total_max_attempts": 1},
            connect_timeout=5,
            read_timeout=20,
            max_pool_connections=MAX_CONCURRENT_CALLS,
            user_agent_extra=" ".join((f"pulumi-imagebuilder/{__version__}", *self.user_agents)),
            proxies=dict(self.proxies) if self.proxies else None,
            use_fips_endpoint=self.fips,
            use_dualstack_endpoint=self.dualstack,
        )

    def _profile_session(self, region: str | None = None) -> boto3.Session:
        """Return a session with the credentials of the configuration, the profile or the environment; no role."""
        inner = botocore.session.Session()
        for name, value in self.settings.items():
            inner.set_config_variable(name, value)
        try:
            session = boto3.Session(
                botocore_session=inner,
                profile_name=self.profile,
                aws_access_key_id=self.access_key,
                aws_secret_access_key=self.secret_key,
                aws_session_token=self.token,
                region_name=region,
            )
            if self.skip_metadata:
                inner.get_component("credential_provider").remove("iam-role")
        except botocore.exceptions.ProfileNotFound as error:
            profile = f"{self.prefix}:profile {self.profile!r}" if self.profile else "the profile of AWS_PROFILE"
            raise ConfigurationError(f"{profile} was not found in the AWS configuration") from error
        return session

    def _with_role(self, session: boto3.Session, role: Any, sts_region: str) -> boto3.Session:
        arn, parameters = self._role_parameters("assumeRoles", role)
        source = session.get_credentials()
        if source is None:
            raise ConfigurationError(f"there are no credentials to assume {arn} with")
        fetcher = botocore.credentials.AssumeRoleCredentialFetcher(self._sts(sts_region), source, arn, parameters)
        return self._refreshable_session(fetcher, "assume-role", sts_region)

    def _with_web_identity(self, role: Mapping[str, Any], sts_region: str) -> boto3.Session:
        key = "assumeRoleWithWebIdentity"
        arn, parameters = self._role_parameters(key, {k: v for k, v in role.items() if "webIdentityToken" not in k})
        token, path = role.get("webIdentityToken"), role.get("webIdentityTokenFile")
        if token:
            load = lambda: token  # noqa: E731
        elif path:
            load = botocore.credentials.FileWebIdentityTokenLoader(path)
        else:
            raise ConfigurationError(f"{self.prefix}:{key} needs webIdentityToken or webIdentityTokenFile")
        fetcher = botocore.credentials.AssumeRoleWithWebIdentityCredentialFetcher(
            self._sts(sts_region), load, arn, parameters
        )
        return self._refreshable_session(fetcher, "assume-role-with-web-identity", sts_region)

    def _sts(self, region: str) -> Callable[..., Any]:
        def create_client(service: str, **options: Any) -> Any:
            return self.client(self._profile_session(region), service, region, **options)

        return create_client

    def _refreshable_session(self, fetcher: Any, method: str, region: str) -> boto3.Session:
        session = self._profile_session(region)
        # boto3 has no public way to set credentials that refresh themselves.
        session._session._credentials = botocore.credentials.DeferredRefreshableCredentials(
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
            raise ConfigurationError(f"{self.prefix}:{key} needs a roleArn{each}")
        unknown = sorted(role.keys() - _ROLE_PARAMETERS.keys() - {"roleArn"})
        if unknown:
            known = ", ".join(["roleArn", *sorted(_ROLE_PARAMETERS)])
            raise ConfigurationError(f"{self.prefix}:{key} has the unknown member {unknown[0]!r}; known are {known}")
        parameters = {name: role[member] for member, name in _ROLE_PARAMETERS.items() if role.get(member)}
        try:
            if "DurationSeconds" in parameters:
                parameters["DurationSeconds"] = _duration_seconds(parameters["DurationSeconds"])
        except ValueError:
            raise ConfigurationError(
                f"{self.prefix}:{key} has the invalid duration {parameters['DurationSeconds']!r}; expected e.g. 1h30m"
            ) from None
        if "PolicyArns" in parameters:
            parameters["PolicyArns"] = [{"arn": arn} for arn in parameters["PolicyArns"]]
        if "Tags" in parameters:
            parameters["Tags"] = [{"Key": name, "Value": value} for name, value in parameters["Tags"].items()]
        return str(role["roleArn"]), {"RoleSessionName": "pulumi-imagebuilder", **parameters}


@functools.cache
def partition_of(region: str) -> str:
    """Return the partition of a region, as ``aws-cn``; a region that no partition has is a partition of its own."""
    try:
        return str(botocore.session.get_session().get_partition_for_region(region))
    except botocore.exceptions.UnknownRegionError:
        return region


def _duration_seconds(duration: Any) -> int:
    """Return the seconds of a number, or of a Go duration as pulumi-aws takes it: ``1h30m``."""
    return int(duration) if isinstance(duration, int | float) else int(parse_duration(str(duration)))


class _Values:
    """The texts of a configuration, read by kind; messages name the key with its prefix."""

    def __init__(self, texts: Mapping[str, str | None], prefix: str) -> None:
        self._texts = texts
        self._prefix = prefix

    def text(self, key: str) -> str | None:
        return self._texts[key] or None

    def flag(self, key: str) -> bool | None:
        text = self.text(key)
        if text is None:
            return None
        if text.lower() not in {"true", "false"}:
            raise ConfigurationError(f"{self._prefix}:{key} must be true or false")
        return text.lower() == "true"

    def json(self, key: str, kind: type) -> Any:
        text = self.text(key)
        if text is None:
            return None
        try:
            value = json.loads(text)
        except ValueError:
            raise ConfigurationError(f"{self._prefix}:{key} is not valid JSON") from None
        if not isinstance(value, kind):
            raise ConfigurationError(f"{self._prefix}:{key} must be a JSON {'list' if kind is list else 'object'}")
        return value

    def endpoints(self) -> dict[str, str]:
        endpoints: dict[str, str] = {}
        for group in self.json("endpoints", list) or []:
            if not isinstance(group, dict) or not all(isinstance(url, str) for url in group.values()):
                raise ConfigurationError(
                    f"{self._prefix}:endpoints must be a list of objects such as {{imagebuilder: URL}}"
                )
            endpoints.update({service: url for service, url in group.items() if url})
        return endpoints

    def file(self, key: str, name: str) -> str:
        path = Path(name).expanduser()
        if not path.is_file():
            raise ConfigurationError(f"{self._prefix}:{key}: there is no file {path}")
        return str(path)

    def single_file(self, key: str) -> str | None:
        """Return the one file of a list, as boto3 reads one."""
        files = self.json(key, list) or []
        if len(files) > 1:
            raise ConfigurationError(
                f"{self._prefix}:{key} lists {len(files)} files; boto3 reads one, so put all into one"
            )
        return self.file(key, str(files[0])) if files else None
