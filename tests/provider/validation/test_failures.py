"""Failures: one for each property, in order, and without secrets."""

from __future__ import annotations

from pulumi_imagebuilder.validation import Failure
from pulumi_imagebuilder.validation.failures import FailureCollector, nearest_name
from pulumi_imagebuilder.validation.schema import installed, members


def test_first_failure_of_a_property_is_kept() -> None:
    """Later failures of a property follow from the first."""
    collector = FailureCollector()
    collector.add("state", "first")
    collector.add("state", "second")

    assert collector.failures() == [Failure("state", "first")]


def test_failures_come_in_the_order_of_the_arguments() -> None:
    """Pulumi passes arguments in no order; failures are always in that of the declaration."""
    collector = FailureCollector()
    for path in ("other", "state", "triggers[1]", "include_resources.amis", "include_resource"):
        collector.add(path, "wrong")

    properties = [failure.property for failure in collector.failures(["include_resources", "triggers", "state"])]

    assert properties == ["include_resources.amis", "triggers[1]", "state", "other", "include_resource"]


def test_secret_property_has_a_path_that_pulumi_does_not_look_up() -> None:
    """The engine prints the value of an input that it finds under the property's name, even of a secret one."""
    collector = FailureCollector(["client_token", "exclusion_rules.amis"])
    for path in ("state", "client_token", "exclusion_rules", "exclusion_rules.amis.regions"):
        collector.add(path, "wrong")

    assert [failure.property for failure in collector.failures()] == [
        "state",
        '["client_token"]',
        '["exclusion_rules"]',
        "exclusion_rules.amis.regions",
    ]


def test_secret_hides_its_parts_and_its_parents() -> None:
    """A secret hides its parts, and everything that it is a part of, but not its neighbours."""
    collector = FailureCollector(["rules.regions", "token"])

    assert collector.is_secret("rules.regions[3]")
    assert collector.is_secret("rules")
    assert collector.is_secret("token.deep")
    assert not collector.is_secret("rules.region")
    assert not collector.is_secret("rules.regions_too")
    assert not collector.is_secret("tokens")


def test_nearest_name() -> None:
    """The API's spelling and small slips lead to the right name, far-fetched ones to none."""
    names = list(members(installed().request))

    assert nearest_name("includeResources", names) == "include_resources"
    assert nearest_name("include-resources", names) == "include_resources"
    assert nearest_name("exclude_rules", names) == "exclusion_rules"
    assert nearest_name("updatedAt", names) == "update_at"
    assert nearest_name("lambda", names) is None
