"""Images as the service lists, resolves, creates, tags and deletes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from imagebuilder_emulator.emulator import Emulator

HERE = "arn:aws:imagebuilder:us-east-1:123456789012"
RECIPE = f"{HERE}:image-recipe/nginx/1.0.0"
CONTAINER_RECIPE = f"{HERE}:container-recipe/nginx/1.0.0"
INFRASTRUCTURE = f"{HERE}:infrastructure-configuration/small"


def arn(version: str, name: str = "nginx") -> str:
    return f"{HERE}:image/{name}/{version}"


SEED: dict[str, Any] = {
    "images": [
        {"arn": arn("1.0.0/1"), "os_version": "Amazon Linux 2023"},
        {"arn": arn("1.0.0/2")},
        {"arn": arn("1.9.0/1"), "state": "DEPRECATED"},
        {"arn": arn("1.10.0/1")},
        {"arn": arn("2.0.0/1"), "state": "FAILED"},
        {"arn": arn("1.0.0/1", "nginx-arm"), "platform": "Windows"},
        {"arn": arn("1.0.0/1", "ngin7"), "type": "DOCKER"},
        {"arn": arn("1.0.0/1").replace("us-east-1", "eu-west-1")},
    ]
}


@pytest.fixture(scope="module")
def running(running_of: Any) -> Iterator[Any]:
    with Emulator(SEED, execution_time="10s") as emulator:
        yield running_of(emulator)


def listed(emulated: Any, **asked: Any) -> list[str]:
    """Name and version of the builds that are listed."""
    found = emulated.image_builder.list_image_build_versions(**asked)["imageSummaryList"]
    return [f"{each['name']} {each['version']}" for each in found]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("1.0.0", "1.0.0/2"),
        ("1.x.x", "1.10.0/1"),
        ("1.0.x", "1.0.0/2"),
        ("x.x.x", "1.10.0/1"),
        ("2.0.0/1", "2.0.0/1"),
    ],
)
def test_a_version_means_its_newest_available_build(emulated: Any, asked: str, found: str) -> None:
    """An x stands for any number; a build that failed or was deprecated is found by its whole ARN alone."""
    answer = emulated.image_builder.get_image(imageBuildVersionArn=arn(asked))
    assert answer["image"]["arn"] == arn(found)
    version = found.partition("/")[0]
    major, minor, _ = version.split(".")
    assert answer["latestVersionReferences"] == {
        "latestVersionArn": arn("x.x.x"),
        "latestMajorVersionArn": arn(f"{major}.x.x"),
        "latestMinorVersionArn": arn(f"{major}.{minor}.x"),
        "latestPatchVersionArn": arn(version),
    }


@pytest.mark.parametrize("asked", ["1.9.0", "2.x.x", "3.0.0", "1.0.0/3", f"{'9' * 5000}.0.0/1"])
def test_nothing_is_found_where_nothing_is_available(emulated: Any, asked: str) -> None:
    """A build that does not exist, a version without an AVAILABLE build, and what is in another region."""
    ask = emulated.client("imagebuilder").get_image
    told = ("ResourceNotFoundException", 404, f"The resource {arn(asked)} was not found")
    assert emulated.refused(lambda: ask(imageBuildVersionArn=arn(asked))) == told
    elsewhere = emulated.client("imagebuilder", "eu-west-1").get_image
    assert emulated.refused(lambda: elsewhere(imageBuildVersionArn=arn("1.10.0/1")))[0] == "ResourceNotFoundException"


@pytest.mark.parametrize("asked", ["1.x.3", "x.0.0", f"{'9' * 5000}.0.0"])
def test_a_version_that_cannot_be_is_refused(emulated: Any, asked: str) -> None:
    """Only x can follow an x, and a number has its limit."""
    ask = emulated.image_builder.get_image
    code, status, message = emulated.refused(lambda: ask(imageBuildVersionArn=arn(asked)))
    assert (code, status) == ("InvalidRequestException", 400)
    assert (
        message == f"The version {asked} is none: three numbers up to 1073741823, or as 1.x.x with x in place of some"
    )


def test_builds_are_listed_in_order(emulated: Any) -> None:
    """By name, version as numbers and build; of one version, of another that is not there, of another region."""
    everything = [
        "ngin7 1.0.0/1",
        "nginx 1.0.0/1",
        "nginx 1.0.0/2",
        "nginx 1.9.0/1",
        "nginx 1.10.0/1",
        "nginx 2.0.0/1",
        "nginx-arm 1.0.0/1",
    ]
    assert listed(emulated) == everything
    assert listed(emulated, imageVersionArn=arn("1.0.0")) == ["nginx 1.0.0/1", "nginx 1.0.0/2"]
    assert listed(emulated, imageVersionArn=arn("3.0.0")) == []
    assert listed(emulated, imageVersionArn=arn("1.0.0").replace("us-east-1", "eu-west-1")) == []


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"name": ["nginx"]}, ["nginx"]),
        ({"name": ["nginx*"]}, ["nginx", "nginx-arm"]),
        ({"name": ["*in7*", "*arm*"]}, ["ngin7", "nginx-arm"]),
        ({"name": ["*nginx"]}, []),
        ({"name": ["Nginx"]}, []),
        ({"type": ["DOCKER"]}, ["ngin7"]),
        ({"platform": ["Windows"], "version": ["1.0.0"]}, ["nginx-arm"]),
        ({"osVersion": ["Amazon Linux*"]}, []),
        ({"osVersion": ["Amazon Linux 2023"]}, ["nginx"]),
    ],
)
def test_filters(emulated: Any, filters: dict[str, list[str]], names: list[str]) -> None:
    """All of them must be met, each by one of its values; a name by its beginning or a part too."""
    asked = [{"name": name, "values": values} for name, values in filters.items()]
    assert sorted({each.split()[0] for each in listed(emulated, filters=asked)}) == names
    versions = emulated.image_builder.list_images(filters=asked)["imageVersionList"]
    assert sorted({each["name"] for each in versions}) == names


def test_filters_that_cannot_be_are_refused(emulated: Any) -> None:
    """One that is not known, and the version of what is listed by name."""
    ask = emulated.image_builder.list_images
    assert emulated.refused(lambda: ask(filters=[{"name": "Name", "values": ["web"]}])) == (
        "InvalidRequestException",
        400,
        "The filter 'Name' is not one of name, osVersion, platform, type, version",
    )
    assert emulated.refused(lambda: ask(byName=True, filters=[{"name": "version", "values": ["1.0.0"]}])) == (
        "InvalidRequestException",
        400,
        "byName cannot be combined with the filter 'version'",
    )


def test_versions_and_names_are_listed(emulated: Any) -> None:
    """An entry for each version, or each name; deprecated ones of one's own are always there; Amazon has none here."""
    client = emulated.image_builder
    versions = client.list_images()["imageVersionList"]
    assert [each["version"] for each in versions if each["name"] == "nginx"] == ["1.0.0", "1.9.0", "1.10.0", "2.0.0"]
    assert versions[1]["arn"] == arn("1.0.0")
    names = client.list_images(byName=True)["imageVersionList"]
    assert [(each["arn"], "version" in each) for each in names] == [
        (f"{HERE}:image/{name}", False) for name in ("ngin7", "nginx", "nginx-arm")
    ]
    assert client.list_images(owner="Amazon")["imageVersionList"] == []


