"""Call AWS: credentials, endpoints and guards (configuration), retries and errors (service), rate limit (pacing)."""

from __future__ import annotations

from .configuration import Configuration
from .service import OnRetry, Service, answered_at, is_access_denied, required_permission

__all__ = ["Configuration", "OnRetry", "Service", "answered_at", "is_access_denied", "required_permission"]
