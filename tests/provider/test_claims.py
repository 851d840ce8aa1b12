"""What the program still declares, by whatever resource, process or order."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pulumi_imagebuilder.claims import Claims

from tests.simulation.virtual_time import VirtualTimeLoop
from tests.simulation.virtual_time import run as run_virtually

RUN = "127.0.0.1:4711"
ONE, TWO = (f"arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/{build}" for build in (1, 2))

OTHER_PROCESS = """
import sys
from pathlib import Path
from pulumi_imagebuilder.claims import Claims
claims = Claims(sys.argv[1], Path(sys.argv[2]))
claims.declare("urn", sys.argv[3:])
print("declared", flush=True)
sys.stdin.read()
"""


def start(folder: Path, run: str, *arns: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER_PROCESS, run, str(folder), *arns],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "declared\n"
    return process


def unclaimed(claims: Claims) -> list[str]:
    return asyncio.run(claims.unclaimed([ONE, TWO]))


def test_what_this_process_declares() -> None:
    """Is claimed, by whatever resource."""
    claims = Claims()
    assert unclaimed(claims) == [ONE, TWO]
    claims.declare("urn", [ONE])
    assert unclaimed(claims) == [TWO]


def test_what_another_process_of_the_run_declares(tmp_path: Path) -> None:
    """Is claimed as long as that process lives: one that ended before, as that of a preview, declares nothing."""
    claims = Claims(RUN, tmp_path / "claims")
    claims.declare("urn", [])
    with start(tmp_path / "claims", RUN, ONE) as process:
        assert unclaimed(claims) == [TWO]
        process.kill()
    assert unclaimed(claims) == [ONE, TWO]


def test_what_a_process_of_another_run_declares(tmp_path: Path) -> None:
    """Is not claimed: another stack."""
    claims = Claims(RUN, tmp_path / "claims")
    with start(tmp_path / "claims", "127.0.0.1:4712", ONE) as process:
        assert unclaimed(claims) == [ONE, TWO]
        process.kill()


def test_files_of_processes_that_have_ended_are_removed(tmp_path: Path) -> None:
    """The folder does not grow, and others cannot read it."""
    folder = tmp_path / "claims"
    for _ in range(2):
        with start(folder, RUN, ONE) as process:
            process.kill()
    Claims(RUN, folder).declare("urn", [TWO])
    (left,) = folder.iterdir()
    assert left.name.endswith(f".{os.getpid()}")
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o701, 0o710, 0o704])
def test_a_folder_that_others_can_write_to_is_not_used(tmp_path: Path, mode: int) -> None:
    """What somebody else put there would keep images from being undone."""
    folder = tmp_path / "claims"
    folder.mkdir()
    folder.chmod(mode)
    claims = Claims(RUN, folder)
    claims.declare("urn", [ONE])
    assert list(folder.iterdir()) == []
    (folder / "127-0-0-1-4711.1").write_text(f'"{TWO}"\n', encoding="utf-8")
    assert unclaimed(claims) == [TWO]


@pytest.mark.parametrize("run", [None, ""])
def test_without_an_engine(run: str | None, tmp_path: Path) -> None:
    """There is nothing to have in common with others."""
    claims = Claims(run, tmp_path / "claims")
    claims.declare("urn", [ONE])
    assert unclaimed(claims) == [TWO]
    assert not (tmp_path / "claims").exists()


def test_a_run_in_which_nothing_is_declared_is_not_waited_for() -> None:
    """As a destroy."""
    loop = VirtualTimeLoop()
    claims = Claims(now=loop.time)
    assert run_virtually(claims.unclaimed([TWO]), loop) == [TWO]
    assert loop.time() == 0
    loop.close()


def test_what_other_resources_declare_is_waited_for_while_the_program_may_run() -> None:
    """A resource that is replaced may be deleted before others are declared: half a second of quiet ends the wait."""
    loop = VirtualTimeLoop()
    claims = Claims(now=loop.time)
    claims.declare("replaced", [ONE])
    loop.call_later(0.4, claims.declare, "another", [])
    loop.call_later(0.8, claims.declare, "mine", [TWO])
    assert run_virtually(claims.unclaimed([TWO]), loop) == []
    assert 1.3 <= loop.time() < 1.45
    loop.close()


def test_the_wait_for_a_program_that_does_not_end_is_five_seconds() -> None:
    loop = VirtualTimeLoop()
    claims = Claims(now=loop.time)
    claims.declare("replaced", [ONE])
    for tenth in range(100):
        loop.call_later(tenth / 10, claims.declare, f"another {tenth}", [])
    assert run_virtually(claims.unclaimed([TWO]), loop) == [TWO]
    assert 5 <= loop.time() < 5.2
    loop.close()


def test_the_files_are_in_the_systems_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    Claims(RUN).declare("urn", [ONE])
    (folder,) = tmp_path.iterdir()
    assert folder.name == f"pulumi-imagebuilder-{os.getuid()}"
    assert [path.read_text(encoding="utf-8") for path in folder.iterdir()] == [f'"{ONE}"\n']


def test_a_line_that_is_not_written_to_its_end_yet_claims_nothing(tmp_path: Path) -> None:
    """Those before it do."""
    folder = tmp_path / "claims"
    claims = Claims(RUN, folder)
    claims.declare("urn", [])
    with start(folder, RUN, ONE) as process:
        (other,) = (path for path in folder.iterdir() if not path.name.endswith(f".{os.getpid()}"))
        with other.open("a", encoding="utf-8") as file:
            file.write('"arn:')
        assert unclaimed(claims) == [TWO]
        process.kill()


def test_the_files_of_processes_that_run_stay(tmp_path: Path) -> None:
    """Whichever of them begins first; and each of them sees what this one declares."""
    folder = tmp_path / "claims"
    with start(folder, RUN, ONE) as process:
        claims = Claims(RUN, folder)
        claims.declare("urn", [TWO])
        assert unclaimed(claims) == []
        assert len(list(folder.iterdir())) == 2
        script = f"""
import asyncio
from pathlib import Path
from pulumi_imagebuilder.claims import Claims
print(asyncio.run(Claims({RUN!r}, Path({str(folder)!r})).unclaimed([{ONE!r}, {TWO!r}])))
"""
        seen = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert seen.stdout == "[]\n"
        process.kill()


def test_who_else_declares_an_image_in_another_state_is_returned() -> None:
    claims = Claims()
    assert claims.declare("first", [ONE, TWO], "DISABLED") == {}
    assert claims.declare("same", [ONE], "DISABLED") == {}
    assert claims.declare("clean-up", [ONE], None) == {}
    assert claims.declare("second", [TWO], "DEPRECATED") == {TWO: ("first", "DISABLED")}
    assert claims.declare("first", [ONE, TWO], "DEPRECATED") == {ONE: ("same", "DISABLED")}
