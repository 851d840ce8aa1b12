"""The live suite against the emulator: under every variant, refused by the person, interrupted, and failing."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import botocore.loaders
import botocore.session
import pytest
from imagebuilder_emulator.emulator import Emulator
from imagebuilder_emulator.variants import VARIANTS

from tests.live.__main__ import main
from tests.live.steps import STEPS, Stage, obstacles
from tests.live.trial import Trial
from tools.workspace import ROOT

ACCOUNT, OTHER = "123456789012", "111122223333"
WEB = f"arn:aws:imagebuilder:us-east-1:{ACCOUNT}:image/web/1.0.0/1"
NEXT = f"{WEB[:-1]}2"
ROLE = "ImageLifecycle"
POLICY = f"arn:aws:imagebuilder:us-east-1:{ACCOUNT}:lifecycle-policy/weekly"


def arn(name: str) -> str:
    return WEB.replace("web", name)


BARE = arn("bare")
"""An image without AMIs: a run on it loads no EC2, which takes most of a run's time."""
SECRET = "no-one-sees-this"

SEED: dict[str, Any] = {
    "roles": [ROLE],
    "images": [
        {
            "arn": WEB,
            "amis": [{"region": "us-east-1", "snapshots": 1, "tags": {"owner": "payroll"}}, {"region": "eu-west-1"}],
            "tags": {"cost-center": "payroll"},
        },
        {"arn": NEXT},
        {"arn": arn("deprecated"), "state": "DEPRECATED"},
        {"arn": arn("busy")},
        {"arn": arn("box"), "type": "DOCKER", "containers": [{"region": "us-east-1"}]},
        {"arn": BARE},
        {"arn": arn("public"), "amis": [{"public": True}]},
        {"arn": arn("shared"), "amis": [{"shared_accounts": [OTHER]}]},
        {"arn": arn("foreign"), "amis": [{"account": OTHER}]},
        {"arn": arn("used"), "amis": [{"used_by": {"launch_templates": ["web"]}}]},
        {"arn": arn("protected"), "amis": [{"deregistration_protection": True}]},
    ],
    "policy_executions": [
        {"policy": POLICY, "image": NEXT, "takes": "1s"},
        {"policy": POLICY, "image": arn("busy"), "takes": "1000h"},
    ],
}
READINGS = [(variant.name, reading) for variant in VARIANTS.values() for reading in variant.readings[1:]]
SHOWN_BY = {name: {step.stage for step in STEPS if name in step.shows} for name in VARIANTS}


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    with Emulator(SEED) as emulator:
        yield emulator


@dataclass
class Ran:
    """What came of a run."""

    code: int
    text: str
    questions: list[str]
    facts: dict[str, Any]
    raw: str


@dataclass
class Suite:
    """Runs the suite, in the emulator's time."""

    emulator: Emulator
    path: Path
    loader: botocore.loaders.Loader

    def run(
        self,
        *options: str,
        image: str = BARE,
        answer: str | Callable[[str], str] = "yes",
        sleep: Callable[[float], None] | None = None,
        interrupt_start: int = 0,
    ) -> Ran:
        """Run it.

        Args:
            options: of the command line, beside image, role and file of facts.
            image: the image.
            answer: what a person answers to every question.
            sleep: called before time moves.
            interrupt_start: which ``StartResourceStateUpdate`` Ctrl-C is pressed in, after the service did its work.
        """
        session = with_credentials()
        session.register_component("data_loader", self.loader)
        starts, questions = 0, []

        def press(**_: Any) -> None:
            nonlocal starts
            starts += 1
            if starts == interrupt_start:
                raise KeyboardInterrupt

        session.get_component("event_emitter").register("after-call.imagebuilder.StartResourceStateUpdate", press)

        def ask(question: str) -> str:
            questions.append(question)
            return answer if isinstance(answer, str) else answer(question)

        def move(seconds: float) -> None:
            if sleep:
                sleep(seconds)
            self.emulator.clock.advance(timedelta(seconds=seconds))

        arguments = ["--image", image, "--role", ROLE, "--facts", str(self.path), *options]
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            code = main(arguments, session=session, ask=ask, sleep=move, now=self.emulator.clock.now)
        raw = self.path.read_text(encoding="utf-8")
        return Ran(code, printed.getvalue(), questions, json.loads(raw), raw)

    def image(self, image: str = BARE) -> dict[str, Any]:
        """The image as the service has it, once nothing lags any more."""
        self.emulator.clock.advance(timedelta(minutes=1))
        found: dict[str, Any] = self.emulator.client("imagebuilder").get_image(imageBuildVersionArn=image)["image"]
        return found

    def amis(self) -> list[tuple[str, bool]]:
        """States of the image's AMIs in EC2, and whether they have a date."""
        amis = self.image(WEB)["outputResources"]["amis"]
        found = [
            self.emulator.client("ec2", ami["region"]).describe_images(
                Filters=[{"Name": "image-id", "Values": [ami["image"]]}], IncludeDisabled=True
            )["Images"]
            for ami in amis
        ]
        return [(each["State"], "DeprecationTime" in each) for images in found for each in images]

    def statuses(self, image: str = BARE) -> set[str]:
        """Statuses of all executions of the image."""
        listed = self.emulator.client("imagebuilder").list_lifecycle_executions(resourceArn=image)[
            "lifecycleExecutions"
        ]
        return {each["state"]["status"] for each in listed}

    def changes(self) -> set[str]:
        """Operations that were called and that only read by no name."""
        return {name for name in self.emulator.requests.counts() if not re.search(r":(Get|List|Describe)[A-Z]", name)}


