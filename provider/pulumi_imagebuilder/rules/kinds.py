"""The three things a program can declare."""

from __future__ import annotations

import enum


class Kind(enum.Enum):
    """What is declared; the value is the name of its resource class."""

    SINGLE = "ResourceStateUpdate"
    FLEET = "FleetStateUpdate"
    CLEANUP = "ImageCleanup"


DEFAULTS = {"wait": True, "on_destroy": "retain"}
"""What the arguments that a state update has beside the service's own mean when they are left out."""

ON_DESTROY = ("retain", "cancel", "restore")
