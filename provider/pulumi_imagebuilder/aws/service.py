"""Call AWS services: account guard, retries, and errors that say what to do. The rate limit is in `pacing`."""

from __future__ import annotations

import asyncio
import json
import threading
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import botocore.exceptions
import botocore.session
import tenacity
from botocore.parsers import ResponseParserError
from botocore.retries.bucket import Clock
from botocore.retries.standard import RetryContext, ThrottledRetryableChecker, TransientRetryableChecker

from ..errors import (
    ConfigurationError,
    CredentialsError,
    ImageBuilderError,
    PermanentError,
    ResourceNotFound,
    ServiceError,
    one_line,
    redact,
)
from .answers import OnRetry, is_access_denied, required_permission
from .configuration import Configuration
from .pacing import limit_rate
from .sessions import MAX_CONCURRENT_CALLS, Sessions, partition_of
from .threads import DaemonThreads

_NOT_IMPLEMENTED = 501

_MAX_MESSAGE = 500
"""Characters of a service's message that are shown."""

_TRANSPORT_ERRORS = (
    # No answer, or not all of it: refused, reset, timed out, or the name did not resolve.
    botocore.exceptions.ConnectionError,
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.IncompleteReadError,
    ResponseParserError,
)
_LASTING_TRANSPORT_ERRORS = (botocore.exceptions.SSLError, botocore.exceptions.ProxyConnectionError)

_TRANSIENT_CODES = {"IDPCommunicationError"}
"""Beside the codes that botocore knows: STS could not reach the identity provider (400)."""

_CREDENTIALS_CODES = {
    # Image Builder, SSM
    "ExpiredTokenException",
    "IncompleteSignatureException",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "UnrecognizedClientException",
    # STS, Auto Scaling
    "ExpiredToken",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "MissingAuthenticationToken",
    "SignatureDoesNotMatch",
    # EC2
    "AuthFailure",
    "RequestExpired",
}
_REGION_CODES = {"AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException"}
_CREDENTIALS_ERRORS = (
    botocore.exceptions.CredentialRetrievalError,
    botocore.exceptions.LoginError,
    botocore.exceptions.MetadataRetrievalError,
    botocore.exceptions.NoAuthTokenError,
    botocore.exceptions.NoCredentialsError,
    botocore.exceptions.PartialCredentialsError,
    botocore.exceptions.RefreshWithMFAUnsupportedError,
    botocore.exceptions.SSOError,
    botocore.exceptions.TokenRetrievalError,
    botocore.exceptions.UnknownCredentialError,
)