def with_credentials() -> botocore.session.Session:
    session = botocore.session.Session()
    session.set_credentials("access", SECRET)
    session.set_config_variable("region", "us-east-1")
    return session


@pytest.fixture(scope="module")
def started(running: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Suite:
    # Service models are read once: each run has a session of its own.
    loader = botocore.session.get_session().get_component("data_loader")
    return Suite(running, tmp_path_factory.mktemp("live") / "facts.json", loader)


@pytest.fixture
def suite(started: Suite, monkeypatch: pytest.MonkeyPatch) -> Suite:
    monkeypatch.setenv("AWS_ENDPOINT_URL", started.emulator.url)
    started.emulator.reset()
    # What the seed has under way has ended.
    started.emulator.clock.advance(timedelta(minutes=1))
    return started


@pytest.fixture(scope="module")
def whole(started: Suite) -> Ran:
    """All stages, each agreed to, under the default readings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", started.emulator.url)
        started.emulator.reset()
        started.emulator.clock.advance(timedelta(minutes=1))
        return started.run("--with-amis", "--delete", image=WEB)


def options_for(name: str) -> list[str]:
    """The least options under which a variant is shown."""
    if SHOWN_BY[name] & {Stage.READ, Stage.RECORD} and name not in {"resource-times", "failure-reason"}:
        return []
    return ["--with-amis"] if Stage.AMIS in SHOWN_BY[name] else ["--with-amis", "--delete"]


# --- what it shows -------------------------------------------------------------------------------------------------


def test_everything_is_shown_by_default(whole: Ran) -> None:
    """The documented reading of every variant; all steps are done, and the image is gone in the end."""
    assert whole.code == 0, whole.text
    assert whole.facts["variants"] == {variant.name: variant.default for variant in VARIANTS.values()}
    assert {step["name"]: step["outcome"] for step in whole.facts["steps"]} == {
        **{step.name: "done" for step in STEPS},
        "restore": "done",
    }
    assert whole.facts["endpoint"] == "not AWS"
    assert "It is gone, as asked for." in whole.text
    lines = whole.text.partition("=== What was shown")[2].splitlines()[1:]
    assert [line.split()[:2] for line in lines[: len(VARIANTS)]] == [[v.name, v.default] for v in VARIANTS.values()]


def test_the_rights_are_those_that_are_used(whole: Ran) -> None:
    """Each step calls what it says and nothing else; what it says is called in the whole run."""
    used = {step["name"]: {call["operation"] for call in step["calls"]} for step in whole.facts["steps"]}
    for step in STEPS:
        assert used[step.name] <= set(step.rights), step.name
    # PassRole is no call, and instances are described only where one was launched from an AMI.
    uncalled = {"iam:PassRole", "ec2:DescribeInstances"}
    assert set().union(*used.values()) == {right for step in STEPS for right in step.rights} - uncalled
    assert used["restore"] <= {right for step in STEPS for right in step.rights}


def test_it_shows_what_it_will_do_and_asks(whole: Ran) -> None:
    """Each stage by itself, with its steps, the image, the account, the AMIs and what happens in the end."""
    assert whole.questions == ["Go on? Only yes will do: "] * 3
    for step in STEPS:
        assert f"  {step.name}: {step.does}" in whole.text
    before_amis = whole.text.partition("=== The image with its AMIs")[2]
    assert f"On {WEB}, in account {ACCOUNT}" in before_amis
    assert re.search(r"^  ami-[0-9a-f]+ in eu-west-1$", before_amis, re.MULTILINE)
    assert "The AMIs keep the tag DeprecatedBy" in before_amis
    assert "This cannot be undone." in whole.text.partition("=== Deletion")[2]


@pytest.mark.parametrize(("name", "reading"), READINGS)
def test_a_variant_is_told(suite: Suite, name: str, reading: str) -> None:
    """The facts have the reading that was switched on, and the default or nothing of all others."""
    suite.emulator.variants.set({name: reading})
    options = options_for(name)
    ran = suite.run("--yes", *options, image=WEB if options else BARE)
    assert ran.code == 0, ran.text
    others = {key: value for key, value in ran.facts["variants"].items() if key != name}
    assert ran.facts["variants"][name] == reading
    assert all(value in (VARIANTS[key].default, "not shown") for key, value in others.items())
    assert re.search(rf"^  {name} +{reading} \(by: ", ran.text, re.MULTILINE)


def test_a_reading_that_is_not_known_is_told(suite: Suite) -> None:
    """In the service's own words."""
    suite.emulator.faults.add("GetLifecycleExecution error=InvalidParameterException nth=1")
    ran = suite.run(answer="no")
    assert ran.facts["variants"]["unknown-execution"] == "another: InvalidParameterException"


def test_what_lists_find_by_name_is_observed(suite: Suite) -> None:
    """As the emulator matches names."""
    ran = suite.run(answer="no")
    found = {each["question"].partition("finds by ")[2]: each["answer"] for each in ran.facts["observations"]}
    assert found["the name itself"]
    assert found["its beginning and a wildcard"]
    assert not found["its beginning without a wildcard"]


# --- what it asks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["no", "", "y"])
def test_anything_but_yes_changes_nothing(suite: Suite, answer: str) -> None:
    """It has read, written the facts, and called nothing that changes."""
    ran = suite.run("--with-amis", "--delete", answer=answer)
    assert (ran.code, len(ran.questions)) == (0, 1)
    assert suite.changes() == set()
    assert "Giving the image back" not in ran.text
    assert ran.facts["variants"]["unknown-execution"] == "ResourceNotFoundException"
    assert ran.facts["variants"]["schedule-status"] == "not shown"
    assert re.search(r"^  deleted-image +not shown; --with-amis --delete can show it$", ran.text, re.MULTILINE)


def test_the_amis_are_asked_for_by_themselves(suite: Suite) -> None:
    """Yes to the image record, no to its AMIs: EC2 is not touched."""
    answers = iter(["yes", "no"])
    ran = suite.run("--with-amis", image=WEB, answer=lambda _: next(answers))
    assert (ran.code, len(ran.questions)) == (0, 2)
    assert suite.image(WEB)["state"]["status"] == "AVAILABLE"
    started = suite.emulator.requests.all("imagebuilder:StartResourceStateUpdate")
    assert started
    assert not [each for each in started if "includeResources" in each.parameters]


def test_without_a_terminal_nothing_is_changed(suite: Suite) -> None:
    """As a process of its own, as the Makefile starts it, without input."""
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    command = [sys.executable, "-m", "tests.live", "--image", BARE, "--role", ROLE, "--facts", str(suite.path)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "without a terminal, --yes is needed" in done.stdout
    assert suite.changes() == set()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--image", "ami-12345678"], "expected an ARN such as"),
        (["--image", WEB.replace(ACCOUNT, "aws")], "nobody but Amazon"),
        (["--image", WEB, "--role", ROLE, "--delete"], "--delete needs --with-amis"),
        (["--image", WEB, "--with-amis"], "--with-amis needs an execution role"),
        ([], "--image"),
    ],
)
def test_a_command_line_that_cannot_be_used(
    capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    """Is refused before any call."""
    with pytest.raises(SystemExit) as refused:
        main(options)
    assert refused.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("deprecated", "it is DEPRECATED: only an AVAILABLE image can be given back as it was"),
        ("box", "it is of the type DOCKER: only images with AMIs are changed here"),
        ("busy", "an execution has it in use"),
    ],
)
def test_an_image_that_could_not_be_given_back_is_not_changed(suite: Suite, name: str, reason: str) -> None:
    """It is read, and refused without a question."""
    suite.emulator.variants.set({"policy-executions": "listed"})
    ran = suite.run(image=arn(name))
    assert (ran.code, ran.questions, suite.changes()) == (1, [], set())
    assert ran.text.partition("=== Not done: the image record\n")[2].splitlines()[0] == f"  {reason}"


