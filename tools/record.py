"""Record a command in a terminal as a picture that plays.

    python -m tools.record [--as TEXT] PICTURE.svg COMMAND [ARGUMENT…]

The command is shown at the top, or the text in its place.

The picture plays once and ends on the last screen, which is also all that a viewer shows that cannot play it.
"""

from __future__ import annotations

import argparse
import codecs
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

import pyte

COLUMNS, LINES = 136, 36
"""As wide as the progress on a resource's row needs: `pulumi` cuts off what does not fit."""

WIDTH, HEIGHT, MARGIN = 8.0, 18, 16
FRAME_INTERVAL = 0.1
"""Seconds; changes that follow each other faster are one frame."""
_LEAD_IN = 0.5
"""Seconds that the picture shows the command alone, however long it took to print anything."""

COLOURS = {
    # By the names and numbers that pyte has for them.
    "black": "#7f848e",
    "red": "#e06c75",
    "cd0000": "#e06c75",
    "green": "#98c379",
    "00cd00": "#98c379",
    "brown": "#e5c07b",
    "cdcd00": "#e5c07b",
    "blue": "#61afef",
    "5c5cff": "#61afef",
    "magenta": "#c678dd",
    "ff00ff": "#c678dd",
    "cyan": "#56b6c2",
    "white": "#d7dae0",
    "default": "#d7dae0",
}


class Run(NamedTuple):
    """Neighbouring characters of one colour and weight."""

    column: int
    text: str
    colour: str
    bold: bool


Row = tuple[Run, ...]
Frame = tuple[float, list[Row]]


def record(command: list[str], screen: pyte.Screen, title: str) -> Iterator[Frame]:
    """Run a command in a terminal; yield the screen at each change, with the seconds since its first output."""
    terminal, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", screen.lines, screen.columns, 0, 0))
    stream, decoder = pyte.Stream(screen), codecs.getincrementaldecoder("utf-8")("replace")
    stream.feed(f"\x1b[1m$ {title}\x1b[0m\r\n")
    began = shown = 0.0
    yield 0.0, rows(screen)
    # A make that is recorded under make would print that it is an inner one, and where.
    outer = {"MAKELEVEL", "MAKEFLAGS", "MFLAGS"}
    environment = {name: value for name, value in os.environ.items() if name not in outer} | {"TERM": "xterm-256color"}
    with subprocess.Popen(command, stdin=inner, stdout=inner, stderr=inner, env=environment) as process:
        os.close(inner)
        while chunk := _read(terminal):
            if not began:
                began = shown = time.monotonic() - _LEAD_IN
            stream.feed(decoder.decode(chunk))
            due = shown + FRAME_INTERVAL
            # What comes right behind belongs to the same frame.
            if time.monotonic() < due and select.select([terminal], [], [], due - time.monotonic())[0]:
                continue
            shown = time.monotonic()
            yield shown - began, rows(screen)
    end = time.monotonic()
    yield end - (began or end), rows(screen)
    if process.returncode:
        raise SystemExit(process.returncode)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:
        # Linux says so when the last program on a terminal has ended.
        return b""


def rows(screen: pyte.Screen) -> list[Row]:
    """Return the lines of a screen, without the blanks at their ends."""
    found = []
    for y in range(screen.lines):
        line = [screen.buffer[y][x] for x in range(screen.columns)]
        runs, column = [], 0
        for (colour, bold), characters in groupby(line, key=lambda each: (each.fg, each.bold)):
            text = "".join(each.data for each in characters)
            runs.append(Run(column, text, colour.removeprefix("bright"), bold))
            column += len(text)
        found.append(tuple(run for run in runs if run.text.strip()))
    return found


def draw(frames: list[Frame], lines: int) -> str:
    """Return the frames as one SVG: each row once for every text it has had, with the time that it was shown."""
    width, height = COLUMNS * WIDTH + 2 * MARGIN, lines * HEIGHT + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}"'
        ' font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace" font-size="13">',
        "<style>text { white-space: pre }</style>",
        f'<rect width="{width:g}" height="{height:g}" rx="8" fill="#21252b"/>',
    ]
    end = frames[-1][0]
    for y in range(lines):
        began = 0.0
        changes = [(at, screen[y]) for at, screen in frames]
        for row, same in groupby(changes, key=lambda change: change[1]):
            began = next(same)[0]
            after = next((at for at, other in changes if at > began and other != row), None)
            if not row:
                continue
            if after is None:
                hidden = f'<set attributeName="visibility" to="hidden" begin="0s" dur="{began:.2f}s"/>' if began else ""
                parts.append(f"<g>{hidden}{_text(row, y)}</g>")
            else:
                show = f'<set attributeName="visibility" to="visible" begin="{began:.2f}s" dur="{after - began:.2f}s"/>'
                parts.append(f'<g visibility="hidden">{show}{_text(row, y)}</g>')
    parts.append(f"<!-- {end:.0f} seconds --></svg>")
    return "\n".join(parts) + "\n"


def _text(row: Row, y: int) -> str:
    drawn = []
    for run in row:
        text = run.text.rstrip()
        lead = len(text) - len(text.lstrip())
        x, length = MARGIN + (run.column + lead) * WIDTH, (len(text) - lead) * WIDTH
        weight = ' font-weight="bold"' if run.bold else ""
        colour = COLOURS.get(run.colour) or f"#{run.colour}"
        drawn.append(
            f'<text x="{x:g}" y="{MARGIN + y * HEIGHT + 13}" textLength="{length:g}" fill="{colour}"{weight}>'
            f"{escape(text.lstrip())}</text>"
        )
    return "".join(drawn)


def main() -> None:
    """Record the command of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("picture", type=Path)
    parser.add_argument("--as", dest="title")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    screen = pyte.Screen(COLUMNS, LINES)
    frames = list(record(arguments.command, screen, arguments.title or " ".join(arguments.command)))
    used = max(y + 1 for _, shown in frames for y, row in enumerate(shown) if row)
    arguments.picture.write_text(draw(frames, used), encoding="utf-8")


if __name__ == "__main__":
    main()