class Service:
    """AWS services in any region, called from asyncio; thread-safe.

    Args:
        configuration: credentials, guards and endpoints. Default: botocore's own chain and environment.
        session: makes botocore's clients. Default: made from ``configuration``, one for each partition.
        sleep: waits between retries, in seconds.
    """

    def __init__(
        self,
        configuration: Configuration | None = None,
        session: botocore.session.Session | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.configuration = configuration or Configuration()
        self._sleep = sleep
        # Sessions are not thread-safe; clients are.
        self._lock = threading.Lock()
        self._sessions = Sessions(self.configuration, session)
        self._clients: dict[tuple[str, str], Any] = {}
        # The rate limit of one client blocks its threads: each has its own, so that no other waits with it.
        self._threads: dict[tuple[str, str], DaemonThreads] = {}
        self._caller_lock = threading.Lock()
        self._callers: dict[str, str] = {}

    def default_region(self) -> str:
        """Return the region where none is named: that of the configuration, the environment or the profile.

        Raises:
            ConfigurationError: there is none, or the profile does not exist.
        """
        return self._sessions.default_region()

    async def call(
        self,
        service: str,
        region: str,
        operation: str,
        *,
        account: str | None = None,
        on_retry: OnRetry | None = None,
        **parameters: Any,
    ) -> dict[str, Any]:
        """Call an operation until it is answered.

        Transient errors are retried with back-off and jitter. There is no limit on the attempts: the caller's deadline
        cancels. What was sent by then may still be carried out by the service.

        Args:
            service: botocore's name of the service, as ``imagebuilder``.
            region: the region to call.
            operation: botocore's name of the operation, as ``start_resource_state_update``.
            account: the account that the call concerns, held against the account guards before any call. Default: the
                caller's own, which is asked for once, and only where there are guards.
            on_retry: called before a retry with the reason, in a few words.
            parameters: the operation's parameters.

        Raises:
            ResourceNotFound: the service answered ``ResourceNotFoundException``.
            ServiceError: the service answered with another client error.
            CredentialsError: credentials are missing, invalid or expired, or a role cannot be assumed.
            ConfigurationError: the configuration cannot be used, or forbids the account.
            PermanentError: parameters that botocore refuses, a certificate or a proxy that cannot be used.
        """
        if account is not None:
            self.configuration.check_account(account)
        # Not with the lock, which is held while a service's model is loaded: the event loop must not wait for that.
        threads = self._threads.setdefault((service, region), DaemonThreads(MAX_CONCURRENT_CALLS))

        def run() -> dict[str, Any]:
            if account is None and self.configuration.guards_accounts:
                self.configuration.check_account(self._caller_account(region))
            return _send(self._client(service, region), operation, parameters)

        async def attempt() -> dict[str, Any]:
            return await asyncio.get_running_loop().run_in_executor(threads, run)

        def report(state: tenacity.RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            if on_retry and error:
                on_retry(f"retrying after {self._describe(error)}")

        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(is_transient),
            wait=tenacity.wait_random_exponential(multiplier=0.5, max=20),
            sleep=self._sleep,
            before_sleep=report,
            reraise=True,
        )
        try:
            return await retrying(attempt)
        except ImageBuilderError:
            raise
        except Exception as error:
            raise self._convert(error, service, operation) from error

    async def pages(
        self,
        service: str,
        region: str,
        operation: str,
        *,
        account: str | None = None,
        on_retry: OnRetry | None = None,
        **parameters: Any,
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield each page of a list operation, to the last one; arguments and errors are those of :meth:`call`.

        Raises:
            PermanentError: the service answered the same token twice, which would never end.
        """
        token: dict[str, str] = {}
        while True:
            answer = await self.call(
                service, region, operation, account=account, on_retry=on_retry, **parameters, **token
            )
            yield answer
            following = {name: answer[name] for name in ("nextToken", "NextToken") if answer.get(name)}
            if not following:
                return
            if following == token:
                raise PermanentError(f"{operation} answered the same page token twice")
            token = following

    def _caller_account(self, region: str) -> str:
        """Return the account of the credentials for calls in a region, asked for once a partition."""
        partition = partition_of(region)
        with self._caller_lock:
            if partition not in self._callers:
                client = self._client("sts", self._sessions.sts_region_for(region))
                self._callers[partition] = _send(client, "get_caller_identity", {})["Account"]
            return self._callers[partition]

    def _client(self, service: str, region: str) -> Any:
        with self._lock:
            client = self._clients.get((service, region))
            if client is None:
                try:
                    client = self._sessions.client(self._sessions.session(region), service, region)
                except ValueError as error:
                    # botocore refuses an endpoint that is no URL.
                    raise ConfigurationError(f"{service} in {region} cannot be called: {error}") from error
                client.meta.events.register("before-parse", _check_body)
                limit_rate(client, Clock())
                self._clients[service, region] = client
            return client

    def _convert(self, error: Exception, service: str, operation: str) -> Exception:
        """Return the error for users; one that is neither botocore's nor about credentials is a bug, and stays."""
        reason = self._describe(error)
        is_client_error = isinstance(error, botocore.exceptions.ClientError)
        code = _code(error) if is_client_error else type(error).__name__
        if isinstance(error, botocore.exceptions.NoCredentialsError):
            prefix = self.configuration.prefix
            return CredentialsError(
                "no AWS credentials were found",
                code,
                next_step=f"set {prefix}:profile or {prefix}:accessKey and {prefix}:secretKey in the configuration, or "
                "any source that boto3 knows",
            )
        if code in _CREDENTIALS_CODES or isinstance(error, _CREDENTIALS_ERRORS) or _fetched_credentials(error):
            next_step = "check the AWS credentials that the stack uses, and run again with valid ones"
            if code in _REGION_CODES:
                next_step += "; a region that is not enabled for the account answers the same"
            return CredentialsError(reason, code, next_step=next_step)
        if is_client_error:
            kind = ResourceNotFound if code == "ResourceNotFoundException" else ServiceError
            return kind(reason, code, next_step=_next_step(code, service, operation))
        return PermanentError(reason) if isinstance(error, botocore.exceptions.BotoCoreError) else error

    def _describe(self, error: BaseException) -> str:
        """Return a clause without credentials: code, message and request id; or what kept the answer from coming."""
        return redact(_summary(error), self.configuration.secrets)


def is_transient(error: BaseException) -> bool:
    """Return whether a retry can help: 429, 5xx, throttling, an answer that did not come or cannot be parsed.

    Args:
        error: what a client has raised. It may come from the call of STS by which botocore got credentials.
    """
    if isinstance(error, _LASTING_TRANSPORT_ERRORS):
        return False
    if not isinstance(error, botocore.exceptions.ClientError):
        return isinstance(error, _TRANSPORT_ERRORS) or _raised_in(error, "botocore.parsers")
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    context = RetryContext(attempt_number=1, parsed_response=error.response)
    return (
        status == 429
        or (status >= 500 and status != _NOT_IMPLEMENTED)
        or _code(error) in _TRANSIENT_CODES
        or ThrottledRetryableChecker().is_retryable(context)
        or TransientRetryableChecker().is_retryable(context)
    )


def _send(client: Any, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = getattr(client, operation)(**parameters)
    shape = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation]).output_shape
    members = (
        {}
        if shape is None
        else {
            name: member.type_name
            for name, member in shape.members.items()
            if name.lower() not in {"requestid", "nexttoken"}
        }
    )
    # An empty list may be left out; anything else is missing.
    if set(members.values()) - {"list", "map"} and not members.keys() & answer.keys():
        raise ResponseParserError("members are missing")
    return answer


def _check_body(operation_model: Any, response_dict: Mapping[str, Any], **_: Any) -> None:
    """Refuse an answer that is not in the service's protocol, as botocore reads such a one as empty.

    Raises:
        ResponseParserError: a proxy's page, or JSON that was cut off.
        ClientError: an operation that the service does not implement, answered in plain text as EC2's front does:
            botocore would raise what a lost answer raises, and asking again does not help.
    """
    body = response_dict["body"]
    if response_dict["status_code"] == _NOT_IMPLEMENTED and isinstance(body, bytes) and body.lstrip()[:1] not in b"<{":
        message = body.decode(errors="replace").strip() or "not implemented"
        details = {"Code": str(_NOT_IMPLEMENTED), "Message": message}
        metadata = {"HTTPStatusCode": _NOT_IMPLEMENTED}
        raise botocore.exceptions.ClientError({"Error": details, "ResponseMetadata": metadata}, operation_model.name)
    if response_dict["status_code"] >= 300 or not isinstance(body, bytes):
        return
    if "json" in operation_model.service_model.resolved_protocol:
        try:
            valid = isinstance(json.loads(body), dict)
        except ValueError:
            valid = False
    else:
        valid = not body.lstrip()[:9].lower().startswith((b"<html", b"<!doctype"))
    if not valid:
        raise ResponseParserError("not in the service's protocol")


def _fetched_credentials(error: BaseException) -> bool:
    """Return whether an error ended an attempt to get or refresh credentials in the course of a call."""
    assumes_role = isinstance(error, botocore.exceptions.ClientError) and error.operation_name.startswith("AssumeRole")
    return assumes_role or _raised_in(error, "botocore.credentials")


def _raised_in(error: BaseException, module: str) -> bool:
    return any(frame.f_globals.get("__name__") == module for frame, _ in traceback.walk_tb(error.__traceback__))


def _code(error: botocore.exceptions.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "Unknown"))