def test_without_amis_the_later_stages_are_refused(suite: Suite) -> None:
    """The image record is changed and given back; there is no question about AMIs."""
    ran = suite.run("--with-amis")
    assert (ran.code, len(ran.questions)) == (1, 1)
    assert "not all of its AMIs can be read" in ran.text.partition("=== Not done: the image with its AMIs")[2]
    assert "  It is AVAILABLE, as it was." in ran.text


def test_amis_that_could_not_be_given_back_are_not_changed(suite: Suite) -> None:
    """Public, shared, another account's, in use, protected: each with its reason."""
    trial: Trial | None = None
    found: dict[str, str] = {}
    for name in ("public", "shared", "foreign", "used", "protected"):
        session = with_credentials()
        clients = trial.clients if trial else {}
        now = suite.emulator.clock.now
        trial = Trial(arn(name), ROLE, session, lambda _: pytest.fail("it waits"), now, print, clients=clients)
        for step in STEPS:
            if step.name in {"caller", "image", "executions", "AMIs", "survey"}:
                step.run(trial)
        assert obstacles(trial, Stage.RECORD) == []
        found[name] = re.sub("ami-[0-9a-f]+", "ami", "; ".join(obstacles(trial, Stage.DELETE)))
    public = "ami in us-east-1 is public or shared, which disabling takes away for good"
    assert found == {
        "public": public,
        "shared": public,
        "foreign": "not all of its AMIs can be read: each has to be there, in the caller's account",
        "used": "its AMIs are in use",
        "protected": "an AMI is protected from deregistration",
    }


