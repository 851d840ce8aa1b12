"""Declare the lifecycle state of EC2 Image Builder images in a Pulumi program."""

from ._version import __version__
from .resources import (
    AmiExclusionRulesArgs,
    ExclusionRulesArgs,
    FleetStateUpdate,
    ImageBuildVersion,
    ImageCleanup,
    ImageReferences,
    IncludeResourcesArgs,
    LastLaunchedArgs,
    ResourceStateUpdate,
    get_image_build_versions,
    get_image_build_versions_output,
    get_image_references,
    get_image_references_output,
)

__all__ = [
    "AmiExclusionRulesArgs",
    "ExclusionRulesArgs",
    "FleetStateUpdate",
    "ImageBuildVersion",
    "ImageCleanup",
    "ImageReferences",
    "IncludeResourcesArgs",
    "LastLaunchedArgs",
    "ResourceStateUpdate",
    "__version__",
    "get_image_build_versions",
    "get_image_build_versions_output",
    "get_image_references",
    "get_image_references_output",
]
