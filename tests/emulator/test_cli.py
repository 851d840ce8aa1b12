"""The command: it serves until it is stopped, and each mistake is one line."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

ARN = "arn:aws:imagebuilder:us-east-1:123456789012:image/{}/1.0.0/1"
SEED = {"roles": ["ImageLifecycle"], "images": [{"arn": ARN.format(name)} for name in ("web", "app", "old")]}
VARIANT = ("--variant", "pages=short", "--variant", "cancel=in-use")


@contextlib.contextmanager
def command(*options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The command, running, with its first line."""
    program = Path(sys.executable).with_name("imagebuilder-emulator")
    with subprocess.Popen([program, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline(), process
        finally:
            process.kill()


def test_the_command_serves_until_sigterm_and_saves(tmp_path: Path) -> None:
    """It prints where it listens, has the faults it was given, and leaves the state file behind."""
    seed, state = tmp_path / "seed.json", tmp_path / "state.json"
    seed.write_text(json.dumps(SEED))
    with command("--seed", str(seed), "--state", str(state), "--fault", "GetImage 503 share=0", *VARIANT) as (
        line,
        process,
    ):
        url = line.removeprefix("Listening on ").strip()
        with urllib.request.urlopen(f"{url}/_emulator/faults") as answer:
            assert [each["fault"] for each in json.load(answer)] == ["GetImage 503 share=0"]
        with urllib.request.urlopen(f"{url}/_emulator/variants") as answer:
            assert {each["name"]: each["reading"] for each in json.load(answer)}["pages"] == "short"
        client = boto3.client(
            "imagebuilder", "us-east-1", endpoint_url=url, aws_access_key_id="a", aws_secret_access_key="b"
        )
        client.delete_image(imageBuildVersionArn=ARN.format("old"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert [image["arn"] for image in json.loads(state.read_text())["images"]] == [ARN.format("web"), ARN.format("app")]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--fault", "GetImage 600"], "imagebuilder-emulator: fault 'GetImage 600': '600' is no kind of fault; "),
        (["--seed", "/nowhere.yaml"], "imagebuilder-emulator: /nowhere.yaml cannot be read: No such file or directory"),
        (["--variant", "pages"], "imagebuilder-emulator: variant 'pages': expected NAME=VALUE, such as schedule-"),
        (["--variant", "page=short"], "imagebuilder-emulator: unknown variant 'page'; known are schedule-status, "),
        (
            ["--variant", "pages=tiny"],
            "imagebuilder-emulator: unknown reading 'tiny' of variant 'pages'; known are full, short\n",
        ),
        (["--execution-time", "soon"], "argument --execution-time: 'soon' is not a length of time such as 5s"),
    ],
)
def test_mistakes_on_the_command_line(options: list[str], line: str) -> None:
    """One line and exit code 2."""
    with command(*options) as (_, process):
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 2
    assert line in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("missing", ["moto", "yaml", "cattrs", "flask", "flask_cors", "werkzeug"])
def test_a_missing_dependency_is_one_line(missing: str) -> None:
    """It names the package and what to install; there is no traceback."""
    # None in sys.modules makes every import fail, as on a machine where the package is not installed.
    run = "from imagebuilder_emulator.cli import main; sys.exit(main([]))"
    program = f"import sys; sys.modules[{missing!r}] = None; {run}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (
        2,
        "",
        f"imagebuilder-emulator: the package {missing!r} is not installed; run `pip install imagebuilder-emulator`\n",
    )