# --- that it gives back what it took -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "start"),
    [
        pytest.param(BARE, 3, id="disabled"),
        pytest.param(BARE, 9, id="schedule"),
        pytest.param(BARE, 11, id="provider"),
        pytest.param(WEB, 14, id="schedule with AMIs"),
        pytest.param(WEB, 19, id="disabled with AMIs"),
    ],
)
def test_ctrl_c_restores(suite: Suite, request: pytest.FixtureRequest, image: str, start: int) -> None:
    """Pressed in a change that the service has carried out and not yet answered."""
    ran = suite.run("--yes", *(["--with-amis"] if image == WEB else []), image=image, interrupt_start=start)
    assert ran.code == 130, ran.text
    assert "Interrupted." in ran.text
    assert "  It is AVAILABLE, as it was." in ran.text
    after = suite.image(image)
    assert (after["state"]["status"], "deprecationTime" in after) == ("AVAILABLE", False)
    assert suite.amis() == [("available", False)] * 2
    assert suite.statuses(image) <= {"SUCCESS", "FAILED", "CANCELLED"}
    interrupted = [step["name"] for step in ran.facts["steps"] if step["outcome"] == "not finished"]
    assert interrupted == [request.node.callspec.id]


def test_ctrl_c_while_lists_lag_restores(suite: Suite) -> None:
    """A schedule whose start was never answered, and that no list shows yet, is found and cancelled."""
    suite.emulator.variants.set({"consistency": "lag", "cancel": "in-use"})
    ran = suite.run("--yes", interrupt_start=9)
    assert ran.code == 130, ran.text
    assert suite.image()["state"]["status"] == "AVAILABLE"
    assert suite.statuses() == {"CANCELLED"}


def test_ctrl_c_while_restoring_is_waited_out(suite: Suite) -> None:
    """The image is given back all the same; handlers of signals are as they were."""
    before = signal.getsignal(signal.SIGINT)
    pressed: list[Any] = []

    def press(seconds: float) -> None:
        # The fourth start is refused and leaves the image DISABLED; the fifth is that of the restoring.
        if suite.emulator.requests.counts().get("imagebuilder:StartResourceStateUpdate", 0) == 5 and not pressed:
            pressed.append(seconds)
            signal.raise_signal(signal.SIGINT)

    suite.emulator.variants.set({"consistency": "lag"})
    suite.emulator.faults.add("StartResourceStateUpdate error=InvalidRequestException nth=4")
    ran = suite.run("--yes", sleep=press)
    assert pressed
    assert (ran.code, suite.image()["state"]["status"]) == (1, "AVAILABLE")
    assert "The image is being given back as it was; please wait." in ran.text
    assert signal.getsignal(signal.SIGINT) is before


