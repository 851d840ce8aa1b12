"""Many failures in one line: equal reasons together, and the images they hold for by name."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

from ..errors import ImageBuilderError
from ..rules import ImageArn

_OWN = (
    (re.compile(r" \(request id [^)]*\)"), ""),
    (re.compile(r"\blce-[0-9a-fA-F-]{36}\b"), "lce-…"),
    (re.compile(r"\b(ami|snap)-[0-9a-f]+\b"), r"\1-…"),
)
"""What differs from image to image in reasons that are the same."""


def grouped(failures: Mapping[str, ImageBuilderError]) -> str:
    """Why images failed, the commonest reason first: ``12 images: AccessDenied: … (web/1.0.0/1, …)``.

    Args:
        failures: by the image's ARN.
    """
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for arn, error in failures.items():
        groups[_common(arn, error.reason)].append(arn)
    told = []
    for reason, arns in sorted(groups.items(), key=lambda group: -len(group[1])):
        if len(arns) == 1:
            told.append(f"image {arns[0]}: {failures[arns[0]].reason}")
        else:
            told.append(f"{len(arns)} images: {reason}: {named(arns)}")
    return "; ".join(told)


def named(arns: Iterable[str]) -> str:
    """Images by name, version and build, with what they have in common written once.

    >>> stem = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0"
    >>> named([f"{stem}/1", f"{stem}/2"])
    'web/1.0.0/1, web/1.0.0/2 (arn:aws:imagebuilder:us-east-1:123456789012:image/…)'
    """
    places: defaultdict[str, list[ImageArn]] = defaultdict(list)
    for arn in map(ImageArn.parse, arns):
        places[str(arn).partition("/")[0]].append(arn)
    told = []
    for place, found in places.items():
        ordered = sorted(found, key=lambda arn: (arn.name, [*map(int, arn.version.split("."))], int(arn.build)))
        told.append(f"{', '.join(f'{arn.name}/{arn.version}/{arn.build}' for arn in ordered)} ({place}/…)")
    return ", ".join(told)


def _common(arn: str, reason: str) -> str:
    """A reason without what is the image's own."""
    reason = reason.replace(arn, "the image")
    for own, stand_in in _OWN:
        reason = own.sub(stand_in, reason)
    return reason
