"""The picture: time over number of images, one line a way, as SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT = 760, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 210, 24, 52
_COLOURS = ("#0b6fb8", "#0f9d76", "#b8860b", "#a23b72", "#c8502d", "#6b6b6b")
_TICKS_X = (1, 10, 40, 200, 1000)
_TICKS_Y = (10, 20, 50, 100, 200)


def draw(lines: Mapping[str, Points], title: str) -> str:
    """The picture.

    Args:
        lines: by what they are called: images and seconds.
        title: what it shows, for those who do not see it.
    """
    top = max(seconds for points in lines.values() for _, seconds in points)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        'font-family="system-ui, sans-serif" font-size="13">',
        f"<title>{escape(title)}</title>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    for number in _TICKS_X:
        x = _x(number)
        parts.append(f'<path d="M{x:.1f} {_TOP}V{_HEIGHT - _BOTTOM}" stroke="#e4e4e4"/>')
        parts.append(_text(x, _HEIGHT - _BOTTOM + 20, f"{number:,}", anchor="middle"))
    for seconds in _TICKS_Y:
        if seconds <= top * 1.3:
            y = _y(seconds, top)
            parts.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="#e4e4e4"/>')
            parts.append(_text(_LEFT - 8, y + 4, f"{seconds} s", anchor="end"))
    parts.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 10, "images (executions of 10 s)", anchor="middle"))
    ends: list[float] = []
    for colour, (name, points) in zip(_COLOURS, lines.items(), strict=False):
        at = [(_x(images), _y(seconds, top)) for images, seconds in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
        dashes = ' stroke-dasharray="5 4"' if name == "floor" else ""
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in at]
        x, y = at[-1]
        while any(abs(y - other) < 16 for other in ends):
            y += 4
        ends.append(y)
        parts.append(_text(x + 9, y + 4, f"{name}, {points[-1][1]:.0f} s", colour=colour))
    return "\n".join([*parts, "</svg>", ""])


def _x(images: float) -> float:
    return _LEFT + math.log10(images) / 3 * (_WIDTH - _LEFT - _RIGHT)


def _y(seconds: float, top: float) -> float:
    low, high = math.log10(8), math.log10(top * 1.15)
    return _HEIGHT - _BOTTOM - (math.log10(seconds) - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)


def _text(x: float, y: float, text: str, anchor: str = "start", colour: str = "#333333") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'
