"""Configurations for the tests of this folder."""

from __future__ import annotations

import json
from typing import Any

from pulumi_imagebuilder.aws.configuration import Configuration

ROLE = "arn:aws:iam::123456789012:role/{}"
CREDENTIALS = {"aws:accessKey": "AKIAOFTHESTACK", "aws:secretKey": "the-secret-of-the-stack"}


def parse(settings: dict[str, Any], prefix: str = "aws") -> Configuration:
    """Parse settings as the engine hands them over: objects as JSON text."""
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in settings.items()}
    return Configuration.parse(texts.get, prefix)
