"""What happens in the life of each resource: validate, diff, create, update, read, delete; for both providers."""

from .base import Changed, Handler, Result
from .cleanup import CleanupHandler
from .updates import FleetHandler, StateUpdateHandler

__all__ = ["HANDLERS", "Changed", "CleanupHandler", "FleetHandler", "Handler", "Result", "StateUpdateHandler"]

HANDLERS: tuple[type[Handler], ...] = (StateUpdateHandler, FleetHandler, CleanupHandler)
"""The handlers of all kinds of resources."""
