"""The parts that the rules are made of: ARNs, times, values, requests and what they say about themselves."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from datetime import datetime, timezone
from typing import Any

import botocore.loaders
import botocore.model
import botocore.validate
import pulumi_imagebuilder.rules
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pulumi_imagebuilder.rules import Failure, ImageArn, request
from pulumi_imagebuilder.rules.arns import RoleArn
from pulumi_imagebuilder.rules.findings import Findings, nearest
from pulumi_imagebuilder.rules.model import installed, members
from pulumi_imagebuilder.rules.times import parse, text
from pulumi_imagebuilder.rules.values import UNKNOWN, has_unknown, shown

EXAMPLE = 'expected an ARN such as "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3/4"'
MODULES = [
    "pulumi_imagebuilder.rules",
    *(
        f"pulumi_imagebuilder.rules.{module.name}"
        for module in pkgutil.iter_modules(pulumi_imagebuilder.rules.__path__)
    ),
]


@pytest.mark.parametrize("name", MODULES)
def test_documented_examples_are_true(name: str) -> None:
    """Every example in a docstring gives what it says."""
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@given(
    st.from_regex(
        r"arn:aws[a-z-]*:imagebuilder:[a-z0-9-]+:(?:[0-9]{12}|aws):image/[a-z0-9_-]+/[0-9.]+/[0-9]+", fullmatch=True
    )
)
def test_image_arns_come_back_as_they_were(arn: str) -> None:
    """Taking an ARN apart loses nothing."""
    assert str(ImageArn.parse(arn)) == arn


def test_parts_of_an_image_arn() -> None:
    """All parts are text, as the ARN has it."""
    arn = ImageArn.parse("arn:aws-cn:imagebuilder:cn-north-1:aws:image/amazon-linux/2026.1.1/012")

    assert arn == ImageArn("aws-cn", "cn-north-1", "aws", "amazon-linux", "2026.1.1", "012")


@pytest.mark.parametrize(
    ("arn", "problem"),
    [
        ("", "is not an ARN"),
        ("web", "is not an ARN"),
        ("arn:aws:imagebuilder", "is not an ARN"),
        ("arn:aws::us-east-1:123456789012:image/web/1.2.3/4", "is an ARN of no service, not of imagebuilder"),
        ("arn:aws:ec2:us-east-1::image/ami-1", "is an ARN of ec2, not of imagebuilder"),
        (
            "arn:aws:imagebuilder:us-east-1:123456789012:component/web/1.2.3/4",
            "is the ARN of another kind of resource (component)",
        ),
        ("arn:aws:imagebuilder:us-east-1:123456789012:image/web", "has no version and no build number"),
        ("arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3", "has no build number"),
        ("arn:aws:imagebuilder:us-east-1:123456789012:image/web/x.x.x", "has a wildcard in its version"),
        ("arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3/latest", "is not valid"),
        ("arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3/4/5", "is not valid"),
        ("arn:aws:imagebuilder:us-east-1:123456789012:image", "is not valid"),
    ],
)
def test_what_is_no_image_arn(arn: str, problem: str) -> None:
    """The error says why it is none, and what one looks like."""
    told = f'"{arn}" {problem}; {EXAMPLE}'
    with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
        ImageArn.parse(arn)


def test_roles_by_arn_and_by_name() -> None:
    """The ARN of a role tells partition and account, its name neither."""
    assert RoleArn.find("arn:aws-cn:iam::123456789012:role/path/Role") == RoleArn("aws-cn", "123456789012")
    assert RoleArn.find("path/Role") is None
    assert RoleArn.find("arn:aws:iam::123456789012:user/me") is None


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.timezones()))
def test_times_are_the_same_instant(instant: datetime) -> None:
    """Whatever offset a time is written with, the whole second it means is kept."""
    offset = instant.utcoffset()
    assert offset is not None
    assume(offset.total_seconds() % 60 == 0)  # Offsets of local mean time have seconds, which RFC 3339 cannot write.
    assert parse(instant.isoformat()) == instant.astimezone(timezone.utc).replace(microsecond=0)


@given(st.datetimes())
def test_times_come_back_as_they_were(instant: datetime) -> None:
    """What is written here is read here."""
    utc = instant.replace(microsecond=0, tzinfo=timezone.utc)
    assert parse(text(utc)) == utc


@given(st.text(alphabet="0123456789-+:.TZtz ", max_size=30) | st.text())
def test_other_texts_are_no_times(written: str) -> None:
    """A text is a time, or the error is a clause about it; no other error comes out."""
    try:
        assert text(parse(written)).endswith("Z")
    except ValueError as error:
        assert str(error) in {  # noqa: PT017 - both outcomes are right
            "is not an RFC 3339 time",
            "has no time of day",
            "has no offset from UTC",
            "is a time that does not exist",
        }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_values_are_shown_on_one_short_line(value: Any) -> None:
    """Whatever a program gives, a message stays one line of printable characters, and short."""
    told = shown(value)
    assert told.isprintable()
    assert len(told) <= 200 * len("\\u0000") + 3


def test_values_are_shown_as_python_has_them() -> None:
    """A person finds the value again in the program."""
    assert shown(3.0) == "3"
    assert shown(0.5) == "0.5"
    assert shown(True) == "True"
    assert shown(None) == "None"
    assert shown('say "hi"\n\u2028\x85') == r'"say \"hi\"\n\u2028\u0085"'
    assert shown({"a": [1.0, UNKNOWN, {"b": None}]}) == '{"a": [1, [unknown], {"b": None}]}'
    assert shown(UNKNOWN) == "[unknown]"
    assert shown(object()) == "object"


def test_unknown_is_found_anywhere() -> None:
    """One unknown value makes the whole unknown."""
    assert has_unknown(UNKNOWN)
    assert has_unknown({"a": [1, {"b": UNKNOWN}]})
    assert not has_unknown({"a": [1, {"b": UNKNOWN[:-1]}], "c": None})


def test_first_failure_of_a_property_stands() -> None:
    """What is told of a property later follows from the first."""
    findings = Findings()
    findings.add("state", "first")
    findings.add("state", "second")

    assert findings.failures() == [Failure("state", "first")]


def test_failures_come_in_the_order_of_the_arguments() -> None:
    """Pulumi hands arguments over in no order; what is told of them is always told in theirs."""
    findings = Findings()
    for path in ("other", "state", "triggers[1]", "include_resources.amis", "include_resource"):
        findings.add(path, "wrong")

    told = [failure.property for failure in findings.failures(["include_resources", "triggers", "state"])]

    assert told == ["include_resources.amis", "triggers[1]", "state", "other", "include_resource"]


def test_properties_that_are_secret_are_named_so_that_pulumi_does_not_print_them() -> None:
    """The engine prints the value of an input that it finds under the property's name, even of a secret one."""
    findings = Findings(["client_token", "exclusion_rules.amis"])
    for path in ("state", "client_token", "exclusion_rules", "exclusion_rules.amis.regions"):
        findings.add(path, "wrong")

    assert [failure.property for failure in findings.failures()] == [
        "state",
        '["client_token"]',
        '["exclusion_rules"]',
        "exclusion_rules.amis.regions",
    ]


