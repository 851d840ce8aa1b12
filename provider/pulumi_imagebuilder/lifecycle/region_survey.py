"""Read the AMIs of one account and region, and what uses them there."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..aws.answers import OnRetry, is_access_denied, required_permission
from ..durations import format_elapsed
from ..errors import ConfigurationError, ImageBuilderError, ServiceError, TemporaryError
from .amis import (
    CONTAINER_RECIPE,
    IMAGE_RECIPE,
    INSTANCE,
    LAUNCH_TEMPLATE,
    LIVE_STATES,
    PARAMETER,
    AccountRegion,
    Ami,
    Reference,
    name_in,
)
from .launchers import Launchers, Templates, find_launchers
from .shared_reads import SharedReads, gather_both, gather_or_cancel

if TYPE_CHECKING:
    from ..aws.service import Service

_TEMPLATE_DEPTH = 100
"""How many of a template's newest versions are searched for mentions of an AMI: two years of weekly versions."""

_RESOURCE_TYPES = [
    {"ResourceType": INSTANCE, "ResourceTypeOptions": [{"OptionName": "state-name", "OptionValues": [*LIVE_STATES]}]},
    {
        "ResourceType": LAUNCH_TEMPLATE,
        "ResourceTypeOptions": [{"OptionName": "version-depth", "OptionValues": [str(_TEMPLATE_DEPTH)]}],
    },
    {"ResourceType": PARAMETER},
    {"ResourceType": IMAGE_RECIPE},
    {"ResourceType": CONTAINER_RECIPE},
]
_MAX_FILTER_VALUES = 200
_MAX_REFERENCE_IDS = 10
_MAX_CONCURRENT_CALLS = 8
"""In one region. EC2 allows 100 calls at once, and 20 a second after that."""
_MAX_ATTEMPTS = 3
"""How often a batch is read, again if one of its AMIs was deregistered meanwhile."""

_WHOLE_REGION = ""
"""The one key of values that are read once for a region."""

_PERMISSION = re.compile(r"perform: ([a-z0-9-]+:[A-Za-z]+)")


class MissingPermission(ServiceError):
    """The caller lacks a permission.

    Args:
        reason: the service's message.
        code: its error code.
        permission: what the caller's policy lacks, as ``ec2:DescribeImageReferences``.

    Attributes:
        permission: as given.
    """

    def __init__(self, reason: str, code: str, permission: str) -> None:
        super().__init__(reason, code)
        self.permission = permission


@dataclass(frozen=True)
class Use:
    """An AMI with what uses it; None for an AMI that is gone."""

    ami: Ami | None
    used_by: tuple[Reference, ...] = ()


