"""Recipes of a seed, as ``ListImageRecipes`` and its like show them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import Emulated
from imagebuilder_emulator.emulator import Emulator

HERE = "arn:aws:imagebuilder:us-east-1:123456789012"
WEB = f"{HERE}:image/web/1.0.0/1"
SEED = {
    "images": [
        {
            "arn": WEB,
            "amis": [
                {
                    "used_by": {
                        "recipes": [
                            {"name": "child", "version": version} for version in ("1.0.0", "1.2.0", "1.10.0", "2.0.0")
                        ]
                        + [
                            {"name": "by-arn", "parent": "image"},
                            {"name": "box", "kind": "container"},
                            {"name": "box-by-arn", "kind": "container", "parent": "image"},
                        ]
                    }
                },
                {"region": "eu-west-1", "used_by": {"recipes": ["elsewhere", {"name": "home", "parent": "image"}]}},
            ],
        }
    ]
}


@pytest.fixture(scope="module")
def running(running_of: Callable[[Emulator], Emulated]) -> Iterator[Emulated]:
    with Emulator(SEED) as emulator:
        yield running_of(emulator)


def names(recipes: list[dict[str, Any]]) -> list[str]:
    return [recipe["arn"].split("/", 1)[1] for recipe in recipes]


def test_image_recipes_are_listed_with_their_parents(emulated: Emulated) -> None:
    """By name and version; an AMI's id, or the ARN of the build; those of another region are listed there."""
    recipes = emulated.image_builder.list_image_recipes()["imageRecipeSummaryList"]
    assert names(recipes) == [
        "by-arn/1.0.0",
        "child/1.0.0",
        "child/1.2.0",
        "child/1.10.0",
        "child/2.0.0",
        "home/1.0.0",
    ]
    ami = emulated.amis()[0]["ImageId"]
    assert [recipe["parentImage"] for recipe in recipes] == [WEB, *[ami] * 4, WEB]
    elsewhere = emulated.client("imagebuilder", "eu-west-1").list_image_recipes()["imageRecipeSummaryList"]
    assert [recipe["parentImage"] for recipe in elsewhere] == [emulated.amis("eu-west-1")[0]["ImageId"]]


def test_container_recipes_name_the_ami_that_builds_them(emulated: Emulated) -> None:
    """Or the image that they are built from."""
    recipes = emulated.image_builder.list_container_recipes()["containerRecipeSummaryList"]
    assert [(recipe["name"], recipe["parentImage"], recipe.get("instanceImage")) for recipe in recipes] == [
        ("box", "amazonlinux:latest", emulated.amis()[0]["ImageId"]),
        ("box-by-arn", WEB, None),
    ]


@pytest.mark.parametrize(
    ("name", "values", "found"),
    [
        ("name", ["by-arn", "none"], ["by-arn/1.0.0"]),
        ("parentImage", [WEB], ["by-arn/1.0.0", "home/1.0.0"]),
        ("platform", ["Windows"], []),
    ],
)
def test_recipes_are_filtered(emulated: Emulated, name: str, values: list[str], found: list[str]) -> None:
    """Letter for letter."""
    filters = [{"name": name, "values": values}]
    assert names(emulated.image_builder.list_image_recipes(filters=filters)["imageRecipeSummaryList"]) == found


def test_a_filter_of_containers_is_none_of_images(emulated: Emulated) -> None:
    """The message has those that are known."""
    filters = [{"name": "containerType", "values": ["DOCKER"]}]
    assert len(emulated.image_builder.list_container_recipes(filters=filters)["containerRecipeSummaryList"]) == 2
    assert emulated.refused(lambda: emulated.image_builder.list_image_recipes(filters=filters)) == (
        "InvalidRequestException",
        400,
        "The filter 'containerType' is not one of name, parentImage, platform",
    )


def test_recipes_of_others_are_not_listed(emulated: Emulated) -> None:
    """There are none."""
    assert emulated.image_builder.list_image_recipes(owner="Amazon")["imageRecipeSummaryList"] == []


def test_recipes_come_in_pages(emulated: Emulated) -> None:
    """As all lists."""
    client = emulated.image_builder
    first = client.list_image_recipes(maxResults=4)
    second = client.list_image_recipes(maxResults=4, nextToken=first["nextToken"])
    assert [len(each["imageRecipeSummaryList"]) for each in (first, second)] == [4, 2]
    assert "nextToken" not in second


@pytest.mark.parametrize(
    ("asked", "found"),
    [("1.2.0", "1.2.0"), ("x.x.x", "2.0.0"), ("1.x.x", "1.10.0"), ("1.2.x", "1.2.0")],
)
def test_a_recipe_is_found_by_its_version(emulated: Emulated, asked: str, found: str) -> None:
    """Or with ``x`` the newest that matches."""
    answer = emulated.image_builder.get_image_recipe(imageRecipeArn=f"{HERE}:image-recipe/child/{asked}")
    recipe = answer["imageRecipe"]
    assert (recipe["arn"], recipe["version"]) == (f"{HERE}:image-recipe/child/{found}", found)
    assert (recipe["parentImage"], recipe["owner"]) == (emulated.amis()[0]["ImageId"], "123456789012")
    assert answer["latestVersionReferences"]["latestVersionArn"] == f"{HERE}:image-recipe/child/x.x.x"


def test_a_container_recipe_is_found(emulated: Emulated) -> None:
    """With the image of the instance that builds."""
    arn = f"{HERE}:container-recipe/box/1.0.0"
    recipe = emulated.image_builder.get_container_recipe(containerRecipeArn=arn)["containerRecipe"]
    assert recipe["instanceConfiguration"] == {"image": emulated.amis()[0]["ImageId"]}
    assert (recipe["arn"], recipe["containerType"]) == (arn, "DOCKER")


@pytest.mark.parametrize("asked", ["child/3.0.0", "child/x.1.x", "nobody/1.0.0", "elsewhere/1.0.0"])
def test_a_recipe_that_is_not_there(emulated: Emulated, asked: str) -> None:
    """Nor one of another region."""
    arn = f"{HERE}:image-recipe/{asked}"
    refused = emulated.refused(lambda: emulated.image_builder.get_image_recipe(imageRecipeArn=arn))
    assert refused == ("ResourceNotFoundException", 404, f"The resource {arn} was not found")
