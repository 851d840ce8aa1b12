"""`make live`: try on AWS what the provider takes for granted, on an image that may be lost.

It reads first, asks before each stage that changes anything, gives the image back as it was, and writes what the
service answered into a file of facts. See docs/live.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore.session
from botocore.exceptions import BotoCoreError, ClientError
from imagebuilder_emulator.variants import VARIANTS
from pulumi_imagebuilder import __version__
from pulumi_imagebuilder.errors import ImageBuilderError
from pulumi_imagebuilder.validation import ImageArn

from .facts import Redactor, endpoint_of
from .restore import by_hand, restore
from .steps import STEPS, Stage, obstacles
from .trial import StepFailed, Trial, output_amis

FORMAT = 1
"""Format of the file of facts."""

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_OPTION = {Stage.AMIS: "--with-amis", Stage.DELETE: "--with-amis --delete"}


def main(
    arguments: Sequence[str] | None = None,
    *,
    session: botocore.session.Session | None = None,
    ask: Callable[[str], str] = input,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> int:
    """Run the suite.

    Args:
        arguments: the command line. Default: that of the process.
        session: credentials. Default: botocore's own chain and environment.
        ask: shows a question and returns the answer.
        sleep: waits, in seconds.
        now: the time.

    Returns:
        0 where all that was to be done was done, 1 where something failed or kept it from being done, 2 for a command
        line that cannot be used, 3 where the image could not be given back as it was, 130 after Ctrl-C.
    """
    options = _parse(arguments)
    trial = Trial(options.image, options.role, session or botocore.session.Session(), sleep, now, _say)
    wanted = [Stage.READ, Stage.RECORD]
    wanted += [Stage.AMIS] if options.with_amis else []
    wanted += [Stage.DELETE] if options.delete else []
    outcomes: dict[str, str] = {}
    code = 0
    problem: str | None = None
    try:
        for stage in wanted:
            if stage is not Stage.READ:
                if found := obstacles(trial, stage):
                    _say(f"\n=== Not done: {stage}")
                    _say("\n".join(f"  {reason}" for reason in found))
                    code = 1
                    break
                _show_plan(trial, stage)
                if not options.yes and not _agreed(ask):
                    _say(f"Not done: {stage}.")
                    break
            else:
                _say(f"=== {_title(stage)} on {trial.arn}")
            if not _carry_out(trial, stage, outcomes):
                code = 1
                if stage is not Stage.READ:
                    break
    except KeyboardInterrupt:
        _say("\nInterrupted.")
        code = 130
    finally:
        with _uninterrupted():
            if trial.changed:
                _say("\n=== Giving the image back as it was")
                problem = _restore(trial)
            facts = _facts(trial, outcomes, problem)
            options.facts.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    _report(trial, options.facts)
    return 3 if problem else code


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "make live", description="Try the provider on AWS, on an image that may be lost. See docs/live.md."
    )
    parser.add_argument("--image", metavar="ARN", required=True, help="image build version (make live IMAGE=…)")
    parser.add_argument("--role", help="execution role, by name or ARN: for --with-amis (make live ROLE=…)")
    parser.add_argument("--with-amis", action="store_true", help="change the image's AMIs too, and give them back")
    parser.add_argument("--delete", action="store_true", help="delete the image and its AMIs in the end, for good")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--facts", metavar="FILE", type=Path, default=Path("live-facts.json"), help="default: %(default)s"
    )
    options = parser.parse_args(arguments)
    try:
        amazons = ImageArn.parse(options.image).is_amazons
    except ValueError as error:
        parser.error(str(error))
    if amazons:
        parser.error("nobody but Amazon can change Amazon's own images")
    if options.delete and not options.with_amis:
        parser.error("--delete needs --with-amis: an image is deleted with its AMIs")
    if options.with_amis and not options.role:
        parser.error("--with-amis needs an execution role: --role, or make live ROLE=…")
    return options


def _show_plan(trial: Trial, stage: Stage) -> None:
    """Show what a stage will do."""
    steps = [step for step in STEPS if step.stage is stage]
    _say(f"\n=== {_title(stage)}")
    _say(f"On {trial.arn}, in account {trial.caller}, one after the other:")
    _say("\n".join(f"  {step.name}: {step.does}" for step in steps))
    if stage is not Stage.RECORD:
        _say(f"by the execution role {trial.role}, with these AMIs:")
        _say("\n".join(f"  {ami['ImageId']} in {ami['Region']}" for ami in trial.amis))
    if stage is Stage.DELETE:
        _say("This cannot be undone.")
    else:
        kept = " The AMIs keep the tag DeprecatedBy that the service sets." if stage is Stage.AMIS else ""
        whole = "the image and its AMIs are" if stage is Stage.AMIS else "the image is"
        _say(
            f"In the end, and also after an error or Ctrl-C, {whole} made AVAILABLE again and what was started here is "
            f"cancelled.{kept}"
        )
    rights = sorted({right for step in steps for right in step.rights})
    _say(f"It calls {', '.join(rights)}.")


def _agreed(ask: Callable[[str], str]) -> bool:
    """Ask whether what was shown is agreed to."""
    try:
        return ask("Go on? Only yes will do: ").strip().lower() == "yes"
    except EOFError:
        _say("no answer (without a terminal, --yes is needed)")
        return False


def _title(stage: Stage) -> str:
    return f"{stage[0].upper()}{stage[1:]}"


def _carry_out(trial: Trial, stage: Stage, outcomes: dict[str, str]) -> bool:
    """Carry out the steps of a stage; return whether all went well. After a failed change there is no further one."""
    well = True
    for step in STEPS:
        if step.stage is not stage:
            continue
        trial.recorder.step = step.name
        _say(f"  {step.name}: {step.does}")
        outcomes[step.name] = "not finished"
        try:
            step.run(trial)
        except (StepFailed, ClientError, BotoCoreError, ImageBuilderError) as error:
            outcomes[step.name] = str(error)
            _say(f"    failed: {error}")
            well = False
            if step.changes or not trial.caller:
                break
        else:
            outcomes[step.name] = "done"
    return well


def _restore(trial: Trial) -> str | None:
    """Give the image back; return why that failed. Show what to do by hand then."""
    try:
        problem = restore(trial)
    except Exception as error:  # Whatever it is, the person must learn what to do.
        problem = f"{type(error).__name__}: {error}"
    if problem is None:
        _say(
            "  It is gone, as asked for."
            if not trial.state or trial.state == "DELETED"
            else "  It is AVAILABLE, as it was."
        )
        return None
    _say(f"  Failed: {problem}\n  Do it by hand, as far as it is needed:")
    _say("\n".join(f"    {command}" for command in by_hand(trial)))
    return problem


def _facts(trial: Trial, outcomes: dict[str, str], problem: str | None) -> dict[str, Any]:
    """Return the facts, without accounts, ARNs, ids, names and dates."""
    trial.read_calls()
    names = {
        "caller": trial.caller,
        "image name": trial.image.get("name", ""),
        "image": trial.parts.name,
        "role": (trial.role or "").rpartition("/")[2],
        "AMI name": next((ami["name"] for ami in output_amis(trial.image) if "name" in ami), ""),
    }
    redactor = Redactor(trial.began, names)
    steps: list[dict[str, Any]] = [
        {
            "name": step.name,
            "stage": str(step.stage),
            "outcome": redactor.prose(outcomes.get(step.name, "not done")),
            "calls": [redactor.call(call) for call in trial.recorder.calls if call.step == step.name],
        }
        for step in STEPS
    ]
    if trial.changed:
        calls = [redactor.call(call) for call in trial.recorder.calls if call.step == "restore"]
        steps.append({"name": "restore", "stage": "", "outcome": redactor.prose(problem or "done"), "calls": calls})
    return {
        "format": FORMAT,
        "endpoint": endpoint_of(trial.recorder.calls),
        "versions": {"pulumi-imagebuilder": __version__, "botocore": botocore.__version__},
        "variants": {name: trial.reading(name) or "not shown" for name in VARIANTS},
        "observations": trial.observations,
        "steps": steps,
    }


def _report(trial: Trial, path: Path) -> None:
    who = endpoint_of(trial.recorder.calls)
    _say(f"\n=== What was shown of the open questions, by {'AWS' if who == 'AWS' else 'a service that is not AWS'}")
    for name in VARIANTS:
        reading = trial.reading(name)
        shown = ", ".join(dict.fromkeys(trial.readings.get(name, {}).values()))
        _say(f"  {name:<18} {f'{reading} (by: {shown})' if reading else f'not shown{_hint(name)}'}")
    _say(f"\nWhat it answered is in {path}, without accounts, ARNs, ids, names and dates.")


def _hint(variant: str) -> str:
    """Return which option would carry out the step that shows a variant."""
    stages = [step.stage for step in STEPS if variant in step.shows]
    option = next((_OPTION[stage] for stage in stages if stage in _OPTION), None)
    return f"; {option} can show it" if option and Stage.RECORD not in stages else ""


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Finish what is in the block whatever is pressed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def explain(*_: Any) -> None:
        _say("  The image is being given back as it was; please wait.")

    before = [(each, signal.signal(each, explain)) for each in _SIGNALS]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _say(text: str) -> None:
    # A terminal that was closed must not keep the image from being given back.
    with contextlib.suppress(OSError):
        print(text, flush=True)


if __name__ == "__main__":
    for each in _SIGNALS:
        signal.signal(each, signal.default_int_handler)
    sys.exit(main())
