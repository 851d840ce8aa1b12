"""Makes a failing history small: fewer runs, faults, declarations and images, as long as it fails in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from .histories import History, Step

MAX_TRIES = 400
"""How many smaller histories are tried at most."""


def shrink(history: History, fails: Callable[[History], bool], max_tries: int = MAX_TRIES) -> History:
    """Return a history that fails too and from which nothing can be left out.

    Args:
        history: one that fails.
        fails: carries out a history and returns whether it fails in the same way.
        max_tries: how many histories are tried at most.
    """
    tries = 0
    smaller = True
    while smaller:
        smaller = False
        for candidate in _smaller(history):
            if tries == max_tries:
                return history
            tries += 1
            if fails(candidate):
                history, smaller = candidate, True
                break
    return history


def _smaller(history: History) -> Iterator[History]:
    """Yield histories with something left out, what takes most with it first."""
    steps = history.steps
    for size in (len(steps) // 2, 1):
        for start in range(0, len(steps), size) if size else ():
            if len(steps) > size:
                yield replace(history, steps=steps[:start] + steps[start + size :])
    for name in history.variants:
        yield replace(history, variants={key: value for key, value in history.variants.items() if key != name})
    if history.denied:
        yield replace(history, denied=())
    if history.native:
        yield replace(history, native=False)
    if history.destroyed:
        yield replace(history, destroyed=False)
    for number, step in enumerate(steps):
        for fewer in _smaller_steps(step):
            yield replace(history, steps=(*steps[:number], fewer, *steps[number + 1 :]))
    for name in {declaration.name: None for step in steps for declaration in step.program}:
        yield replace(history, steps=tuple(_without(step, name) for step in steps))
    used = {arn for step in steps for declaration in step.program for arn in declaration.arns}
    if used < history.images.keys():
        yield replace(history, images={arn: about for arn, about in history.images.items() if arn in used})


def _smaller_steps(step: Step) -> Iterator[Step]:
    if step.kill:
        yield replace(step, kill=None)
    for number in range(len(step.faults)):
        yield replace(step, faults=step.faults[:number] + step.faults[number + 1 :])
    for number in range(len(step.events)):
        yield replace(step, events=step.events[:number] + step.events[number + 1 :])
    if step.pause:
        yield replace(step, pause=0.0)
    if step.alongside:
        yield replace(step, alongside=False)
    if step.command == "refresh-up":
        yield replace(step, command="up")


def _without(step: Step, name: str) -> Step:
    return replace(step, program=tuple(each for each in step.program if each.name != name))