def test_a_page_is_as_long_as_asked_for(emulated: Any) -> None:
    """25 where nothing is said, at most 100; following the tokens shows everything once."""
    client = emulated.image_builder
    for number in range(30):
        client.create_image(imageRecipeArn=f"{RECIPE[:-5]}0.0.{number}", infrastructureConfigurationArn=INFRASTRUCTURE)
    assert len(client.list_image_build_versions()["imageSummaryList"]) == 25
    pages = client.get_paginator("list_image_build_versions").paginate(PaginationConfig={"PageSize": 7})
    found = [each["arn"] for page in pages for each in page["imageSummaryList"]]
    assert len(found) == len(set(found)) == 37
    ask = client.list_image_build_versions
    message = "Value at 'maxResults' must be at most 100, got 101"
    assert emulated.refused(lambda: ask(maxResults=101)) == ("InvalidRequestException", 400, message)


def test_a_build_ends_with_an_ami_or_a_container(emulated: Any) -> None:
    """After the execution time the image is AVAILABLE and has what its kind of recipe makes, in its own region."""
    client = emulated.image_builder
    images = [
        client.create_image(**recipe, infrastructureConfigurationArn=INFRASTRUCTURE)["imageBuildVersionArn"]
        for recipe in ({"imageRecipeArn": RECIPE}, {"containerRecipeArn": CONTAINER_RECIPE})
    ]
    assert images == [arn("1.0.0/3"), arn("1.0.0/4")]
    assert [emulated.image_state(image) for image in images] == ["BUILDING", "BUILDING"]
    emulated.later()
    ami, container = (client.get_image(imageBuildVersionArn=image)["image"]["outputResources"] for image in images)
    (found,) = emulated.amis()
    assert ami["amis"] == [
        {"region": "us-east-1", "image": found["ImageId"], "name": found["Name"], "accountId": "123456789012"}
    ]
    uri = "123456789012.dkr.ecr.us-east-1.amazonaws.com/nginx:1.0.0-4"
    assert container["containers"] == [{"region": "us-east-1", "imageUris": [uri]}]


