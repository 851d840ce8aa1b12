"""What users declare: the resource classes and their Args. Nothing here knows AWS or makes a call."""

from .args import AmiExclusionRulesArgs, ExclusionRulesArgs, IncludeResourcesArgs, LastLaunchedArgs
from .cleanup import ImageCleanup
from .state_update import ResourceStateUpdate

__all__ = [
    "AmiExclusionRulesArgs",
    "ExclusionRulesArgs",
    "ImageCleanup",
    "IncludeResourcesArgs",
    "LastLaunchedArgs",
    "ResourceStateUpdate",
]
