"""The console in headless Chromium: collected where that is on PATH with its driver; a run tells at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from imagebuilder_emulator.emulator import Emulator
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from tools import browser

WEB = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
API = "arn:aws:imagebuilder:eu-west-1:123456789012:image/api/1.0.0/1"
SEED: dict[str, Any] = {
    "roles": ["ImageLifecycle"],
    "images": [
        {"arn": WEB, "amis": [{"region": "us-east-1", "snapshots": 2}, {"region": "eu-west-1"}]},
        {"arn": API, "type": "DOCKER", "containers": [{"region": "eu-west-1"}]},
    ],
}
AMIS = {"executionRole": "ImageLifecycle", "includeResources": {"amis": True}}


@pytest.fixture(scope="module")
def window() -> Iterator[Any]:
    with browser.chromium() as driver:
        yield driver


class Console:
    """The page, as a person sees it."""

    def __init__(self, window: Any) -> None:
        self._window = window

    def open(self, emulator: Emulator, path: str = "/console") -> None:
        self._window.get(f"{emulator.url}{path}")
        self.until(lambda: self.text("#live") == "live")

    def until(self, so: Callable[[], Any]) -> None:
        """Wait until something is so, as the page comes to show it by itself."""
        WebDriverWait(self._window, 20, poll_frequency=0.05).until(lambda _: so())

    def find(self, selector: str) -> Any:
        return self._window.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        """The text of the first of its kind; empty if there is none. Read at once, as the page may change meanwhile."""
        found: str = self._window.execute_script(
            "return document.querySelector(arguments[0])?.innerText ?? ''", selector
        )
        return found

    def count(self, selector: str) -> int:
        found: int = self._window.execute_script("return document.querySelectorAll(arguments[0]).length", selector)
        return found

    def errors(self) -> list[str]:
        """What the browser complained of."""
        return [each["message"] for each in self._window.get_log("browser")]


@pytest.fixture
def console(window: Any) -> Iterator[Console]:
    page = Console(window)
    page.errors()
    yield page
    window.get("about:blank")


def test_an_execution_is_followed_to_its_end(console: Console) -> None:
    """The page shows by itself what changes: progress, the image's state, its AMIs and snapshots by region."""
    with Emulator(SEED, execution_time="10s") as emulator:
        console.open(emulator, "/")
        image = f'[data-arn="{WEB}"]'
        assert console.text(f"{image} td:nth-child(3)").split() == (
            "eu-west-1 {} available 1 snapshot us-east-1 {} available 2 snapshots".format(
                *(
                    emulator.client("ec2", region).describe_images(Owners=["self"])["Images"][0]["ImageId"]
                    for region in ("eu-west-1", "us-east-1")
                )
            ).split()
        )
        assert "in ECR" in console.text(f'[data-arn="{API}"]')
        assert console.text("#executions") == "None so far."

        started = emulator.client("imagebuilder").start_resource_state_update(
            resourceArn=WEB, state={"status": "DEPRECATED"}, **AMIS
        )
        execution = f'[data-id="{started["lifecycleExecutionId"]}"]'
        console.until(lambda: "PENDING" in console.text(execution))
        emulator.clock.advance(timedelta(seconds=4.5))
        console.until(lambda: "1 of 2 resources" in console.text(execution))
        assert (console.count(f"{execution} .SUCCESS"), console.count(f"{execution} .steps .IN_PROGRESS")) == (1, 1)
        assert "→ DEPRECATED" in console.text(f"{image} td:nth-child(2)")
        emulator.clock.advance(timedelta(seconds=10))
        console.until(lambda: "SUCCESS" in console.text(execution))
        assert console.text(f"{image} td:nth-child(2)").startswith("DEPRECATED\nsince 20")
        assert console.count(f"{image} .deprecated") == 2
        assert "StartResourceStateUpdate" in console.text("#requests")
    assert console.errors() == []


