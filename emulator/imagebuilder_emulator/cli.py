"""The command ``imagebuilder-emulator``."""

from __future__ import annotations

import argparse
import gc
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from .clock import parse_duration
from .variants import parse_variants


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="imagebuilder-emulator",
        description="EC2 Image Builder on this machine, with EC2, ECR, IAM, STS, S3, Systems Manager and Auto Scaling.",
    )
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0, the default, takes a free one")
    parser.add_argument("--seed", type=Path, metavar="FILE", help="roles and images to begin with, YAML or JSON")
    parser.add_argument(
        "--execution-time",
        type=_duration,
        default=timedelta(seconds=5),
        metavar="TIME",
        help="how long a lifecycle execution takes, as 5s (the default), 200ms or 1m",
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="FAULT",
        help="what goes wrong, as 'GetImage 503 first=2' or 'execution fail region=eu-west-1'; may be repeated",
    )
    parser.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="load this file if it is there, in place of the seed; save it at the end",
    )
    parser.add_argument(
        "--variant",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a reading of what AWS's documentation leaves open, as schedule-status=PENDING; may be repeated",
    )
    options = parser.parse_args(arguments)

    try:
        variants = parse_variants(options.variant)
    except ValueError as error:
        print(f"imagebuilder-emulator: {error}", file=sys.stderr)
        return 2

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    # moto is slow to import: a mistake in the options is reported before that. It reads large tables, which the garbage
    # collector would go through again and again in vain: without it, the start takes a third less.
    gc.disable()
    try:
        from .emulator import Emulator
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing == __package__:
            raise
        print(
            f"imagebuilder-emulator: the package {missing!r} is not installed; run `pip install imagebuilder-emulator`",
            file=sys.stderr,
        )
        return 2

    try:
        emulator = Emulator(
            options.seed,
            execution_time=options.execution_time,
            faults=options.fault,
            variants=variants,
            state=options.state,
            port=options.port,
        )
    except (ValueError, OSError) as error:
        print(f"imagebuilder-emulator: {error}", file=sys.stderr)
        return 2
    gc.collect()
    gc.freeze()
    gc.enable()
    with emulator:
        print(f"Listening on {emulator.url}", flush=True)
        print(f"Console on {emulator.url}/console", flush=True)
        stop.wait()
    return 0


def _duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
