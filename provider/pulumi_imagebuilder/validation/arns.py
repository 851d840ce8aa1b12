"""ARNs: of image build versions, and of the roles that Image Builder assumes."""

from __future__ import annotations

import re
from dataclasses import dataclass

IMAGE_EXAMPLE = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3/4"
ROLE_EXAMPLE = "arn:aws:iam::123456789012:role/ImageLifecycle"

_IMAGE = re.compile(r"arn:([^:]+):imagebuilder:([^:]+):([^:]+):image/([^:/]+)/([^:/]+)/([0-9]+)")
_ROLE = re.compile(r"arn:([^:]+):iam::([0-9]{12}):role/.+")


@dataclass(frozen=True)
class ImageArn:
    """ARN of an image build version. All parts are text as the ARN has it.

    Args:
        partition: as ``aws``.
        region: as ``us-east-1``.
        account: 12 digits, or ``aws`` and the like for an image of Amazon's own.
        name: name of the image.
        version: semantic version, as ``1.2.3``.
        build: number of the build, as ``4``.
    """

    partition: str
    region: str
    account: str
    name: str
    version: str
    build: str

    @classmethod
    def parse(cls, text: str) -> ImageArn:
        """Take an ARN apart.

        Raises:
            ValueError: it is not the ARN of an image build version; the message says why.

        >>> ImageArn.parse(IMAGE_EXAMPLE).region
        'us-east-1'
        """
        match = _IMAGE.fullmatch(text)
        if not match:
            raise ValueError(f'"{text}" {image_problem(text)}; expected an ARN such as "{IMAGE_EXAMPLE}"')
        return cls(*match.groups())

    def __str__(self) -> str:
        return (
            f"arn:{self.partition}:imagebuilder:{self.region}:{self.account}"
            f":image/{self.name}/{self.version}/{self.build}"
        )


@dataclass(frozen=True)
class RoleArn:
    """What matters of the ARN of a role.

    Args:
        partition: as ``aws``.
        account: 12 digits.
    """

    partition: str
    account: str

    @classmethod
    def find(cls, text: str) -> RoleArn | None:
        """Take an ARN apart; None for the mere name of a role."""
        match = _ROLE.fullmatch(text)
        return cls(*match.groups()) if match else None


def image_problem(text: str) -> str:
    """In a clause, to follow on the text: why it is not the ARN of an image build version.

    >>> image_problem("arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3")
    'has no build number'
    """
    parts = text.split(":", 5)
    if parts[0] != "arn" or len(parts) < 6:
        return "is not an ARN"
    service, (kind, *rest) = parts[2], parts[5].split("/")
    if service != "imagebuilder":
        return f"is an ARN of {service or 'no service'}, not of imagebuilder"
    if kind != "image":
        return f"is the ARN of another kind of resource ({kind})"
    if len(rest) == 1:
        return "has no version and no build number"
    if len(rest) > 1 and re.search(r"\bx\b", rest[1]):
        return "has a wildcard in its version"
    if len(rest) == 2:
        return "has no build number"
    return "is not valid"


def role_problem(text: str) -> str:
    """In a clause, to follow on the text: why it is neither the name nor the ARN of a role.

    >>> role_problem("arn:aws:iam::123456789012:user/build")
    'is the ARN of another kind of resource (user)'
    """
    parts = text.split(":", 5)
    if parts[0] != "arn" or len(parts) < 6:
        return "is not valid"
    service, kind = parts[2], parts[5].split("/")[0]
    if service != "iam":
        return f"is an ARN of {service or 'no service'}, not of iam"
    if kind != "role":
        return f"is the ARN of another kind of resource ({kind})"
    return "is not valid"
