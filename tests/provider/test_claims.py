"""What the program still declares, by whatever resource, process or order."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pulumi_imagebuilder.claims import Claims

from tests.provider.simulated import arns
from tests.simulation.virtual_time import VirtualTimeLoop, run

ONE, TWO = arns(2)


def test_an_image_that_any_resource_declares_is_claimed() -> None:
    claims = Claims()
    claims.declare("new", [ONE])
    assert run(claims.unclaimed("old", [ONE, TWO])) == [TWO]
    assert run(claims.unclaimed("", [TWO])) == [TWO]


def test_a_resource_that_left_the_program_is_not_waited_for() -> None:
    """The engine deletes it once the program has ended."""
    loop = VirtualTimeLoop()
    claims = Claims(now=loop.time)
    claims.declare("new", [ONE])
    assert run(claims.unclaimed("old", [TWO]), loop) == [TWO]
    assert loop.time() == 0
    loop.close()


def test_what_other_resources_declare_is_waited_for_while_the_program_may_run() -> None:
    """A resource that is replaced may be deleted before others are declared: half a second of quiet ends the wait."""
    loop = VirtualTimeLoop()
    claims = Claims(now=loop.time)
    claims.declare("replaced", [ONE])
    loop.call_later(0.4, claims.declare, "another", [])
    loop.call_later(0.8, claims.declare, "mine", [TWO])
    assert run(claims.unclaimed("replaced", [TWO]), loop) == []
    assert 1.3 <= loop.time() < 1.45
    loop.close()


def test_the_wait_for_a_program_that_does_not_end_is_five_seconds() -> None:
    loop = VirtualTimeLoop()
    claims = Claims(now=loop.time)
    claims.declare("replaced", [ONE])
    for tenth in range(100):
        loop.call_later(tenth / 10, claims.declare, f"another {tenth}", [])
    assert run(claims.unclaimed("replaced", [TWO]), loop) == [TWO]
    assert 5 <= loop.time() < 5.2
    loop.close()


OTHER_PROCESS = """
import sys
from pathlib import Path
from pulumi_imagebuilder.claims import Claims
claims = Claims(sys.argv[1], Path(sys.argv[2]))
claims.declare("urn", sys.argv[3:])
print("declared", flush=True)
sys.stdin.read()
"""


def test_what_another_process_of_the_run_declares_is_claimed_as_long_as_it_lives(tmp_path: Path) -> None:
    folder = tmp_path / "claims"
    mine = Claims("127.0.0.1:1", folder)
    elsewhere = Claims("127.0.0.1:2", folder)
    command = [sys.executable, "-c", OTHER_PROCESS, "127.0.0.1:1", str(folder), ONE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"declared\n"
        assert run(mine.unclaimed("old", [ONE, TWO])) == [TWO]
        assert run(elsewhere.unclaimed("old", [ONE])) == [ONE]
        assert mine._last_declared() > 0
        other.communicate()
    assert run(mine.unclaimed("old", [ONE])) == [ONE]
    mine.declare("urn", [TWO])
    assert [path.name for path in folder.iterdir()] == [f"127-0-0-1-1.{os.getpid()}"]


@pytest.mark.skipif(os.name == "nt", reason="there is no mode")
def test_a_folder_that_others_can_write_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / "claims"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    claims = Claims("127.0.0.1:1", folder)
    claims.declare("urn", [ONE])
    assert list(folder.iterdir()) == []
    assert run(claims.unclaimed("old", [ONE, TWO])) == [TWO]
