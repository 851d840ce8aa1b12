"""What users declare: resources, their Args, and functions that list images. Nothing here knows AWS."""

from .args import AmiExclusionRulesArgs, ExclusionRulesArgs, IncludeResourcesArgs, LastLaunchedArgs
from .cleanup import ImageCleanup
from .listings import (
    ImageBuildVersion,
    ImageReferences,
    get_image_build_versions,
    get_image_build_versions_output,
    get_image_references,
    get_image_references_output,
)
from .state_update import FleetStateUpdate, ResourceStateUpdate

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
    "get_image_build_versions",
    "get_image_build_versions_output",
    "get_image_references",
    "get_image_references_output",
]
