"""Declare the lifecycle state of EC2 Image Builder images in a Pulumi program."""

from ._version import __version__

__all__ = ["__version__"]
