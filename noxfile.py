"""What pyproject.toml claims, tried: every Python, and the lowest versions of what the package needs.

`make versions` runs all of it; a Python that is not installed is skipped, and nox says so.
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
    asked = ["pyenv", "versions", "--bare"]
    installed = subprocess.run(asked, capture_output=True, text=True, check=True)
    os.environ["PYENV_VERSION"] = ":".join(reversed(installed.stdout.split()))

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)
TESTS = (
    "tests/provider",
    "tests/emulator",
    "tests/package",
    "tests/engine/test_state_update.py",
    "tests/engine/test_fleet.py",
    "tests/engine/test_checks.py",
)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The tests on a Python, with the newest of all else."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "pytest", *(session.posargs or TESTS))


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """The tests on the lowest Python, with the lowest of what the package needs."""
    needed = PROJECT["project"]["dependencies"]
    session.install("-e", ".[dev]", *(re.sub(r">=([\d.]+).*", r"==\1", each) for each in needed))
    session.run("python", "-m", "pytest", *(session.posargs or TESTS))


@nox.session(default=False)
def audit(session: nox.Session) -> None:
    """What the package and the emulator need, against the known vulnerabilities; wants the advisories' network."""
    session.install("-e", ".[aws,emulator]", "pip-audit")
    session.run("pip-audit", "--skip-editable", "--progress-spinner", "off")
