"""A headless Chromium, where one is installed, to look at the emulator's console with."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> tuple[str, str] | None:
    """Return the paths of a browser and its driver on PATH; None where either is missing."""
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


def version(browser: str) -> str:
    """Return a browser's name and version, such as ``Chromium 140.0``."""
    output = subprocess.run([browser, "--version"], capture_output=True, text=True, check=True).stdout
    return " ".join(output.split()[:2])


@contextlib.contextmanager
def chromium(width: int = 1440, height: int = 900, scale: float = 1) -> Iterator[Chrome]:
    """Open a window of the browser, without a screen.

    Args:
        width: of the page, in its own pixels.
        height: of the page, in its own pixels.
        scale: pixels of a screenshot for one of the page's.

    Raises:
        RuntimeError: there is no browser, or no driver for it.
    """
    found = find()
    if found is None:
        raise RuntimeError("Chromium and chromedriver must be on PATH; `make browser` installs them on Debian")
    # Both paths are given: else Selenium would look for a browser to download.
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = found[0]
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for argument in (
        "--headless=new",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        f"--window-size={width},{height}",
        f"--force-device-scale-factor={scale:g}",
        # Chromium's sandbox refuses to run as root, which is what CI often is; the only page it sees is ours.
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
    ):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service(found[1]))
    try:
        yield driver
    finally:
        driver.quit()
