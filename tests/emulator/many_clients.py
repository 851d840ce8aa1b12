"""Fifty clients at once for a minute, on two hundred images that they fight over.

Each starts changes, some with a token that another uses at the same moment, asks for them again, follows and cancels
them. In the end everything that was answered must be there, once, and no two executions of an image may have
overlapped.

    python tests/emulator/many_clients.py [--seconds 60] [--clients 50]
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

IMAGES = [f"arn:aws:imagebuilder:us-east-1:123456789012:image/web-{number}/1.0.0/1" for number in range(200)]
TARGETS = ("DISABLED", "AVAILABLE", "DEPRECATED")
HEADERS = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/imagebuilder/aws4_request, SignedHeaders=host, "
    "Signature=0",
    "Content-Type": "application/json",
}
_ORDER = {"PENDING": 0, "IN_PROGRESS": 1, "CANCELLING": 2, "SUCCESS": 3, "CANCELLED": 3}


@dataclass
class Figures:
    """What a run did."""

    clients: int
    seconds: float
    requests: int
    executions: int
    cancelled: int
    in_use: int
    latencies: list[float]

    def __str__(self) -> str:
        """One line for a person."""
        within = [f"{each * 1000:.0f} ms" for each in statistics.quantiles(self.latencies, n=100)]
        return (
            f"{self.clients} clients in {self.seconds:.0f} s: {self.requests} requests, "
            f"{self.requests / self.seconds:.0f} a second, half within {within[49]}, 99 % within {within[98]}; "
            f"{self.executions} executions, {self.cancelled} of them cancelled, {self.in_use} refused as in use; "
            "nothing lost, nothing twice, no rule broken"
        )


@dataclass(eq=False)
class Client:
    """One of the clients; what it saw is checked in the end.

    Attributes:
        started: the execution that each token was answered with.
        seen: the last status seen of each execution.
        wrong: what no client should see.
    """

    port: int
    shared: list[tuple[str, str, str]]
    chance: random.Random
    started: dict[str, str] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    requests: Counter[str] = field(default_factory=Counter)
    in_use: int = 0
    latencies: list[float] = field(default_factory=list)

    def run(self, until: float) -> None:
        """Ask until it is time."""
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        number = 0
        while time.monotonic() < until and not self.wrong:
            number += 1
            if self.chance.random() < 0.3:
                self._start(*self.chance.choice(self.shared))
            else:
                token = f"{id(self):x}-{number}"
                self._start(token, self.chance.choice(IMAGES), self.chance.choice(TARGETS))
            for _ in range(3):
                self._follow()
        self._connection.close()

    def ask(self, operation: str, method: str, path: str, body: Any = None) -> tuple[str, Any]:
        """The error's code, empty for none, and the answer."""
        begun = time.monotonic()
        self._connection.request(method, f"/{path}", json.dumps(body) if body else None, HEADERS)
        answer = self._connection.getresponse()
        text = answer.read()
        self.latencies.append(time.monotonic() - begun)
        self.requests[f"imagebuilder:{operation}"] += 1
        if answer.status >= 500:
            self.wrong.append(f"{operation} was answered with {answer.status}: {text!r}")
        return answer.headers.get("x-amzn-errortype", ""), json.loads(text)

    def _start(self, token: str, arn: str, target: str) -> None:
        body = {
            "resourceArn": arn,
            "state": {"status": target},
            "executionRole": "ImageLifecycle",
            "includeResources": {"amis": True},
            "clientToken": token,
        }
        code, answer = self.ask("StartResourceStateUpdate", "PUT", "StartResourceStateUpdate", body)
        if code == "ResourceInUseException":
            self.in_use += 1
        elif code:
            self.wrong.append(f"{token} was refused as {code}: {answer}")
        elif self.started.setdefault(token, answer["lifecycleExecutionId"]) != answer["lifecycleExecutionId"]:
            self.wrong.append(f"{token} was answered with two executions")

    def _follow(self) -> None:
        if not self.started:
            return
        execution_id = self.chance.choice(list(self.started.values())[-5:])
        if self.chance.random() < 0.1:
            body = {"lifecycleExecutionId": execution_id, "clientToken": f"{id(self):x}-{len(self.latencies)}"}
            code, answer = self.ask("CancelLifecycleExecution", "PUT", "CancelLifecycleExecution", body)
            if code not in {"", "InvalidRequestException"}:
                self.wrong.append(f"{execution_id} could not be cancelled: {code}: {answer}")
        path = f"GetLifecycleExecution?lifecycleExecutionId={execution_id}"
        code, answer = self.ask("GetLifecycleExecution", "GET", path)
        status = code or answer["lifecycleExecution"]["state"]["status"]
        before = self.seen.get(execution_id, "PENDING")
        if _ORDER.get(status, -1) < _ORDER[before] or (_ORDER[before] == 3 and status != before):
            self.wrong.append(f"{execution_id} was {before} and is {status}")
        self.seen[execution_id] = status