def test_a_change_that_is_refused_ends_the_changes(suite: Suite) -> None:
    """What comes after it is not done, and the image is given back."""
    suite.emulator.faults.add("StartResourceStateUpdate error=InvalidRequestException nth=2")
    ran = suite.run("--yes", "--with-amis")
    assert ran.code == 1
    outcomes = {step["name"]: step["outcome"] for step in ran.facts["steps"]}
    assert outcomes["deprecated"] == "done"
    assert "InvalidRequestException" in outcomes["available"]
    assert {outcomes[step.name] for step in STEPS if step.stage is Stage.AMIS} == {"not done"}
    assert suite.image()["state"]["status"] == "AVAILABLE"


def test_reading_goes_on_after_a_missing_right(suite: Suite) -> None:
    """The other calls are made, and AMIs of which it is not known what uses them are not changed."""
    suite.emulator.faults.add("ec2:DescribeImageReferences error=UnauthorizedOperation")
    ran = suite.run("--yes", "--with-amis", image=WEB)
    assert ran.code == 1
    outcomes = {step["name"]: step["outcome"] for step in ran.facts["steps"]}
    assert "UnauthorizedOperation" in outcomes["AMIs"]
    assert outcomes["provider"] == "done"
    assert "what uses its AMIs could not be looked up" in ran.text


def test_what_cannot_be_given_back_is_told_with_the_commands(suite: Suite) -> None:
    """An exit code of its own, the reason, and what to type; in the facts without the ids of that."""
    suite.emulator.faults.add("execution fail region=eu-west-1 reason='no access'")
    ran = suite.run("--yes", "--with-amis", image=WEB)
    assert ran.code == 3
    by_hand = ran.text.partition("Do it by hand, as far as it is needed:\n")[2]
    assert f"aws imagebuilder start-resource-state-update --region us-east-1 --resource-arn {WEB}" in by_hand
    assert "aws ec2 enable-image --region eu-west-1 --image-id ami-" in by_hand
    assert ran.facts["steps"][-1]["outcome"] != "done"
    assert find_private(ran.raw) == {}


# --- the facts -----------------------------------------------------------------------------------------------------


def find_private(text: str) -> dict[str, list[str]]:
    """What must not be in a file of facts, by kind."""
    patterns = {
        "account": rf"{ACCOUNT}|{OTHER}|\d{{12}}",
        "ARN": r"arn:",
        "id": r"(?:lce|ami|snap|lt|i)-[0-9a-f]{6}",
        "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}",
        "date": r"\b20\d\d-\d\d",
        "name": rf"\bweb\b|\bbare\b|{ROLE}|no-such-role",
        "tag": "payroll|cost-center",
        "credential": SECRET,
        "host": r"127\.0\.0\.1|localhost|https?:",
    }
    found = {kind: re.findall(pattern, text) for kind, pattern in patterns.items()}
    return {kind: values for kind, values in found.items() if values}


def test_facts_hold_nothing_private(whole: Ran) -> None:
    """No account, ARN, id, name, tag, credential, host or date; what they were can still be followed."""
    assert find_private(whole.raw) == {}
    assert "<imagebuilder image build ARN 1>" in whole.raw
    assert "payroll" in find_private(f"{SEED}")["tag"]


# --- the page ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page() -> str:
    return (ROOT / "docs" / "live.md").read_text(encoding="utf-8")


def test_the_page_names_the_rights(page: str) -> None:
    """Those of each stage, no more and no less."""
    rows = dict(re.findall(r"^\| (read|record|AMIs|deletion) \| (.+) \|$", page, re.MULTILINE))
    named = {row: set(re.findall(r"`(\w+:\w+)`", text)) for row, text in rows.items()}
    stages = {"read": Stage.READ, "record": Stage.RECORD, "AMIs": Stage.AMIS, "deletion": Stage.DELETE}
    assert named == {
        row: {right for step in STEPS if step.stage is stage for right in step.rights} for row, stage in stages.items()
    }


def test_the_page_says_what_has_been_proven(page: str) -> None:
    """Every variant has a row with what AWS has shown."""
    table = page.partition("## What has been proven on AWS")[2]
    assert re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE) == list(VARIANTS)


def test_the_page_shows_what_is_asked(page: str, whole: Ran) -> None:
    """Word for word, but for ids."""
    (question,) = re.findall(
        r"=== The image with its AMIs\n.*?started here is cancelled\.[^\n]*", whole.text, re.DOTALL
    )
    assert re.sub(r"ami-\w+", "ami-…", question) in page