def test_a_container_of_before_does_not_hinder_a_build(emulated: Any) -> None:
    """An image record that was deleted leaves its container, and the next build of that number finds it there."""
    client = emulated.image_builder
    asked = {"containerRecipeArn": CONTAINER_RECIPE.replace("1.0.0", "3.0.0")}
    for _ in range(2):
        answer = client.create_image(**asked, infrastructureConfigurationArn=INFRASTRUCTURE)
        emulated.later()
        assert emulated.image_state(answer["imageBuildVersionArn"]) == "AVAILABLE"
        client.delete_image(imageBuildVersionArn=answer["imageBuildVersionArn"])
    assert len(emulated.client("ecr").list_images(repositoryName="nginx")["imageIds"]) == 1


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({}, "Exactly one of imageRecipeArn and containerRecipeArn is required"),
        (
            {"imageRecipeArn": RECIPE, "containerRecipeArn": CONTAINER_RECIPE},
            "Exactly one of imageRecipeArn and containerRecipeArn is required",
        ),
        (
            {"imageRecipeArn": RECIPE.replace("1.0.0", "1.x.x")},
            f"The recipe {RECIPE[:-5]}1.x.x must be named with its whole version: recipes are not emulated",
        ),
        (
            {"imageRecipeArn": RECIPE.replace("us-east-1", "eu-west-1")},
            f"The recipe {RECIPE.replace('us-east-1', 'eu-west-1')} is not in the Region us-east-1",
        ),
        (
            {"imageRecipeArn": RECIPE.replace("us-east-1", "a/b")},
            f"The recipe {RECIPE.replace('us-east-1', 'a/b')} is not in the Region us-east-1",
        ),
        (
            {"imageRecipeArn": RECIPE, "workflows": [{"workflowArn": f"{HERE}:workflow/build/mine/1.0.0/1"}]},
            "workflows need an executionRole",
        ),
        (
            {"imageRecipeArn": RECIPE, "loggingConfiguration": {"logGroupName": "mine"}},
            "A log group outside of /aws/imagebuilder/ needs an executionRole",
        ),
    ],
)
def test_a_build_is_refused(emulated: Any, request_: dict[str, Any], message: str) -> None:
    """Each rule of CreateImage refuses with InvalidRequestException."""
    create = emulated.image_builder.create_image
    assert emulated.refused(lambda: create(infrastructureConfigurationArn=INFRASTRUCTURE, **request_)) == (
        "InvalidRequestException",
        400,
        message,
    )


def test_a_recipe_of_amazon_builds_an_image_of_ones_own(emulated: Any) -> None:
    """The image is in the account of the caller, not in Amazon's."""
    recipe = RECIPE.replace("123456789012", "aws")
    answer = emulated.image_builder.create_image(imageRecipeArn=recipe, infrastructureConfigurationArn=INFRASTRUCTURE)
    assert answer["imageBuildVersionArn"] == arn("1.0.0/3")