class RegionSurvey:
    """Reads AMIs and what uses them in one region of one account.

    Args:
        service: where calls go.
        place: the account and region.
        clock: a monotonic clock, in seconds.
        sleep: waits, in seconds.
        time_limit: seconds without an answer after which a read times out.
    """

    def __init__(
        self,
        service: Service,
        place: AccountRegion,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        time_limit: float,
    ) -> None:
        self._service = service
        self._place = place
        self._time_limit = time_limit
        self._timeouts: set[asyncio.Timeout] = set()
        self._calls = asyncio.Semaphore(_MAX_CONCURRENT_CALLS)
        self._uses = SharedReads(self._within_time_limit(self._read_uses), clock=clock, sleep=sleep)
        self._shares = SharedReads(self._within_time_limit(self._read_shares), clock=clock, sleep=sleep)
        self._launchers = SharedReads(self._read_launchers, clock=clock, sleep=sleep)
        self._recipes = SharedReads(self._within_time_limit(self._read_recipes), clock=clock, sleep=sleep)

    async def find_uses(
        self,
        ids: Sequence[str],
        since: float,
        *,
        along_with: Iterable[str] = (),
        shared_with: Sequence[str] = (),
        on_retry: OnRetry | None = None,
    ) -> dict[str, Use | ImageBuilderError]:
        """Return AMIs with what uses them, by id; an error for those that could not be looked up.

        Args:
            ids: AMIs.
            since: the earliest time at which it may have been read.
            along_with: AMIs that will be looked up soon.
            shared_with: accounts to check for sharing.
            on_retry: called with the reason when a call is retried.

        Raises:
            ConfigurationError: the configuration forbids the account.
        """
        # Used twice below: a generator would be empty then.
        expected = list(along_with) if shared_with else along_with
        found = await self._uses.get(ids, since, along_with=expected, on_retry=on_retry)
        for use in found.values():
            if isinstance(use, ConfigurationError):
                raise use
        if not shared_with:
            return found
        shares = await self._shares.get(
            [(ami, account) for ami in ids for account in shared_with],
            since,
            along_with=[(ami, account) for ami in expected for account in shared_with],
            on_retry=on_retry,
        )
        return {ami: _with_shares(use, shares, shared_with) for ami, use in found.items()}

    async def find_recipes(
        self, since: float, on_retry: OnRetry | None
    ) -> Mapping[str, Sequence[Reference]] | ImageBuilderError:
        """Return the recipes that name image build versions by ARN, by that ARN; or why they cannot be read.

        Args:
            since: the earliest time at which it may have been read.
            on_retry: called with the reason when a call is retried.
        """
        return (await self._recipes.get([_WHOLE_REGION], since, on_retry=on_retry))[_WHOLE_REGION]

    def _within_time_limit(self, read: Any) -> Any:
        """Return a reader that times out with a :class:`TemporaryError`, which has the last retry's reason."""

        async def limited(keys: list[Any], since: float, notify: OnRetry) -> Any:
            last = ""

            def on_retry(reason: str) -> None:
                nonlocal last
                last = f": {reason}"
                notify(reason)

            timeout = asyncio.timeout(self._time_limit)
            self._timeouts.add(timeout)
            try:
                async with timeout:
                    return await read(keys, since, on_retry)
            except TimeoutError:
                raise TemporaryError(f"no answer within {format_elapsed(self._time_limit)}{last}") from None
            finally:
                self._timeouts.discard(timeout)

        return limited

    async def _read_uses(self, ids: list[str], since: float, on_retry: OnRetry) -> dict[str, Use]:
        attempts = 0
        while True:
            attempts += 1
            try:
                return await self._read_batch(ids, since, on_retry)
            except ServiceError as error:
                # Deregistered after it was described: describe all again, it is left out then.
                if not error.code.startswith("InvalidAMIID") or attempts == _MAX_ATTEMPTS:
                    raise

    async def _read_batch(self, ids: list[str], since: float, on_retry: OnRetry) -> dict[str, Use]:
        launchers, described = await gather_both(
            self._launchers.get([_WHOLE_REGION], since, on_retry=on_retry), self._describe_images(ids, on_retry)
        )
        found = launchers[_WHOLE_REGION]
        if isinstance(found, ImageBuilderError):
            raise found
        raw = await self._describe_references(list(described), on_retry)
        with_instances = sorted({entry["ImageId"] for entry in raw if entry.get("ResourceType") == INSTANCE})
        instances = await self._describe_instances(with_instances, on_retry)
        used_by: defaultdict[str, dict[tuple[str, str], Reference]] = defaultdict(dict)
        for image_id in described:
            for reference in found.used_by.get(image_id, ()):
                used_by[image_id][reference.kind, reference.arn] = reference
        for entry in raw:
            parsed = self._parse_reference(entry, found, instances)
            if parsed:
                used_by[parsed.ami_id].setdefault((parsed.kind, parsed.arn), parsed)
        return {image_id: Use(described.get(image_id), tuple(used_by[image_id].values())) for image_id in ids}

    async def _describe_images(self, ids: Sequence[str], on_retry: OnRetry, **parameters: Any) -> dict[str, Ami]:
        """Return the AMIs that exist. By a filter: an id that is gone would fail the call."""
        described = await self._in_chunks(
            ids,
            _MAX_FILTER_VALUES,
            lambda chunk: self._pages(
                "ec2",
                "describe_images",
                "Images",
                on_retry,
                Filters=[{"Name": "image-id", "Values": chunk}],
                IncludeDisabled=True,
                IncludeDeprecated=True,
                **parameters,
            ),
        )
        return {entry["ImageId"]: Ami.parse(self._place.region, entry) for entry in described}

    async def _describe_references(self, ids: Sequence[str], on_retry: OnRetry) -> list[Any]:
        return await self._in_chunks(
            ids,
            _MAX_REFERENCE_IDS,
            lambda chunk: self._pages(
                "ec2",
                "describe_image_references",
                "ImageReferences",
                on_retry,
                ImageIds=chunk,
                ResourceTypes=_RESOURCE_TYPES,
            ),
        )

    async def _describe_instances(self, ids: Sequence[str], on_retry: OnRetry) -> dict[str, str]:
        """Return name and state of the instances that were launched from AMIs, by the instance's id."""
        reservations = await self._in_chunks(
            ids,
            _MAX_FILTER_VALUES,
            lambda chunk: self._pages(
                "ec2",
                "describe_instances",
                "Reservations",
                on_retry,
                Filters=[{"Name": "image-id", "Values": chunk}],
                MaxResults=1000,
            ),
        )
        return {
            instance["InstanceId"]: instance["State"]["Name"]
            for reservation in reservations
            for instance in reservation["Instances"]
        }

    async def _read_shares(
        self, keys: list[tuple[str, str]], since: float, on_retry: OnRetry
    ) -> dict[tuple[str, str], bool]:
        """Return whether AMIs are shared with accounts: EC2 describes only those that an account may launch."""
        by_account: defaultdict[str, list[str]] = defaultdict(list)
        for ami, account in keys:
            by_account[account].append(ami)
        shared = await gather_or_cancel(
            self._describe_images(amis, on_retry, ExecutableUsers=[account]) for account, amis in by_account.items()
        )
        found = dict(zip(by_account, shared, strict=True))
        return {(ami, account): ami in found[account] for ami, account in keys}

    async def _read_launchers(self, keys: list[str], since: float, on_retry: OnRetry) -> dict[str, Launchers]:
        versions, groups, configurations = await gather_or_cancel(
            [
                # Without a filter, so that it is read once for all AMIs.
                self._pages(
                    "ec2",
                    "describe_launch_template_versions",
                    "LaunchTemplateVersions",
                    on_retry,
                    Versions=["$Latest", "$Default"],
                    MaxResults=_MAX_FILTER_VALUES,
                ),
                self._pages(
                    "autoscaling",
                    "describe_auto_scaling_groups",
                    "AutoScalingGroups",
                    on_retry,
                    IncludeInstances=False,
                    MaxRecords=100,
                ),
                self._pages(
                    "autoscaling", "describe_launch_configurations", "LaunchConfigurations", on_retry, MaxRecords=100
                ),
            ]
        )
        templates = Templates(versions)
        wanted = templates.find_unread(groups)
        pinned = await gather_or_cancel(self._read_pinned(id_, numbers, on_retry) for id_, numbers in wanted.items())
        templates.add(version for part in pinned for version in part)
        return {_WHOLE_REGION: find_launchers(self._place, templates, groups, configurations)}

    async def _read_pinned(self, template_id: str, numbers: Sequence[str], on_retry: OnRetry) -> list[Any]:
        """Return the versions of a template that groups name, except those that are gone, which launch nothing."""
        try:
            return await self._pages(
                "ec2",
                "describe_launch_template_versions",
                "LaunchTemplateVersions",
                on_retry,
                LaunchTemplateId=template_id,
                Versions=list(numbers),
            )
        except ServiceError as error:
            if not error.code.startswith("InvalidLaunchTemplate"):
                raise
            if len(numbers) == 1:
                return []
            parts = await gather_or_cancel(self._read_pinned(template_id, [number], on_retry) for number in numbers)
            return [version for part in parts for version in part]

    async def _read_recipes(
        self, keys: list[str], since: float, on_retry: OnRetry
    ) -> dict[str, Mapping[str, Sequence[Reference]]]:
        """Read all recipes: EC2 knows only those that name an AMI by its id."""
        lists = await gather_or_cancel(
            self._pages("imagebuilder", operation, member, on_retry, maxResults=100)
            for operation, member in (
                ("list_image_recipes", "imageRecipeSummaryList"),
                ("list_container_recipes", "containerRecipeSummaryList"),
            )
        )
        found: defaultdict[str, list[Reference]] = defaultdict(list)
        for kind, recipes in zip((IMAGE_RECIPE, CONTAINER_RECIPE), lists, strict=True):
            for recipe in recipes:
                name, detail = name_in(recipe["arn"])
                for image in {recipe.get("parentImage"), recipe.get("instanceImage")} - {None}:
                    found[image].append(Reference(kind, recipe["arn"], name, detail, image, self._place.region))
        return {_WHOLE_REGION: found}

    def _parse_reference(
        self, entry: Mapping[str, Any], launchers: Launchers, instances: Mapping[str, str]
    ) -> Reference | None:
        """Return one reference of ``DescribeImageReferences``; None for an instance that has ended."""
        kind, arn, image_id = entry["ResourceType"], entry["Arn"], entry["ImageId"]
        name, detail = name_in(arn)
        reference = Reference(kind, arn, name, detail, image_id, self._place.region)
        if kind == LAUNCH_TEMPLATE and name in launchers.template_names:
            # The default, the newest and the pinned versions are among the launchers, so this is another one.
            return replace(reference, name=launchers.template_names[name], detail="an older version", counts=False)
        if kind == INSTANCE:
            # An instance that is not described yet counts: EC2 returned it for the live states.
            state = instances.get(name, "pending")
            if state not in LIVE_STATES:
                return None
            return replace(reference, detail=state, counts_only_for_deletion=True)
        return reference

    async def _in_chunks(
        self, ids: Sequence[str], size: int, read: Callable[[list[str]], Awaitable[list[Any]]]
    ) -> list[Any]:
        chunks = [list(ids[start : start + size]) for start in range(0, len(ids), size)]
        return [entry for part in await gather_or_cancel(map(read, chunks)) for entry in part]

    async def _pages(
        self, service: str, operation: str, member: str, on_retry: OnRetry, **parameters: Any
    ) -> list[Any]:
        """Return the entries of all pages.

        Raises:
            MissingPermission: the caller may not make the call, or a call that the service makes for it.
            ServiceError: any other client error.
        """
        found: list[Any] = []
        try:
            async with self._calls:
                async for page in self._service.pages(
                    service, self._place.region, operation, account=self._place.account, on_retry=on_retry, **parameters
                ):
                    found += page.get(member) or []
                    self._postpone_timeouts()
        except ServiceError as error:
            if not is_access_denied(error.code):
                raise
            named = _PERMISSION.search(error.reason)
            permission = named[1] if named else required_permission(service, operation)
            raise MissingPermission(error.reason, error.code, permission) from error
        return found

    def _postpone_timeouts(self) -> None:
        """Extend the time limit after an answer: only a region that sends nothing for that long times out."""
        when = asyncio.get_running_loop().time() + self._time_limit
        for timeout in self._timeouts:
            if not timeout.expired():
                timeout.reschedule(when)


def _with_shares(
    use: Use | ImageBuilderError,
    shares: Mapping[tuple[str, str], bool | ImageBuilderError],
    accounts: Sequence[str],
) -> Use | ImageBuilderError:
    if isinstance(use, ImageBuilderError) or use.ami is None:
        return use
    found = set()
    for account in accounts:
        shared = shares[use.ami.ami_id, account]
        if isinstance(shared, ImageBuilderError):
            return shared
        if shared:
            found.add(account)
    return replace(use, ami=replace(use.ami, shared_accounts=frozenset(found)))
