"""Carry out the engine's calls for each kind of resource: check, diff, create, update, read, delete."""

from .base import Handler, ResourceDiff, Result
from .cleanup import CleanupHandler
from .updates import FleetHandler, StateUpdateHandler

__all__ = ["HANDLERS", "Handler", "ResourceDiff", "Result"]

HANDLERS: tuple[type[Handler], ...] = (StateUpdateHandler, FleetHandler, CleanupHandler)
"""The handlers of all kinds of resources."""
