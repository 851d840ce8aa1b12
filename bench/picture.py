"""The picture: time over number of images, one line a way, as SVG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

Points = Sequence[tuple[float, float]]

_IMAGES, _SECONDS = (1, 10, 40, 200, 1000), (10, 20, 50, 100)


def draw(lines: Mapping[str, Points], title: str) -> str:
    """The picture.

    Args:
        lines: by what they are called: images and seconds.
        title: what it shows, for those who do not see it.
    """
    # Text stays text, and the same figures give the same file.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "benchmarks"}):
        figure = Figure(figsize=(9, 4.5), layout="constrained")
        axes = figure.add_subplot(xscale="log", yscale="log", xlabel="images (executions of 10 s)", ylabel="seconds")
        for name, points in lines.items():
            axes.plot(*zip(*points, strict=True), marker="o", label=name)
        axes.set_xticks(_IMAGES)
        axes.set_yticks(_SECONDS)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        figure.legend(loc="outside right upper", frameon=False)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Creator": None, "Date": None, "Title": title})
    return text.getvalue()
