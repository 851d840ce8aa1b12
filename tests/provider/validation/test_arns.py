"""ARNs are split, and a text that is none gets the reason."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pulumi_imagebuilder.validation import ImageArn
from pulumi_imagebuilder.validation.arns import RoleArn, describe_role_mismatch

EXAMPLE = 'expected an ARN such as "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3/4"'


@given(
    st.from_regex(
        r"arn:aws[a-z-]*:imagebuilder:[a-z0-9-]+:(?:[0-9]{12}|aws):image/[a-z0-9_-]+/[0-9.]+/[0-9]+", fullmatch=True
    )
)
def test_image_arn_round_trip(arn: str) -> None:
    """Splitting an ARN loses nothing."""
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
        ("arn:aws:imagebuilder:us-east-1::image/web/1.2.3/4", "has no account id"),
        ("arn:aws:imagebuilder:us-east-1:amazon:image/web/1.2.3/latest", "has amazon for an account id"),
    ],
)
def test_image_arn_refuses_other_texts(arn: str, problem: str) -> None:
    """The error says why it is none, and what one looks like."""
    message = f'"{arn}" {problem}; {EXAMPLE}'
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ImageArn.parse(arn)


@pytest.mark.parametrize(
    ("account", "amazons"), [("123456789012", False), ("aws", True), ("aws-marketplace", True), ("amazon", True)]
)
def test_image_arn_knows_amazons_own(account: str, amazons: bool) -> None:
    """Whatever name is in the place of the account id, the image is not one of the user's."""
    assert ImageArn.parse(f"arn:aws:imagebuilder:us-east-1:{account}:image/web/1.2.3/4").is_amazons is amazons


def test_role_arn_is_found() -> None:
    """The ARN of a role has partition and account, its name has neither."""
    assert RoleArn.find("arn:aws-cn:iam::123456789012:role/path/Role") == RoleArn("aws-cn", "123456789012")
    assert RoleArn.find("path/Role") is None
    assert RoleArn.find("arn:aws:iam::123456789012:user/me") is None


@pytest.mark.parametrize(
    ("role", "problem"),
    [
        ("arn:aws:iam::aws:role/ImageLifecycle", "has aws for an account id"),
        ("arn:aws:iam:::role/ImageLifecycle", "has no account id"),
        ("arn:aws:iam::aws:policy/service-role/Lifecycle", "is the ARN of another kind of resource (policy)"),
        ("arn:aws:sts::123456789012:assumed-role/build/me", "is an ARN of sts, not of iam"),
        ("arn:aws:iam::123456789012:role/", "is not valid"),
        ("Image Lifecycle", "is not valid"),
    ],
)
def test_role_mismatch_is_described(role: str, problem: str) -> None:
    """The clause says what is wrong about the text."""
    assert describe_role_mismatch(role) == problem