def test_an_image_is_deleted_once_nothing_depends_on_it(emulated: Any) -> None:
    """Not while it is built or an execution is under way: DeleteImage has an error of its own for that."""
    client = emulated.image_builder
    building = client.create_image(imageRecipeArn=RECIPE, infrastructureConfigurationArn=INFRASTRUCTURE)
    delete = client.delete_image
    assert emulated.refused(lambda: delete(imageBuildVersionArn=building["imageBuildVersionArn"])) == (
        "ResourceDependencyException",
        400,
        f"The image {arn('1.0.0/3')} is BUILDING; delete it once that has ended",
    )
    at = emulated.emulator.clock.now() + timedelta(days=1)
    scheduled = emulated.start(arn("1.0.0/1"), updateAt=at)["lifecycleExecutionId"]
    assert emulated.refused(lambda: delete(imageBuildVersionArn=arn("1.0.0/1"))) == (
        "ResourceDependencyException",
        400,
        f"The image {arn('1.0.0/1')} is in use by the lifecycle execution {scheduled}",
    )
    assert delete(imageBuildVersionArn=arn("2.0.0/1"))["imageBuildVersionArn"] == arn("2.0.0/1")
    assert emulated.refused(lambda: delete(imageBuildVersionArn=arn("2.0.0/1")))[0] == "ResourceNotFoundException"


def test_tags_have_errors_of_their_own(emulated: Any) -> None:
    """A request that the shapes refuse is an InvalidParameterException there."""
    tag, untag = emulated.image_builder.tag_resource, emulated.image_builder.untag_resource
    code, status, message = emulated.refused(lambda: tag(resourceArn=arn("1.0.0/1"), tags={"aws:mine": "1"}))
    assert (code, status) == ("InvalidParameterException", 400)
    assert message.startswith("Value 'aws:mine' at 'tags key' must satisfy the pattern ")
    assert emulated.refused(lambda: untag(resourceArn="web", tagKeys=["a"]))[0] == "InvalidParameterException"
    missing = arn("3.0.0/1")
    assert emulated.refused(lambda: tag(resourceArn=missing, tags={"a": "1"})) == (
        "ResourceNotFoundException",
        404,
        f"The resource {missing} was not found",
    )


def test_answers_carry_their_request_id(emulated: Any) -> None:
    """In the body too, where the model has it there."""
    answer = emulated.image_builder.list_images()
    assert answer["requestId"] == answer["ResponseMetadata"]["RequestId"]
    assert re.fullmatch(r"[0-9a-f-]{36}", answer["requestId"])


def failed(**options: Any) -> dict[str, Any]:
    """A seed entry of a build that failed."""
    return {"arn": f"{HERE}:image/broken/1.0.0/1", "state": "FAILED", **options}


def test_a_failed_build_has_its_failure_context() -> None:
    """Where it failed, by default while building; other states have none."""
    context = {"imageStatus": "DISTRIBUTING", "distributionFailure": {"errorMessage": "no access"}}
    other = f"{HERE}:image/other/1.0.0/1"
    seed = {"images": [failed(failure_context=context, reason="It failed"), {"arn": other, "state": "FAILED"}]}
    with Emulator(seed) as emulator:
        client = emulator.client("imagebuilder")

        def state(arn: str) -> Any:
            return client.get_image(imageBuildVersionArn=arn)["image"]["state"]

        assert state(failed()["arn"]) == {"status": "FAILED", "reason": "It failed", "failureContext": context}
        assert state(other) == {"status": "FAILED", "failureContext": {"imageStatus": "BUILDING"}}