def _summary(error: BaseException) -> str:
    if isinstance(error, botocore.exceptions.ClientError):
        details, metadata = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
        request_id = metadata.get("RequestId")
        # Credentials are fetched, and the account asked for, in the course of another call.
        other = f"{error.operation_name}: " if error.operation_name.startswith(("AssumeRole", "GetCaller")) else ""
        message = one_line(details.get("Message") or "no message")
        if message.startswith("<"):
            message = "an HTML page instead of a message"
        if len(message) > _MAX_MESSAGE:
            message = f"{message[:_MAX_MESSAGE]}…"
        answer = f"{other}{_code(error)}: {message}"
        return f"{answer} (request id {request_id})" if request_id else answer
    if isinstance(error, ResponseParserError) or _raised_in(error, "botocore.parsers"):
        # botocore's text has the whole answer, which can hold credentials.
        return "an answer that cannot be parsed"
    return one_line(str(error))


def _next_step(code: str, service: str, operation: str) -> str | None:
    if is_access_denied(code):
        role = " and iam:PassRole on the execution role" if operation == "start_resource_state_update" else ""
        return f"check the caller's policy, which needs {required_permission(service, operation)}{role}"
    if code == "IdempotentParameterMismatchException":
        return "this client_token was used before with other parameters: choose another, or leave it out"
    return None
