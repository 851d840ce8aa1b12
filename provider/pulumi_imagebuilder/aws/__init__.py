"""Calls to AWS: whose credentials and which way (configuration), guards, rate limit and retries (service)."""

from __future__ import annotations

from .configuration import Configuration
from .service import Service, answered_at

__all__ = ["Configuration", "Service", "answered_at"]
