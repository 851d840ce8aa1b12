"""Look for what uses the AMIs of the images in standard input, without the rest of a run: `python -m bench.survey`.

Prints how many AMIs there are, and how many seconds that took.
"""

from __future__ import annotations

import asyncio
import sys
import time

from pulumi_imagebuilder.aws.service import Service
from pulumi_imagebuilder.lifecycle.fleet import RunContext


async def main() -> None:
    """Survey.

    Raises:
        SystemExit: something was not looked up.
    """
    began = time.monotonic()
    found = await RunContext(Service()).references.find(sys.stdin.read().split())
    if any(image.not_looked_up for image in found.values()):
        raise SystemExit("not all of it was looked up")
    print(sum(len(image.amis) for image in found.values()), time.monotonic() - began)


if __name__ == "__main__":
    asyncio.run(main())
