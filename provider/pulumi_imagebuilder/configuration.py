"""The stack's ``aws:*`` configuration, as pulumi-aws has it: credentials, and the way that calls take."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import botocore.credentials
import botocore.exceptions
import botocore.session
import urllib3

from ._version import __version__
from .errors import ConfigurationError
from .roles import role_parameters

MOST_CALLS_AT_ONCE = 16
"""Calls under way at one time in one process; more would only queue at the service."""

_SESSION_SETTINGS = {
    # Names of botocore's own settings → names in the stack's configuration.
    "config_file": "aws:sharedConfigFiles",
    "credentials_file": "aws:sharedCredentialsFiles",
    "ec2_metadata_service_endpoint": "aws:ec2MetadataServiceEndpoint",
    "ec2_metadata_service_endpoint_mode": "aws:ec2MetadataServiceEndpointMode",
}


@dataclass(frozen=True)
class Configuration:
    """What is set for a stack; what is left out falls to boto3's own chain and environment.

    Not taken are ``aws:maxRetries`` and ``aws:retryMode``, for a call is tried until the resource's time limit, and
    what does not concern calls of Image Builder (``aws:defaultTags``, ``aws:s3UsePathStyle``, ``aws:skip…``).
    """

    profile: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    assume_roles: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    web_identity: Mapping[str, Any] | None = field(default=None, repr=False)
    endpoints: Mapping[str, str] = field(default_factory=dict)
    region: str | None = None
    sts_region: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    verify: bool | str | None = None
    proxies: Mapping[str, str] | None = field(default=None, repr=False)
    no_proxy: str | None = None
    fips: bool | None = None
    dualstack: bool | None = None
    allowed_accounts: tuple[str, ...] = ()
    forbidden_accounts: tuple[str, ...] = ()

    @classmethod
    def parse(cls, get: Callable[[str], str | None]) -> Configuration:
        """Read the configuration through ``get("aws:profile")`` and so on; objects arrive as JSON text.

        Raises:
            ConfigurationError: a value cannot be used; credentials are never part of the message.
        """
        single = _json(get, "aws:assumeRole", dict)
        endpoints: dict[str, str] = {}
        for group in _json(get, "aws:endpoints", list) or []:
            if not isinstance(group, dict):
                raise ConfigurationError("aws:endpoints must be a list of objects such as {imagebuilder: URL}")
            endpoints.update(group)
        access_key, secret_key = get("aws:accessKey"), get("aws:secretKey")
        if bool(access_key) != bool(secret_key):
            given, missing = ("aws:accessKey", "aws:secretKey") if access_key else ("aws:secretKey", "aws:accessKey")
            raise ConfigurationError(f"{given} is set without {missing}; set both or neither")
        proxies = {scheme: url for scheme in ("http", "https") if (url := get(f"aws:{scheme}Proxy"))}
        return cls(
            profile=get("aws:profile"),
            access_key=access_key,
            secret_key=secret_key,
            token=get("aws:token"),
            assume_roles=tuple(_json(get, "aws:assumeRoles", list) or ([single] if single else [])),
            web_identity=_json(get, "aws:assumeRoleWithWebIdentity", dict),
            endpoints=endpoints,
            region=get("aws:region"),
            sts_region=get("aws:stsRegion"),
            settings={name: value for name, key in _SESSION_SETTINGS.items() if (value := _setting(get, key))},
            verify=False if _flag(get, "aws:insecure") else get("aws:customCaBundle"),
            proxies=proxies or None,
            no_proxy=get("aws:noProxy"),
            fips=_flag(get, "aws:useFipsEndpoint"),
            dualstack=_flag(get, "aws:useDualstackEndpoint"),
            allowed_accounts=tuple(map(str, _json(get, "aws:allowedAccountIds", list) or [])),
            forbidden_accounts=tuple(map(str, _json(get, "aws:forbiddenAccountIds", list) or [])),
        )

    def check_account(self, account: str, asked: str) -> None:
        """Refuse an account that the stack is not to touch.

        Args:
            account: the account of the image's ARN.
            asked: what is being done, for the message.

        Raises:
            ConfigurationError: it is forbidden, or is not among those allowed.
        """
        if account in self.forbidden_accounts:
            raise ConfigurationError(f"{asked}: account {account} is one of aws:forbiddenAccountIds")
        if self.allowed_accounts and account not in self.allowed_accounts:
            raise ConfigurationError(
                f"{asked}: account {account} is none of aws:allowedAccountIds, "
                f"which are {', '.join(self.allowed_accounts)}"
            )

    def session(self) -> boto3.Session:
        """A boto3 session with these credentials, roles assumed in their order and again when they expire.

        Raises:
            ConfigurationError: the profile does not exist, or there is nothing to assume a role with.
        """
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
                region_name=self.region,
            )
        except botocore.exceptions.ProfileNotFound as error:
            profile = f"aws:profile {self.profile!r}" if self.profile else "the profile that AWS_PROFILE names"
            raise ConfigurationError(f"{profile} was not found in the AWS configuration") from error
        if self.web_identity is not None:
            session = self._with_web_identity(session, self.web_identity)
        for role in self.assume_roles:
            session = self._assume(session, role)
        return session

    def client(self, session: boto3.Session, service: str, region: str, **options: Any) -> Any:
        """A client of a service.

        Args:
            session: whose credentials it has.
            service: boto3's name of the service.
            region: where it calls.
            options: what else boto3 takes; a ``config`` goes before what is set here.
        """
        if self.verify is False:
            # What is asked for needs no warning at each call.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        config = self._client_config(self.proxies).merge(options.pop("config", None) or botocore.config.Config())
        options = {"endpoint_url": self.endpoints.get(service), "verify": self.verify, **options}
        client = session.client(service, region_name=region, config=config, **options)
        if self.proxies and self._goes_past_proxies(client.meta.endpoint_url):
            config = config.merge(botocore.config.Config(proxies={}))
            client = session.client(service, region_name=region, config=config, **options)
        return client

    def _goes_past_proxies(self, url: str) -> bool:
        """Whether ``aws:noProxy`` names a URL's host, or a domain that it is in."""
        host = urllib.parse.urlsplit(url).hostname or ""
        names = [name.strip().lstrip(".") for name in (self.no_proxy or "").split(",")]
        return any(name == "*" or host == name or host.endswith(f".{name}") for name in names if name)

    def _client_config(self, proxies: Mapping[str, str] | None) -> botocore.config.Config:
        return botocore.config.Config(
            # boto3's own retries reach connection errors and 5xx; what they leave, and 429, is `Service.call`'s.
            retries={"mode": "standard", "total_max_attempts": 2},
            connect_timeout=5,
            read_timeout=20,
            max_pool_connections=MOST_CALLS_AT_ONCE,
            user_agent_extra=f"pulumi-imagebuilder/{__version__}",
            proxies=dict(proxies) if proxies else None,
            use_fips_endpoint=self.fips,
            use_dualstack_endpoint=self.dualstack,
        )

    def _assume(self, session: boto3.Session, role: Any) -> boto3.Session:
        arn, extra = role_parameters(role, "aws:assumeRoles needs a roleArn in each of its objects")
        source = session.get_credentials()
        if source is None:
            raise ConfigurationError(f"there are no credentials to assume {arn} with")
        fetcher = botocore.credentials.AssumeRoleCredentialFetcher(self._sts(session), source, arn, extra)
        return self._session_of(fetcher, "assume-role")

    def _with_web_identity(self, session: boto3.Session, role: Mapping[str, Any]) -> boto3.Session:
        told = "aws:assumeRoleWithWebIdentity needs a roleArn, and webIdentityToken or webIdentityTokenFile"
        token, path = role.get("webIdentityToken"), role.get("webIdentityTokenFile")
        if not token and not path:
            raise ConfigurationError(told)
        load = (lambda: token) if token else botocore.credentials.FileWebIdentityTokenLoader(path)
        arn, extra = role_parameters(
            {key: value for key, value in role.items() if not key.startswith("webIdentityToken")}, told
        )
        fetcher = botocore.credentials.AssumeRoleWithWebIdentityCredentialFetcher(self._sts(session), load, arn, extra)
        return self._session_of(fetcher, "assume-role-with-web-identity")

    def _sts(self, session: boto3.Session) -> Callable[..., Any]:
        region = self.sts_region or self.region or session.region_name or "us-east-1"

        def create_client(service: str, **options: Any) -> Any:
            return self.client(boto3.Session(), service, region, **options)

        return create_client

    def _session_of(self, fetcher: Any, method: str) -> boto3.Session:
        inner = botocore.session.get_session()
        inner._credentials = botocore.credentials.DeferredRefreshableCredentials(
            refresh_using=fetcher.fetch_credentials, method=method
        )
        return boto3.Session(botocore_session=inner, region_name=self.region)


def _setting(get: Callable[[str], str | None], key: str) -> str | None:
    """A setting that boto3 has too; a list of files holds one, for boto3 reads one."""
    if not key.endswith("Files"):
        return get(key)
    files = _json(get, key, list) or []
    if len(files) > 1:
        raise ConfigurationError(f"{key} lists {len(files)} files; boto3 reads one, so put all into one")
    for file in files:
        path = Path(str(file)).expanduser()
        if not path.is_file():
            raise ConfigurationError(f"{key}: there is no file {path}")
        return str(path)
    return None


def _flag(get: Callable[[str], str | None], key: str) -> bool | None:
    text = get(key)
    if not text:
        return None
    if text.lower() not in {"true", "false"}:
        raise ConfigurationError(f"{key} must be true or false")
    return text.lower() == "true"


def _json(get: Callable[[str], str | None], key: str, kind: type) -> Any:
    text = get(key)
    if not text:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        raise ConfigurationError(f"{key} is not valid JSON") from None
    if not isinstance(value, kind):
        raise ConfigurationError(f"{key} must be a JSON {'list' if kind is list else 'object'}")
    return value
