"""Start, adopt, await, cancel and describe state updates. Knows boto3, knows no Pulumi.

>>> import asyncio
>>> from pulumi_imagebuilder.aws import Service
>>> async def deprecate(arn):
...     client = ImageClient(Service(), arn, Progress(f"changing {arn} to DEPRECATED"))
...     change = Change(arn, {"state": {"status": "DEPRECATED"}})
...     return await within(3600, apply(change, client), client.progress)
"""

from .apply import apply
from .change import Change
from .cleanup import clean_up
from .client import ImageClient
from .destroy import cancel, restore
from .fleet import Work, each
from .fleet_progress import FleetProgress
from .fleet_record import FLEET_KEYS, drifted, pack, unpack
from .progress import STARTING, Progress
from .record import RECORD_KEYS, Record, kept, record, refresh
from .records import Execution, Image, Outcome, how_to_read_all
from .statuses import IMAGE_GONE
from .waiting import within

__all__ = [
    "FLEET_KEYS",
    "IMAGE_GONE",
    "RECORD_KEYS",
    "STARTING",
    "Change",
    "Execution",
    "FleetProgress",
    "Image",
    "ImageClient",
    "Outcome",
    "Progress",
    "Record",
    "Work",
    "apply",
    "cancel",
    "clean_up",
    "drifted",
    "each",
    "how_to_read_all",
    "kept",
    "pack",
    "record",
    "refresh",
    "restore",
    "unpack",
    "within",
]
