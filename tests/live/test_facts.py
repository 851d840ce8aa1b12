"""What the file of facts keeps, and what it replaces."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import botocore.session
import pytest

from tests.live.facts import MAX_ITEMS, Redactor, endpoint_of

START = datetime(2026, 3, 1, tzinfo=UTC)
MODELS = {name: botocore.session.get_session().get_service_model(name) for name in ("imagebuilder", "ec2")}
ARN = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"


@pytest.fixture
def redactor() -> Redactor:
    return Redactor(START, {"role": "Lifecycle", "image": "image"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"image {ARN}.", "<image 1> <imagebuilder image build ARN 1>."),
        ("User: arn:aws:sts::123456789012:assumed-role/R/me is not", "User: <sts assumed-role ARN 1> is not"),
        ("role Lifecycle of 123456789012", "role <role 1> of <account 1>"),
        ("Lifecycles stay", "Lifecycles stay"),
        ("lce-00000000-0000-4000-8000-000000000000", "<execution 1>"),
        ("ami-0123456789abcdef0 and snap-01234567", "<ami 1> and <snap 1>"),
        ("payroll-deadbeef", "<id 1>"),
        ("key AKIAABCDEFGHIJKLMNOP", "key <key 1>"),
        ("at 2026-03-01T00:01:00.500Z", "at <start +60.500 s>"),
        ("at 2026-03-01T01:00:00+01:00", "at <start +0.000 s>"),
        ("at 2026-99-01T00:01Z", "at <time 1>"),
        ("https://example.com/a?b=c", "<url 1>"),
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com/app:v1", "<uri 1>"),
        ("x" * 60, "<blob 1>"),
    ],
)
def test_prose(redactor: Redactor, text: str, expected: str) -> None:
    """What is private in a message is replaced, and the words stay."""
    assert redactor.prose(text) == expected


def test_the_same_value_has_the_same_replacement(redactor: Redactor) -> None:
    """In answers, parameters and messages, and another value another one."""
    shape = MODELS["imagebuilder"].operation_model("StartResourceStateUpdate").input_shape
    sent = redactor.redact({"resourceArn": ARN, "executionRole": "Other"}, shape)
    assert redactor.prose(f"{ARN} by Other") == f"{sent['resourceArn']} by {sent['executionRole']}"
    assert redactor.redact({"resourceArn": f"{ARN}2"}, shape)["resourceArn"] == "<imagebuilder image build ARN 2>"


def test_an_answer_keeps_what_says_nothing_of_the_account(redactor: Redactor) -> None:
    """Enumerations, versions, regions, numbers and the service's own tags stay; other texts and keys do not."""
    shape = MODELS["imagebuilder"].operation_model("GetImage").output_shape
    image = {
        "state": {"status": "AVAILABLE", "reason": "told by 123456789012"},
        "version": "1.0.0/1",
        "name": "My Image",
        "dateCreated": "2026-02-28T23:59:59Z",
        "deprecationTime": START + timedelta(days=1),
        "tags": {"team": "payroll", "CreatedBy": "EC2 Image Builder"},
        "outputResources": {"amis": [{"region": "eu-west-1", "image": "ami-01234567", "accountId": "123456789012"}]},
        "imageTestsConfiguration": {"imageTestsEnabled": True, "timeoutMinutes": 60},
    }
    assert redactor.redact({"image": image}, shape)["image"] == {
        "state": {"status": "AVAILABLE", "reason": "told by <account 1>"},
        "version": "1.0.0/1",
        "name": "<name 1>",
        "dateCreated": "<start -1.000 s>",
        "deprecationTime": "<start +86400.000 s>",
        "tags": {"<key 1>": "<value 1>", "CreatedBy": "EC2 Image Builder"},
        "outputResources": {"amis": [{"region": "eu-west-1", "image": "<ami 1>", "accountId": "<account 1>"}]},
        "imageTestsConfiguration": {"imageTestsEnabled": True, "timeoutMinutes": 60},
    }


def test_user_data_and_filters(redactor: Redactor) -> None:
    """A template's user data is replaced; a filter keeps its name, which is ours."""
    model = MODELS["ec2"].operation_model("DescribeLaunchTemplateVersions")
    answer = {
        "LaunchTemplateVersions": [{"LaunchTemplateData": {"UserData": "cGFzc3dvcmQ=", "InstanceType": "t3.nano"}}]
    }
    (version,) = redactor.redact(answer, model.output_shape)["LaunchTemplateVersions"]
    assert version["LaunchTemplateData"] == {"UserData": "<UserData 1>", "InstanceType": "t3.nano"}
    asked = {"Filters": [{"Name": "image-id", "Values": ["ami-01234567"]}]}
    assert redactor.redact(asked, model.input_shape) == {"Filters": [{"Name": "image-id", "Values": ["<ami 1>"]}]}


def test_long_lists_are_cut(redactor: Redactor) -> None:
    """With the number of entries that are left out."""
    shape = MODELS["ec2"].operation_model("DescribeImages").input_shape
    ids = [f"ami-{number:08x}" for number in range(MAX_ITEMS + 2)]
    assert redactor.redact({"ImageIds": ids}, shape)["ImageIds"][-1] == "<2 more>"


@pytest.mark.parametrize(
    ("urls", "expected"),
    [
        (["https://imagebuilder.us-east-1.amazonaws.com/x", "https://ec2.cn-north-1.amazonaws.com.cn/"], "AWS"),
        (["https://imagebuilder.us-east-1.api.aws/x"], "AWS"),
        (["https://imagebuilder.us-east-1.amazonaws.com/x", "http://127.0.0.1:4577/"], "not AWS"),
        (["https://amazonaws.com.example.com/"], "not AWS"),
        ([], "not AWS"),
    ],
)
def test_who_was_asked(urls: list[str], expected: str) -> None:
    """Only where all calls went to AWS, the facts are AWS's."""
    calls: list[Any] = [SimpleNamespace(url=url) for url in urls]
    assert endpoint_of(calls) == expected
