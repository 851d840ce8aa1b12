"""Sessions, regions, endpoints and retries: how a call reaches the service, and which errors pass by themselves."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import boto3
import botocore.config
import botocore.credentials
import botocore.exceptions
import botocore.session
import tenacity

from ._version import __version__
from .errors import ConfigurationError, ImageNotFound, PermanentError, ServiceRefused
from .pacing import Pace

MOST_CALLS_AT_ONCE = 16
"""Calls under way at one time in one process; more would only queue at the service."""

_TRANSPORT_ERRORS = (
    # Nothing was answered: refused, reset, timed out, or the name did not resolve.
    botocore.exceptions.ConnectionError,
    botocore.exceptions.HTTPClientError,
)
_ASSUME_ROLE_PARAMETERS = {
    # pulumi-aws's `aws:assumeRoles` → STS AssumeRole.
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
    """The stack's ``aws:*`` configuration as pulumi-aws has it; what is left out falls to boto3's own chain."""

    profile: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    assume_roles: tuple[Mapping[str, Any], ...] = ()
    endpoints: Mapping[str, str] = field(default_factory=dict)
    region: str | None = None

    @classmethod
    def parse(cls, get: Callable[[str], str | None]) -> Configuration:
        """Read the configuration through ``get("aws:profile")`` and so on; objects arrive as JSON text.

        Raises:
            ConfigurationError: a value cannot be used; credentials are never part of the message.
        """
        roles = _json(get, "aws:assumeRoles", list) or []
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
        return cls(
            profile=get("aws:profile"),
            access_key=access_key,
            secret_key=secret_key,
            token=get("aws:token"),
            assume_roles=tuple(roles or ([single] if single else [])),
            endpoints=endpoints,
            region=get("aws:region"),
        )

    def session(self) -> boto3.Session:
        """A boto3 session with these credentials, roles assumed in their order and again when they expire.

        Raises:
            ConfigurationError: the profile does not exist, or there is nothing to assume a role with.
        """
        try:
            session = boto3.Session(
                profile_name=self.profile,
                aws_access_key_id=self.access_key,
                aws_secret_access_key=self.secret_key,
                aws_session_token=self.token,
                region_name=self.region,
            )
        except botocore.exceptions.ProfileNotFound as error:
            raise ConfigurationError(f"aws:profile {self.profile!r} was not found in the AWS configuration") from error
        for role in self.assume_roles:
            session = self._assume(session, role)
        return session

    def _assume(self, session: boto3.Session, role: Mapping[str, Any]) -> boto3.Session:
        if not isinstance(role, Mapping) or not role.get("roleArn"):
            raise ConfigurationError("aws:assumeRoles needs a roleArn in each of its objects")
        source = session.get_credentials()
        if source is None:
            raise ConfigurationError(f"there are no credentials to assume {role['roleArn']} with")
        extra = {_ASSUME_ROLE_PARAMETERS[key]: value for key, value in role.items() if key in _ASSUME_ROLE_PARAMETERS}
        if "DurationSeconds" in extra:
            extra["DurationSeconds"] = _seconds(extra["DurationSeconds"])
        if "PolicyArns" in extra:
            extra["PolicyArns"] = [{"arn": arn} for arn in extra["PolicyArns"]]
        if "Tags" in extra:
            extra["Tags"] = [{"Key": key, "Value": value} for key, value in extra["Tags"].items()]
        extra.setdefault("RoleSessionName", "pulumi-imagebuilder")

        def create_client(service: str, **options: Any) -> Any:
            options.setdefault("endpoint_url", self.endpoints.get(service))
            options["region_name"] = self.region or session.region_name or "us-east-1"
            return boto3.Session().client(service, config=_CLIENT_CONFIG, **options)

        fetcher = botocore.credentials.AssumeRoleCredentialFetcher(create_client, source, role["roleArn"], extra)
        inner = botocore.session.get_session()
        inner._credentials = botocore.credentials.DeferredRefreshableCredentials(
            refresh_using=fetcher.fetch_credentials, method="assume-role"
        )
        return boto3.Session(botocore_session=inner, region_name=self.region)


_CLIENT_CONFIG = botocore.config.Config(
    # boto3's own retries reach connection errors and 5xx; what they leave, and the service's 429, is `Service.call`'s.
    retries={"mode": "standard", "total_max_attempts": 2},
    connect_timeout=5,
    read_timeout=20,
    max_pool_connections=MOST_CALLS_AT_ONCE,
    user_agent_extra=f"pulumi-imagebuilder/{__version__}",
)


class Service:
    """EC2 Image Builder in any region, called from asyncio.

    Args:
        configuration: credentials and endpoints.
        session: what makes boto3 clients; by default made from ``configuration`` at the first call.
    """

    def __init__(self, configuration: Configuration | None = None, session: boto3.Session | None = None) -> None:
        self.configuration = configuration or Configuration()
        self._session = session
        self._clients: dict[str, Any] = {}
        self._paces: defaultdict[str, Pace] = defaultdict(Pace)
        # boto3 sessions are not thread-safe; clients are.
        self._lock = threading.Lock()
        self._executor = ThreadPoolExecutor(MOST_CALLS_AT_ONCE, thread_name_prefix="imagebuilder")

    def default_region(self) -> str:
        """The region where none is named: ``aws:region``, else the one of boto3's own chain.

        Raises:
            ConfigurationError: there is none.
        """
        with self._lock:
            region: str | None = self._made().region_name
        if not region:
            raise ConfigurationError("no region was given: name one, or set aws:region in the stack's configuration")
        return region

    async def call(
        self,
        region: str,
        operation: str,
        *,
        asked: str,
        on_retry: Callable[[str], None] | None = None,
        **parameters: Any,
    ) -> dict[str, Any]:
        """Call an operation until it is answered; what passes by itself is retried with back-off and jitter.

        There is no limit on the attempts: the caller's deadline cancels.

        Args:
            region: the region to call.
            operation: boto3's name of it, as ``start_resource_state_update``.
            asked: what is being done, for messages: ``starting state update of arn:… to DISABLED``.
            on_retry: told in a few words why it is being retried.
            parameters: the operation's parameters.

        Raises:
            ImageNotFound: the service answered ``ResourceNotFoundException``.
            ServiceRefused: the service answered with any other client error.
            PermanentError: no credentials, or parameters that boto3 itself refuses.
        """

        def tell(state: tenacity.RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            if on_retry and error:
                on_retry(f"retrying after {_summary(error)}")

        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(is_transient),
            wait=tenacity.wait_random_exponential(multiplier=0.5, max=20),
            before_sleep=tell,
            reraise=True,
        )
        try:
            return await retrying(self._call_once, region, operation, parameters)
        except botocore.exceptions.ClientError as error:
            code = error.response.get("Error", {}).get("Code", "Unknown")
            kind = ImageNotFound if code == "ResourceNotFoundException" else ServiceRefused
            reason = f"{_summary(error)}{_hint(code)}"
            raise kind(f"{asked}: {reason}", code, reason) from error
        except botocore.exceptions.NoCredentialsError as error:
            raise PermanentError(
                f"{asked}: no AWS credentials were found: set aws:profile or aws:accessKey and aws:secretKey in the "
                "stack's configuration, or any source that boto3 knows"
            ) from error
        except botocore.exceptions.BotoCoreError as error:
            raise PermanentError(f"{asked}: {error}") from error

    async def _call_once(self, region: str, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        pace = self._paces[region]

        def run() -> dict[str, Any]:
            answer: dict[str, Any] = getattr(self._client(region), operation)(**parameters)
            return answer

        await pace.turn()
        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._executor, run)
        except botocore.exceptions.ClientError as error:
            if is_throttle(error):
                pace.refused()
            raise
        pace.passed()
        return answer

    def _client(self, region: str) -> Any:
        with self._lock:
            if region not in self._clients:
                self._clients[region] = self._made().client(
                    "imagebuilder",
                    region_name=region,
                    endpoint_url=self.configuration.endpoints.get("imagebuilder"),
                    config=_CLIENT_CONFIG,
                )
            return self._clients[region]

    def _made(self) -> boto3.Session:
        """The session, made when it is first needed; called with the lock held."""
        if self._session is None:
            self._session = self.configuration.session()
        return self._session


def is_transient(error: BaseException) -> bool:
    """Whether an error passes by itself: 429 and 5xx, and whatever kept an answer from coming."""
    if isinstance(error, botocore.exceptions.SSLError | botocore.exceptions.ProxyConnectionError):
        return False
    if isinstance(error, botocore.exceptions.ClientError):
        # The model marks no error as retryable: the status tells.
        return is_throttle(error) or _status(error) >= 500
    return isinstance(error, _TRANSPORT_ERRORS)


def is_throttle(error: botocore.exceptions.ClientError) -> bool:
    """Whether the service says that it was asked too much: 429, or a throttle of EC2's kind (400), told by its code."""
    code = error.response.get("Error", {}).get("Code", "")
    return _status(error) == 429 or code in {"ThrottlingException", "Throttling", "RequestLimitExceeded"}


def _status(error: botocore.exceptions.ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _summary(error: BaseException) -> str:
    """One clause: the code, the service's words and the request id; or what kept the answer from coming."""
    if isinstance(error, botocore.exceptions.ClientError):
        details, metadata = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
        request_id = metadata.get("RequestId")
        told = f"{details.get('Code', 'Unknown')}: {details.get('Message') or 'no message'}"
        return f"{told} (request id {request_id})" if request_id else told
    return str(error)


def _hint(code: str) -> str:
    if code in {"ForbiddenException", "AccessDeniedException"}:
        return "; check the caller's policy, iam:PassRole on the execution role included"
    if code in {"ExpiredTokenException", "UnrecognizedClientException", "InvalidSignatureException"}:
        return "; check the credentials that the stack uses"
    if code == "IdempotentParameterMismatchException":
        return "; this client_token was used before with other parameters: choose another, or leave it out"
    return ""


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


def _seconds(duration: Any) -> int:
    """Seconds of a number, or of a Go duration as pulumi-aws takes it: ``1h30m``."""
    from .durations import seconds

    return int(duration) if isinstance(duration, int | float) else int(seconds(str(duration)))
