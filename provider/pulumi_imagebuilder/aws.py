"""Calls and retries: how the service is asked, and which errors pass by themselves."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import botocore.exceptions
import tenacity

from .configuration import MOST_CALLS_AT_ONCE, Configuration
from .errors import ConfigurationError, ImageNotFound, PermanentError, ServiceRefused, one_line
from .pacing import Pace

__all__ = ["Configuration", "Service", "is_throttle", "is_transient"]

_TRANSPORT_ERRORS = (
    # Nothing was answered: refused, reset, timed out, or the name did not resolve.
    botocore.exceptions.ConnectionError,
    botocore.exceptions.HTTPClientError,
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
                self._clients[region] = self.configuration.client(self._made(), "imagebuilder", region)
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
        # Credentials are fetched in the midst of a call, by another one.
        other = f"{error.operation_name}: " if error.operation_name.startswith("AssumeRole") else ""
        told = f"{other}{details.get('Code', 'Unknown')}: {details.get('Message') or 'no message'}"
        return f"{told} (request id {request_id})" if request_id else told
    return one_line(str(error))


def _hint(code: str) -> str:
    if code in {"ForbiddenException", "AccessDeniedException"}:
        return "; check the caller's policy, iam:PassRole on the execution role included"
    if code in {"ExpiredTokenException", "UnrecognizedClientException", "InvalidSignatureException"}:
        return "; check the credentials that the stack uses"
    if code == "IdempotentParameterMismatchException":
        return "; this client_token was used before with other parameters: choose another, or leave it out"
    return ""
