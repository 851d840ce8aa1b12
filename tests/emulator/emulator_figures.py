"""Measure how long the emulator takes to start, what memory it takes, and how fast it answers.

python tests/emulator/emulator_figures.py [--images 1000]
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from many_clients import HEADERS

ARN = "arn:aws:imagebuilder:us-east-1:123456789012:image/web-{}/1.0.0/1"
COMMAND = Path(sys.executable).with_name("imagebuilder-emulator")


@contextlib.contextmanager
def running(*options: str) -> Iterator[tuple[int, int, float]]:
    """The command; yields its port, its process id and the seconds until it listened."""
    begun = time.monotonic()
    with subprocess.Popen([COMMAND, *options], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            yield int(line.rpartition(":")[2]), process.pid, time.monotonic() - begun
        finally:
            process.terminate()


def memory(pid: int) -> int:
    """The resident memory of a process, in MiB."""
    told = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return round(int(told.stdout) / 1024)


def execute_all(connection: http.client.HTTPConnection, images: int) -> float:
    """Start an execution for each image; returns the requests a second."""
    begun = time.monotonic()
    for number in range(images):
        body = {
            "resourceArn": ARN.format(number),
            "state": {"status": "DEPRECATED"},
            "executionRole": "ImageLifecycle",
            "includeResources": {"amis": True},
            "clientToken": f"token-{number}",
        }
        ask(connection, "PUT", "/StartResourceStateUpdate", body)
    return images / (time.monotonic() - begun)


def read_all(connection: http.client.HTTPConnection, images: int) -> float:
    """Ask for each image's executions and their resources; returns the requests a second."""
    begun = time.monotonic()
    for number in range(images):
        arn = ARN.format(number)
        (found,) = ask(connection, "POST", "/ListLifecycleExecutions", {"resourceArn": arn})["lifecycleExecutions"]
        asked = {"lifecycleExecutionId": found["lifecycleExecutionId"], "parentResourceId": arn}
        ask(connection, "POST", "/ListLifecycleExecutionResources", asked)
        ask(connection, "GET", f"/GetImage?imageBuildVersionArn={arn}")
    return 3 * images / (time.monotonic() - begun)


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: Any = None) -> Any:
    """The answer, which must be a good one."""
    connection.request(method, path, json.dumps(body) if body else None, HEADERS)
    answer = connection.getresponse()
    told = json.load(answer)
    assert answer.status == 200, told
    return told


def main() -> int:
    """Print the figures; returns the exit code."""
    parser = argparse.ArgumentParser(description="Measure the emulator.")
    parser.add_argument("--images", type=int, default=1000)
    images: int = parser.parse_args().images
    starts = []
    before = os.times()
    for _ in range(5):
        with running() as (_, pid, seconds):
            starts.append(seconds)
            empty = memory(pid)
    after = os.times()
    work = (after.children_user + after.children_system - before.children_user - before.children_system) / 5
    print(f"start-up: {statistics.median(starts):.2f} s, the median of 5 from {min(starts):.2f} to {max(starts):.2f} s")
    print(f"of the processor, start and end together take {work:.2f} s")
    print(f"memory, empty: {empty} MiB")
    amis = [{"region": region} for region in ("us-east-1", "eu-west-1")]
    seed = {
        "roles": ["ImageLifecycle"],
        "images": [{"arn": ARN.format(number), "amis": amis} for number in range(images)],
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "seed.json")
        path.write_text(json.dumps(seed), encoding="utf-8")
        with running("--seed", str(path), "--execution-time", "1s") as (port, pid, seconds):
            print(f"memory with {images} images of two AMIs each: {memory(pid)} MiB; start-up {seconds:.2f} s")
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
                begun = execute_all(connection, images)
                read = read_all(connection, images)
                print(f"memory after {images} executions: {memory(pid)} MiB")
                print(f"one client after another: {begun:.0f} executions begun a second, {read:.0f} reads a second")
    return 0


if __name__ == "__main__":
    sys.exit(main())
