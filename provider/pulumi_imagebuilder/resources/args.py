"""Define the nested arguments of the resources, as classes and as plain dicts with the same keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

import pulumi

State = Literal["AVAILABLE", "DEPRECATED", "DISABLED", "DELETED"]
"""The states that ``StartResourceStateUpdate`` can move an image build version to."""

OnDestroy = Literal["retain", "cancel", "restore"]
"""What happens to an image that leaves the program."""

InUse = Literal["refuse", "wait", "warn", "ignore"]
"""What happens where AMIs that a change takes away are still used."""

TimeUnit = Literal["DAYS", "WEEKS", "MONTHS", "YEARS"]


@pulumi.input_type
class IncludeResourcesArgs:
    """Which resources under the image take part (``ResourceStateUpdateIncludeResources``).

    Args:
        amis: The AMIs the image was distributed as. Default: not included.
        snapshots: The snapshots of these AMIs; only with ``DELETED``. Default: not included.
        containers: The container images in ECR; only with ``DELETED``. Default: not included.
    """

    amis: pulumi.Input[bool] | None = pulumi.property("amis")
    snapshots: pulumi.Input[bool] | None = pulumi.property("snapshots")
    containers: pulumi.Input[bool] | None = pulumi.property("containers")

    def __init__(
        self,
        *,
        amis: pulumi.Input[bool] | None = None,
        snapshots: pulumi.Input[bool] | None = None,
        containers: pulumi.Input[bool] | None = None,
    ) -> None:
        _set(self, amis=amis, snapshots=snapshots, containers=containers)


class IncludeResourcesDict(TypedDict, total=False):
    """:class:`IncludeResourcesArgs` as a plain dict."""

    amis: pulumi.Input[bool]
    snapshots: pulumi.Input[bool]
    containers: pulumi.Input[bool]


@pulumi.input_type
class LastLaunchedArgs:
    """Leave out AMIs that an instance was launched from within this time.

    Args:
        value: How many units, 1 to 365.
        unit: ``"DAYS"``, ``"WEEKS"``, ``"MONTHS"`` or ``"YEARS"``.
    """

    value: pulumi.Input[int] = pulumi.property("value")
    unit: pulumi.Input[TimeUnit | str] = pulumi.property("unit")

    def __init__(self, *, value: pulumi.Input[int], unit: pulumi.Input[TimeUnit | str]) -> None:
        _set(self, value=value, unit=unit)


class LastLaunchedDict(TypedDict):
    """:class:`LastLaunchedArgs` as a plain dict."""

    value: pulumi.Input[int]
    unit: pulumi.Input[TimeUnit | str]


@pulumi.input_type
class AmiExclusionRulesArgs:
    """Which AMIs stay as they are (``LifecyclePolicyDetailExclusionRulesAmis``). One rule that fits is enough.

    Args:
        is_public: Leave out public AMIs. Default: they take part.
        regions: Leave out AMIs in these regions.
        shared_accounts: Leave out AMIs shared with one of these accounts (12 digits each, 1 to 1,536 of them).
        last_launched: Leave out AMIs that an instance was launched from within this time.
        tag_map: Leave out AMIs that carry one of these tags, key and value (1 to 50 of them).
    """

    is_public: pulumi.Input[bool] | None = pulumi.property("is_public")
    regions: pulumi.Input[Sequence[pulumi.Input[str]]] | None = pulumi.property("regions")
    shared_accounts: pulumi.Input[Sequence[pulumi.Input[str]]] | None = pulumi.property("shared_accounts")
    last_launched: pulumi.Input[LastLaunchedArgs | LastLaunchedDict] | None = pulumi.property("last_launched")
    tag_map: pulumi.Input[Mapping[str, pulumi.Input[str]]] | None = pulumi.property("tag_map")

    def __init__(
        self,
        *,
        is_public: pulumi.Input[bool] | None = None,
        regions: pulumi.Input[Sequence[pulumi.Input[str]]] | None = None,
        shared_accounts: pulumi.Input[Sequence[pulumi.Input[str]]] | None = None,
        last_launched: pulumi.Input[LastLaunchedArgs | LastLaunchedDict] | None = None,
        tag_map: pulumi.Input[Mapping[str, pulumi.Input[str]]] | None = None,
    ) -> None:
        _set(
            self,
            is_public=is_public,
            regions=regions,
            shared_accounts=shared_accounts,
            last_launched=last_launched,
            tag_map=tag_map,
        )


class AmiExclusionRulesDict(TypedDict, total=False):
    """:class:`AmiExclusionRulesArgs` as a plain dict."""

    is_public: pulumi.Input[bool]
    regions: pulumi.Input[Sequence[pulumi.Input[str]]]
    shared_accounts: pulumi.Input[Sequence[pulumi.Input[str]]]
    last_launched: pulumi.Input[LastLaunchedArgs | LastLaunchedDict]
    tag_map: pulumi.Input[Mapping[str, pulumi.Input[str]]]


@pulumi.input_type
class ExclusionRulesArgs:
    """What is left out of a state update (``ResourceStateUpdateExclusionRules``).

    Args:
        amis: Rules for AMIs; they need ``include_resources`` with ``amis``.
    """

    amis: pulumi.Input[AmiExclusionRulesArgs | AmiExclusionRulesDict] | None = pulumi.property("amis")

    def __init__(self, *, amis: pulumi.Input[AmiExclusionRulesArgs | AmiExclusionRulesDict] | None = None) -> None:
        _set(self, amis=amis)


class ExclusionRulesDict(TypedDict, total=False):
    """:class:`ExclusionRulesArgs` as a plain dict."""

    amis: pulumi.Input[AmiExclusionRulesArgs | AmiExclusionRulesDict]


def _set(args: object, **values: Any) -> None:
    for name, value in values.items():
        if value is not None:
            pulumi.set(args, name, value)
