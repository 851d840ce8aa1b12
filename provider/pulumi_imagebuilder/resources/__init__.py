"""What users declare: the resource classes and their Args. Nothing here knows AWS or makes a call."""

from .args import AmiExclusionRulesArgs, ExclusionRulesArgs, IncludeResourcesArgs, LastLaunchedArgs
from .build_versions import ImageBuildVersion, get_image_build_versions, get_image_build_versions_output
from .cleanup import ImageCleanup
from .fleet import FleetStateUpdate
from .state_update import ResourceStateUpdate

__all__ = [
    "AmiExclusionRulesArgs",
    "ExclusionRulesArgs",
    "FleetStateUpdate",
    "ImageBuildVersion",
    "ImageCleanup",
    "IncludeResourcesArgs",
    "LastLaunchedArgs",
    "ResourceStateUpdate",
    "get_image_build_versions",
    "get_image_build_versions_output",
]
