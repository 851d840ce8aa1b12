"""Recipes of images and containers, as far as they name what they are built from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .entities import parse_version
from .exceptions import InvalidRequestException, ResourceNotFoundException
from .moto_backends import format_time
from .serializers import latest_version_references


@dataclass(frozen=True)
class Recipe:
    """A recipe of a seed.

    Attributes:
        arn: of an ``image-recipe`` or a ``container-recipe``.
        parent_image: an AMI's id, an image's ARN, or a container image's URI.
        date_created: when it was created.
        instance_image: for a container recipe, the AMI of the instance that builds; None for Amazon's default.
        platform: as the service names it.
        tags: its tags.
    """

    arn: str
    parent_image: str
    date_created: datetime
    instance_image: str | None = None
    platform: str = "Linux"
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Return ``image-recipe`` or ``container-recipe``."""
        return self.arn.split(":", 5)[5].partition("/")[0]

    @property
    def region(self) -> str:
        """Return the region it is in."""
        return self.arn.split(":")[3]

    @property
    def account(self) -> str:
        """Return the account that owns it."""
        return self.arn.split(":")[4]

    @property
    def name(self) -> str:
        """Return its name."""
        return self.arn.split("/")[1]

    @property
    def version(self) -> str:
        """Return its semantic version."""
        return self.arn.split("/")[2]

    @property
    def images(self) -> tuple[str, ...]:
        """Return what it is built from."""
        return (self.parent_image, *([self.instance_image] if self.instance_image else []))


_FILTERS: Mapping[str, Callable[[Recipe], str]] = {
    "name": lambda recipe: recipe.name,
    "parentImage": lambda recipe: recipe.parent_image,
    "platform": lambda recipe: recipe.platform,
}
_CONTAINER_FILTERS = {**_FILTERS, "containerType": lambda recipe: "DOCKER"}


def select_recipes(recipes: Iterable[Recipe], kind: str, region: str, request: Mapping[str, Any]) -> list[Recipe]:
    """Return the recipes of a list request, by name and version.

    Args:
        recipes: all recipes.
        kind: ``image-recipe`` or ``container-recipe``.
        region: the region that was asked.
        request: with ``owner`` and ``filters``.

    Raises:
        InvalidRequestException: there is no such filter.
    """
    known = _FILTERS if kind == "image-recipe" else _CONTAINER_FILTERS
    filters = [(each.get("name", ""), each.get("values", [])) for each in request.get("filters", [])]
    unknown = next((name for name, _ in filters if name not in known), None)
    if unknown is not None:
        raise InvalidRequestException(f"The filter {unknown!r} is not one of {', '.join(known)}")
    found = [
        recipe
        for recipe in recipes
        if (recipe.kind, recipe.region, request.get("owner", "Self")) == (kind, region, "Self")
        and all(known[name](recipe) in values for name, values in filters)
    ]
    return sorted(found, key=lambda recipe: (recipe.name, recipe.account, parse_version(recipe.version)))


def find_recipe(recipes: Iterable[Recipe], arn: str, region: str) -> Recipe:
    """Return a recipe; of an ARN with ``x`` in its version the newest that matches.

    Raises:
        ResourceNotFoundException: there is none.
    """
    stem, _, version = arn.rpartition("/")
    numbers = parse_version(version)
    matching = [
        recipe
        for recipe in recipes
        if recipe.region == region
        and recipe.arn.rpartition("/")[0] == stem
        and numbers is not None
        and (parse_version(recipe.version) or [])[: len(numbers)] == numbers
    ]
    if not matching:
        raise ResourceNotFoundException(f"The resource {arn} was not found")
    return max(matching, key=lambda recipe: parse_version(recipe.version) or [])


def serialize_recipe_summary(recipe: Recipe) -> Mapping[str, Any]:
    """Return an ``ImageRecipeSummary`` or a ``ContainerRecipeSummary``."""
    return {
        "arn": recipe.arn,
        "containerType": "DOCKER",
        "name": recipe.name,
        "platform": recipe.platform,
        "owner": recipe.account,
        "parentImage": recipe.parent_image,
        "instanceImage": recipe.instance_image,
        "dateCreated": format_time(recipe.date_created),
        "tags": recipe.tags or None,
    }


def serialize_recipe(recipe: Recipe) -> Mapping[str, Any]:
    """Return the answer with an ``ImageRecipe`` or a ``ContainerRecipe``."""
    image = recipe.kind == "image-recipe"
    details = {
        **serialize_recipe_summary(recipe),
        "type": "AMI",
        "version": recipe.version,
        "instanceConfiguration": {"image": recipe.instance_image} if recipe.instance_image else None,
    }
    return {
        "imageRecipe" if image else "containerRecipe": details,
        "latestVersionReferences": latest_version_references(recipe.arn),
    }
