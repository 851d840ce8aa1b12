"""Declare the lifecycle state of EC2 Image Builder images in a Pulumi program."""

from ._version import __version__
from .resources import (
    AmiExclusionRulesArgs,
    ExclusionRulesArgs,
    ImageCleanup,
    IncludeResourcesArgs,
    LastLaunchedArgs,
    ResourceStateUpdate,
)

__all__ = [
    "AmiExclusionRulesArgs",
    "ExclusionRulesArgs",
    "ImageCleanup",
    "IncludeResourcesArgs",
    "LastLaunchedArgs",
    "ResourceStateUpdate",
    "__version__",
]