@pytest.mark.parametrize(
    ("options", "phase"),
    [
        ({}, "TESTING"),
        ({"failure_context": {"imageStatus": "DISTRIBUTING"}}, "DISTRIBUTING"),
        ({"state": "CANCELLED"}, "TESTING"),
    ],
)
def test_a_retried_image_is_built_in_place(options: dict[str, Any], phase: str) -> None:
    """It goes on in the phase that failed, cannot be changed meanwhile, and becomes AVAILABLE under the same ARN."""
    with Emulator({"images": [failed(**options)]}, execution_time="10s") as emulator:
        client, image = emulator.client("imagebuilder"), failed()["arn"]
        answer = client.retry_image(imageBuildVersionArn=image, clientToken="t")
        assert (answer["imageBuildVersionArn"], answer["clientToken"]) == (image, "t")
        found = client.get_image(imageBuildVersionArn=image)["image"]
        assert (found["state"], "outputResources" in found) == ({"status": phase}, False)
        with pytest.raises(client.exceptions.InvalidRequestException, match=f"The image is {phase}; its state"):
            client.start_resource_state_update(resourceArn=image, state={"status": "DISABLED"})
        emulator.clock.advance(timedelta(seconds=10))
        found = client.get_image(imageBuildVersionArn=image)["image"]
        assert (found["state"], len(found["outputResources"]["amis"])) == ({"status": "AVAILABLE"}, 1)
        assert client.retry_image(imageBuildVersionArn=image, clientToken="t")["imageBuildVersionArn"] == image


def test_a_retry_is_refused() -> None:
    """Of images that did not fail, of containers, of unknown ones, and while an execution has the image in use."""
    docker, good = f"{HERE}:image/app/1.0.0/1", f"{HERE}:image/good/1.0.0/1"
    seed = {
        "roles": ["ImageLifecycle"],
        "images": [failed(amis=[{}]), {"arn": docker, "type": "DOCKER", "state": "FAILED"}, {"arn": good}],
    }
    with Emulator(seed) as emulator:
        client = emulator.client("imagebuilder")
        execution = client.start_resource_state_update(
            resourceArn=failed()["arn"],
            state={"status": "DELETED"},
            executionRole="ImageLifecycle",
            includeResources={"amis": True},
        )["lifecycleExecutionId"]
        for arn_, code, message in (
            (good, "InvalidRequestException", "The image is AVAILABLE; only FAILED and CANCELLED images are retried"),
            (docker, "InvalidRequestException", f"Only AMI images can be retried, and {docker} is of the type DOCKER"),
            (f"{HERE}:image/none/1.0.0/1", "ResourceNotFoundException", "was not found"),
            (failed()["arn"], "ResourceInUseException", f"is in use by the lifecycle execution {execution}"),
        ):
            with pytest.raises(client.exceptions.ClientError) as refused:
                client.retry_image(imageBuildVersionArn=arn_)
            assert refused.value.response["Error"]["Code"] == code
            assert message in refused.value.response["Error"]["Message"]


def test_names_are_filtered_as_they_were_given() -> None:
    """Letter for letter, in the image's own spelling and not the ARN's; wildcards at the beginning and the end."""
    names = {"web-server": "Web Server", "my-web": None, "web": None}
    seed = {
        "images": [
            {"arn": f"{HERE}:image/{name}/1.0.0/1", **({"name": given} if given else {})}
            for name, given in names.items()
        ]
    }
    with Emulator(seed) as emulator:
        client = emulator.client("imagebuilder")

        def found(value: str) -> list[str]:
            filters = [{"name": "name", "values": [value]}]
            return sorted(
                each["name"] for each in client.list_image_build_versions(filters=filters)["imageSummaryList"]
            )

        assert found("Web Server") == ["Web Server"]
        assert found("web-server") == []
        assert found("web*") == ["web"]
        assert found("Web*") == ["Web Server"]
        assert found("*web*") == ["my-web", "web"]
        assert found("WEB") == []
        assert found("*web") == found("w*b") == []


def test_versions_name_the_build(emulated: Any) -> None:
    """GetImage and the list say 1.0.0/1; a version of ListImages has no build."""
    client = emulated.image_builder
    assert client.get_image(imageBuildVersionArn=arn("1.0.0/1"))["image"]["version"] == "1.0.0/1"
    assert {each["version"] for each in client.list_image_build_versions()["imageSummaryList"]} >= {"1.0.0/1"}
    assert all("/" not in each["version"] for each in client.list_images()["imageVersionList"])


def test_dates_have_milliseconds(emulated: Any) -> None:
    """As the service writes them."""
    created = emulated.image_builder.get_image(imageBuildVersionArn=arn("1.0.0/1"))["image"]["dateCreated"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", created)
