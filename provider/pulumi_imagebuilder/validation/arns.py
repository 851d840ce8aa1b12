"""Parse ARNs of image build versions, and of the roles that Image Builder assumes."""

from __future__ import annotations

import re
from dataclasses import dataclass

IMAGE_EXAMPLE = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3/4"
ROLE_EXAMPLE = "arn:aws:iam::123456789012:role/ImageLifecycle"

_IMAGE = re.compile(r"arn:([^:]+):imagebuilder:([^:]+):([^:]+):image/([^:/]+)/([^:/]+)/([0-9]+)")
_ROLE = re.compile(r"arn:([^:]+):iam::([0-9]{12}):role/.+")
_ACCOUNT = re.compile(r"[0-9]{12}")


@dataclass(frozen=True)
class ImageArn:
    """ARN of an image build version. All parts are text as the ARN has it.

    Args:
        partition: as ``aws``.
        region: as ``us-east-1``.
        account: 12 digits; in the ARN of one of Amazon's own images a name, as ``aws``.
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
        """Split an ARN into its parts.

        Raises:
            ValueError: it is not the ARN of an image build version; the message says why.

        >>> ImageArn.parse(IMAGE_EXAMPLE).region
        'us-east-1'
        """
        match = _IMAGE.fullmatch(text)
        if not match:
            raise ValueError(f'"{text}" {describe_image_mismatch(text)}; expected an ARN such as "{IMAGE_EXAMPLE}"')
        return cls(*match.groups())

    @property
    def is_amazons(self) -> bool:
        """Whether the image is one of Amazon's own, which has a name in the place of an account id."""
        return not _ACCOUNT.fullmatch(self.account)

    def __str__(self) -> str:
        return (
            f"arn:{self.partition}:imagebuilder:{self.region}:{self.account}"
            f":image/{self.name}/{self.version}/{self.build}"
        )


@dataclass(frozen=True)
class RoleArn:
    """The parts of a role's ARN that have to fit an image.

    Args:
        partition: as ``aws``.
        account: 12 digits.
    """

    partition: str
    account: str

    @classmethod
    def find(cls, text: str) -> RoleArn | None:
        """Return the parts of an ARN; None for the mere name of a role."""
        match = _ROLE.fullmatch(text)
        return cls(*match.groups()) if match else None


def describe_image_mismatch(text: str) -> str:
    """Return a clause about why a text is not the ARN of an image build version, to follow the text.

    >>> describe_image_mismatch("arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3")
    'has no build number'
    """
    parts = text.split(":", 5)
    if parts[0] != "arn" or len(parts) < 6:
        return "is not an ARN"
    service, account, (kind, *rest) = parts[2], parts[4], parts[5].split("/")
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
    return "is not valid" if _ACCOUNT.fullmatch(account) else _describe_account(account)


def describe_role_mismatch(text: str) -> str:
    """Return a clause about why a text is neither the name nor the ARN of a role, to follow the text.

    >>> describe_role_mismatch("arn:aws:iam::123456789012:user/build")
    'is the ARN of another kind of resource (user)'
    """
    parts = text.split(":", 5)
    if parts[0] != "arn" or len(parts) < 6:
        return "is not valid"
    service, account, kind = parts[2], parts[4], parts[5].split("/")[0]
    if service != "iam":
        return f"is an ARN of {service or 'no service'}, not of iam"
    if kind != "role":
        return f"is the ARN of another kind of resource ({kind})"
    return "is not valid" if _ACCOUNT.fullmatch(account) else _describe_account(account)


def _describe_account(account: str) -> str:
    return f"has {account} for an account id" if account else "has no account id"