def run(url: str, seconds: float, clients: int = 50, seed: int = 1) -> Figures:
    """Let the clients loose on an emulator that has `IMAGES`, and check what is there afterwards.

    Raises:
        AssertionError: something was lost, came twice or broke a rule; the text says what.
    """
    port = int(url.rpartition(":")[2])
    chance = random.Random(seed)
    shared = [(f"shared-{number}", chance.choice(IMAGES), chance.choice(TARGETS)) for number in range(2000)]
    crowd = [Client(port, shared, random.Random(seed * 1000 + number)) for number in range(clients)]
    begun = time.monotonic()
    threads = [threading.Thread(target=client.run, args=(begun + seconds,)) for client in crowd]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - begun
    wrong = [text for client in crowd for text in client.wrong]
    assert not wrong, "\n".join(wrong)
    asked = sum((client.requests for client in crowd), Counter())
    with urllib.request.urlopen(f"{url}/_emulator/requests/counts") as answer:
        assert json.load(answer) == dict(sorted(asked.items())), "the emulator noted other requests than were sent"
    # What is under way ends at the next request.
    later = urllib.request.Request(
        f"{url}/_emulator/clock", b'{"advance": "1h"}', {"Content-Type": "application/json"}, method="POST"
    )
    urllib.request.urlopen(later).close()
    cancelled = check(port, crowd)
    return Figures(
        clients=clients,
        seconds=took,
        requests=asked.total(),
        executions=len({each for client in crowd for each in client.started.values()}),
        cancelled=cancelled,
        in_use=sum(client.in_use for client in crowd),
        latencies=[each for client in crowd for each in client.latencies],
    )


def check(port: int, crowd: list[Client]) -> int:
    """Compare what the clients were told with what is there; returns how many executions were cancelled."""
    answered: defaultdict[str, set[str]] = defaultdict(set)
    for client in crowd:
        for token, execution_id in client.started.items():
            answered[token].add(execution_id)
    assert all(len(ids) == 1 for ids in answered.values()), "a token was answered with two executions"
    told = [execution_id for ids in answered.values() for execution_id in ids]
    assert len(told) == len(set(told)), "two tokens were answered with one execution"
    reader = Client(port, [], random.Random(0))
    reader._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    there: list[str] = []
    cancelled = 0
    for arn in IMAGES:
        executions = executions_of(reader, arn)
        there += [each["lifecycleExecutionId"] for each in executions]
        statuses = {each["state"]["status"] for each in executions}
        assert statuses <= {"SUCCESS", "CANCELLED"}, f"{arn} has executions that are {statuses}"
        cancelled += sum(each["state"]["status"] == "CANCELLED" for each in executions)
        for later, earlier in itertools.pairwise(executions):
            assert earlier["endTime"] <= later["startTime"], f"two executions of {arn} overlapped"
    reader._connection.close()
    assert sorted(there) == sorted(told), "executions are there that no client was told of, or the other way round"
    return cancelled


def executions_of(reader: Client, arn: str) -> list[Any]:
    """All executions of an image, newest first."""
    found: list[Any] = []
    token: dict[str, str] = {}
    while True:
        body = {"resourceArn": arn, "maxResults": 100, **token}
        code, answer = reader.ask("ListLifecycleExecutions", "POST", "ListLifecycleExecutions", body)
        assert not code, answer
        found += answer["lifecycleExecutions"]
        if "nextToken" not in answer:
            return found
        token = {"nextToken": answer["nextToken"]}


def alone(seconds: float, clients: int = 50) -> Figures:
    """Run against an emulator in a process of its own."""
    seed = {
        "roles": ["ImageLifecycle"],
        "images": [{"arn": arn, "amis": [{}, {"region": "eu-west-1"}]} for arn in IMAGES],
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "seed.json")
        path.write_text(json.dumps(seed), encoding="utf-8")
        command = [Path(sys.executable).with_name("imagebuilder-emulator"), "--seed", path, "--execution-time", "300ms"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                return run(process.stdout.readline().removeprefix("Listening on ").strip(), seconds, clients)
            finally:
                process.terminate()


def main() -> int:
    """Print the figures; returns the exit code."""
    parser = argparse.ArgumentParser(description="Ask an emulator by many clients at once.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=50)
    options = parser.parse_args()
    print(alone(options.seconds, options.clients))
    return 0


if __name__ == "__main__":
    sys.exit(main())
