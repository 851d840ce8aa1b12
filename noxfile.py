"""Every Python and the lowest versions that the two pyproject.toml claim: `make versions` runs all of it.

A Python that is not installed is skipped, and nox says so.
"""

import os
import re
import shutil
import subprocess

import nox

nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True

if shutil.which("pyenv"):
    # Its commands of another version than the folder's do not run otherwise.
    command = ["pyenv", "versions", "--bare"]
    installed = subprocess.run(command, capture_output=True, text=True, check=True)
    os.environ["PYENV_VERSION"] = ":".join(reversed(installed.stdout.split()))

PROJECT = nox.project.load_toml("pyproject.toml")["project"]
EMULATOR = nox.project.load_toml("emulator/pyproject.toml")["project"]
PYTHONS = nox.project.python_versions({"project": PROJECT})
EDITABLE = ("-e", "emulator", "-e", ".[dev]")
TESTS = (
    "tests/provider",
    "tests/emulator",
    "tests/package",
    "tests/engine/test_state_update.py",
    "tests/engine/test_fleet.py",
    "tests/engine/test_checks.py",
)


def run_tests(session: nox.Session, *pinned: str) -> None:
    """Install both packages and run the tests.

    Args:
        session: where.
        pinned: versions beside what the packages ask for.
    """
    session.install("--upgrade", *EDITABLE, *pinned)
    session.run("python", "-m", "pip", "list", "--format", "freeze")
    session.run("python", "-m", "pytest", "-n", "2", *(session.posargs or TESTS))


@nox.session(python=PYTHONS)
def newest(session: nox.Session) -> None:
    """The tests on a Python, with the newest of all else."""
    run_tests(session)


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """The tests on the lowest Python, with the lowest of what both packages need."""
    needed = {*PROJECT["dependencies"], *EMULATOR["dependencies"]}
    # boto3 takes any later botocore of its series, and the service model is botocore's.
    needed |= {requirement.replace("boto3", "botocore") for requirement in needed}
    run_tests(session, *sorted(re.sub(r">=([\d.]+).*", r"==\1", requirement) for requirement in needed))


@nox.session(default=False)
def audit(session: nox.Session) -> None:
    """Compare what both packages need with the known vulnerabilities; wants the advisories' network."""
    session.install("-e", "emulator", "-e", ".[aws,emulator]", "pip-audit")
    session.run("pip-audit", "--skip-editable", "--progress-spinner", "off")