def test_secrets_hide_what_holds_them_and_what_they_hold() -> None:
    """A secret hides its parts, and everything that it is a part of, but not its neighbours."""
    findings = Findings(["rules.regions", "token"])

    assert findings.is_secret("rules.regions[3]")
    assert findings.is_secret("rules")
    assert findings.is_secret("token.deep")
    assert not findings.is_secret("rules.region")
    assert not findings.is_secret("rules.regions_too")
    assert not findings.is_secret("tokens")


def test_nearest_names() -> None:
    """The API's spelling and small slips lead to the right name, far-fetched ones to none."""
    names = list(members(installed().request))

    assert nearest("includeResources", names) == "include_resources"
    assert nearest("include-resources", names) == "include_resources"
    assert nearest("exclude_rules", names) == "exclusion_rules"
    assert nearest("updatedAt", names) == "update_at"
    assert nearest("lambda", names) is None


FULL = {
    "resource_arn": "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3/4",
    "state": "DEPRECATED",
    "execution_role": "ImageLifecycle",
    "include_resources": {"amis": True, "snapshots": False, "containers": False},
    "exclusion_rules": {
        "amis": {
            "is_public": False,
            "regions": ["us-east-1"],
            "shared_accounts": ["000000000001"],
            "last_launched": {"value": 3.0, "unit": "DAYS"},
            "tag_map": {"is_public": "as given"},
        }
    },
    "update_at": "2030-01-31T02:00:00+02:00",
    "client_token": "token",
    "triggers": [1],
    "wait": True,
    "on_destroy": "retain",
    "image_state": "DEPRECATED",
    "__urn": "urn",
}
ASKED = {
    "state": {"status": "DEPRECATED"},
    "executionRole": "ImageLifecycle",
    "includeResources": {"amis": True, "snapshots": False, "containers": False},
    "exclusionRules": {
        "amis": {
            "isPublic": False,
            "regions": ["us-east-1"],
            "sharedAccounts": ["000000000001"],
            "lastLaunched": {"value": 3, "unit": "DAYS"},
            "tagMap": {"is_public": "as given"},
        }
    },
    "updateAt": datetime(2030, 1, 31, tzinfo=timezone.utc),
}


def test_every_parameter_reaches_the_request() -> None:
    """Arguments become parameters one to one; neither the image, nor the token, nor anything else is sent."""
    asked = request(FULL)

    assert asked == ASKED
    assert type(asked["exclusionRules"]["amis"]["lastLaunched"]["value"]) is int


def test_the_full_request_has_every_member_of_the_model() -> None:
    """The request above leaves nothing out: each member of each structure of the model is in it."""

    def missing(value: Any, shape: Any, path: str) -> list[str]:
        if shape.type_name != "structure":
            return []
        absent = [f"{path}.{name}" for name in shape.members if name not in value]
        return absent + [gap for name in value for gap in missing(value[name], shape.members[name], f"{path}.{name}")]

    assert missing(request(FULL), installed().request, "") == [".resourceArn", ".clientToken"]


def test_nothing_is_sent_that_was_not_given() -> None:
    """None means left out, at any depth."""
    inputs = {
        "state": "DISABLED",
        "execution_role": None,
        "include_resources": {"amis": True, "snapshots": None},
        "exclusion_rules": {"amis": {"regions": None, "is_public": True}},
    }

    assert request(inputs) == {
        "state": {"status": "DISABLED"},
        "includeResources": {"amis": True},
        "exclusionRules": {"amis": {"isPublic": True}},
    }


def test_boto3_takes_the_request() -> None:
    """What boto3 itself checks before a call, it finds in order."""
    shape = installed().request
    parameters = {**request(FULL), "resourceArn": FULL["resource_arn"], "clientToken": "t"}

    assert not botocore.validate.ParamValidator().validate(parameters, shape).has_errors()
