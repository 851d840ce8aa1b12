"""Read the provider's configuration, with the keys of pulumi-aws: credentials, account guards and endpoints."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from ..errors import ConfigurationError

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

_SESSION_SETTINGS = {
    # Names of botocore's own settings → keys of the configuration.
    "config_file": "sharedConfigFiles",
    "credentials_file": "sharedCredentialsFiles",
    "ec2_metadata_service_endpoint": "ec2MetadataServiceEndpoint",
    "ec2_metadata_service_endpoint_mode": "ec2MetadataServiceEndpointMode",
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
