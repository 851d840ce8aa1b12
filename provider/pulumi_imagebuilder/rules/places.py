"""The rules about where images and roles are: partitions, regions and accounts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .arns import ImageArn, RoleArn
from .findings import Findings
from .meaning import IMAGE, IMAGES
from .model import Partition
from .values import UNKNOWN

_ANY_REGION = re.compile(r"[a-z]+(-[a-z]+)+-[0-9]+")
"""What all regions look like: botocore may be older than a region."""


def place(images: Sequence[tuple[str, str]], role: Any, partitions: Sequence[Partition], findings: Findings) -> None:
    """Note images and roles that are nowhere, or not where they have to be.

    Args:
        images: path and ARN of each image whose ARN is known and valid, in the order they were written in.
        role: name or ARN of the role; may be None or unknown.
        partitions: the partitions there are.
        findings: where failures go.
    """
    placed = [(path, arn) for path, arn in _distinct(images, findings) if _exists(path, arn, partitions, findings)]
    for path, arn in placed[1:]:
        _same_partition(path, arn, *placed[0], findings)
    found = RoleArn.find(role) if isinstance(role, str) and role != UNKNOWN else None
    if found is None:
        return
    if _unknown_partition("execution_role", role, found.partition, partitions, findings):
        return
    for path, arn in placed:
        _role_fits(role, found, path, arn, findings)


def image_arns(inputs: Mapping[str, Any], findings: Findings) -> list[tuple[str, str]]:
    """Path and text of each ARN of an image that is known and has no failure, in the order they were written in."""
    written = [(IMAGE, inputs.get(IMAGE))]
    if isinstance(inputs.get(IMAGES), list | tuple):
        written += [(f"{IMAGES}[{index}]", arn) for index, arn in enumerate(inputs[IMAGES])]
    return [
        (path, arn) for path, arn in written if isinstance(arn, str) and arn != UNKNOWN and not findings.failed(path)
    ]


def _distinct(images: Sequence[tuple[str, str]], findings: Findings) -> Iterator[tuple[str, ImageArn]]:
    first: dict[str, str] = {}
    for path, text in images:
        if text in first:
            findings.add(path, f"{findings.shown(path, text)} is listed twice; {first[text]} is the same image")
            continue
        first[text] = path
        try:
            arn = ImageArn.parse(text)
        except ValueError:
            # A later model takes what is no ARN of this form: then the rules here do not apply to it.
            continue
        yield path, arn


def _exists(path: str, arn: ImageArn, partitions: Sequence[Partition], findings: Findings) -> bool:
    if _unknown_partition(path, str(arn), arn.partition, partitions, findings):
        return False
    told = findings.shown(path, str(arn))
    secret = findings.is_secret(path)
    home = next((partition for partition in partitions if partition.region_pattern.fullmatch(arn.region)), None)
    if home is None and not _ANY_REGION.fullmatch(arn.region):
        problem = "has no valid region" if secret else f"has {arn.region} for a region"
        findings.add(path, f'{told} {problem}; expected one such as "us-east-1"')
        return False
    if home is not None and home.id != arn.partition:
        problem = (
            "has a region of another partition"
            if secret
            else f"is in partition {arn.partition}, but region {arn.region} is in {home.id}"
        )
        findings.add(path, f"{told} {problem}; expected a region and a partition that belong together")
        return False
    return True


def _unknown_partition(
    path: str, text: str, partition: str, partitions: Sequence[Partition], findings: Findings
) -> bool:
    known = [partition.id for partition in partitions]
    if partition in known:
        return False
    findings.invalid(
        path,
        text,
        f"an ARN in one of the partitions {', '.join(known)}",
        problem=f"is in partition {partition}, which does not exist",
    )
    return True


def _same_partition(path: str, arn: ImageArn, first_path: str, first: ImageArn, findings: Findings) -> None:
    if arn.partition == first.partition:
        return
    secret = findings.is_secret(path) or findings.is_secret(first_path)
    problem = (
        f"is in another partition than {first_path}"
        if secret
        else f"is in partition {arn.partition}, but {first_path} is in {first.partition}"
    )
    findings.add(
        path,
        f"{findings.shown(path, str(arn))} {problem}; no credentials are valid in both, so make it two fleets",
    )


def _role_fits(role: str, found: RoleArn, path: str, arn: ImageArn, findings: Findings) -> None:
    told = findings.shown("execution_role", role)
    secret = findings.is_secret("execution_role") or findings.is_secret(path)
    if found.partition != arn.partition:
        problem = "is of another partition" if secret else f"is of partition {found.partition}"
        expected = "the partition" if secret else f"{arn.partition}, the partition"
    elif arn.account.isdigit() and found.account != arn.account:
        problem = "is of another account" if secret else f"is of account {found.account}"
        expected = "the account" if secret else f"{arn.account}, the account"
    else:
        return
    findings.add("execution_role", f"{told} {problem}; expected a role of {expected} of the image ({path})")