def test_what_uses_an_ami_is_under_it(console: Console) -> None:
    """By kind: instances by their state, others by name, the first three; it follows what changes."""
    used_by = {
        "instances": {"running": 2, "stopped": 1},
        "launch_templates": ["web"],
        "parameters": ["/a", "/b", "/c", "/d"],
    }
    amis = [{"deregistration_protection": True, "used_by": used_by}, {"region": "eu-west-1"}]
    with Emulator({"images": [{"arn": WEB, "amis": amis}]}) as emulator:
        console.open(emulator)
        row = f'[data-arn="{WEB}"] td:nth-child(3)'
        assert "protected from deregistration" in console.text(row)
        assert (console.count(f"{row} .uses"), console.text(f"{row} .uses").replace("\xa0", " ")) == (
            1,
            "used by 3 instances (2 running, 1 stopped), launch template web, parameter /a, /b, /c and 1 more",
        )
        ssm = emulator.client("ssm")
        ssm.delete_parameters(Names=["/a", "/b", "/c"])
        console.until(lambda: console.text(f"{row} .uses").endswith("parameter /d"))
    assert console.errors() == []


def test_a_thousand_images_are_searched_and_paged(console: Console) -> None:
    """The page holds 50 rows and the newest executions however many there are; the rest is a click or a word away."""
    arns = [WEB.replace("web", f"web-{number:04}") for number in range(1000)]
    with Emulator({"roles": ["ImageLifecycle"], "images": [{"arn": arn} for arn in arns]}) as emulator:
        with emulator.lock:
            for number, arn in enumerate(arns):
                request = {"resourceArn": arn, "state": {"status": "DISABLED"}, "clientToken": str(number), **AMIS}
                emulator.backend.start_resource_state_update(request, "us-east-1")
        console.open(emulator)
        assert console.text("#shown") == "1 to 50 of 1000 images"
        assert (console.count("#images tr"), console.count("#executions .item")) == (50, 30)
        console.find("#next").click()
        console.until(lambda: console.text("#shown") == "51 to 100 of 1000 images")
        assert console.text("#images tr b") == "web-0050"
        console.find("#search").send_keys("web-0777")
        console.until(lambda: console.text("#shown") == "1 to 1 of 1 image (1000 in all)")
        emulator.clock.advance(timedelta(seconds=10))
        console.until(lambda: console.text("#images .pill") == "DISABLED")
        assert console.text("#statuses").strip() == "1000 SUCCESS"
    assert console.errors() == []


def test_images_are_chosen_by_state_and_region(console: Console) -> None:
    """A click on a state or a region leaves those alone, and another brings the rest back."""
    seed = {"images": [{"arn": WEB}, {"arn": API, "state": "DISABLED"}]}
    with Emulator(seed) as emulator:
        console.open(emulator)
        console.find("#states button:nth-of-type(2)").click()
        console.until(lambda: console.text("#shown") == "1 to 1 of 1 image (2 in all)")
        assert console.text("#images b") == "api"
        console.find("#states button:nth-of-type(2)").click()
        console.until(lambda: console.count("#images tr") == 2)
        Select(console.find("#region")).select_by_value("us-east-1")
        console.until(lambda: console.count("#images tr") == 1)
        assert console.text("#images b") == "web"


def test_what_comes_from_outside_is_text(console: Console) -> None:
    """Markup in a reason or a fault is shown as it was written, and runs nowhere; nor would it be allowed to."""
    hostile = "<img src=x onerror=document.title=1><script>document.title=2</script>"
    with Emulator(SEED, faults=[f"execution fail image=* reason='{hostile}'"]) as emulator:
        emulator.client("imagebuilder").start_resource_state_update(
            resourceArn=WEB, state={"status": "DISABLED"}, **AMIS
        )
        emulator.clock.advance(timedelta(seconds=10))
        console.open(emulator)
        assert hostile in console.text("#executions")
        assert hostile in console.text("#faults")
        assert (console.count("main img"), console.count("main script")) == (0, 0)
        blocked = """
            const made = document.createElement("script");
            made.textContent = "document.title = 3";
            document.body.append(made);
            return document.title;
        """
        assert console._window.execute_script(blocked) == "Image Builder emulator"
    (refused,) = console.errors()
    assert "Content Security Policy" in refused


def test_an_emulator_that_comes_back_is_found_again(console: Console) -> None:
    """While it is away the page says so, and keeps what it showed last."""
    with Emulator(SEED) as emulator:
        console.open(emulator)
        port = int(emulator.url.rpartition(":")[2])
    console.until(lambda: console.text("#live").startswith("not reachable"))
    assert console.count("#images tr") == 2
    with Emulator({"images": [{"arn": WEB}]}, port=port):
        console.until(lambda: console.text("#live") == "live" and console.count("#images tr") == 1)
