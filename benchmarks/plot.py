"""The plot: `python plot.py benchmarks.json benchmarks.svg`, in the environment that has Matplotlib.

It stands alone, since that environment has nothing of the gate's.
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl  # type: ignore[import-not-found,unused-ignore] # lives in .venv-bench

COLUMNS = 3
COLOURS = {
    "gate": "#0072b2",
    "nginx-lua": "#009e73",
    "envoy": "#cc79a7",
    "mitmdump": "#999999",
}
"""Okabe and Ito's: to be told apart by everyone."""

VARIANT = "#56b4e9"
"""The gate with another policy, or in several processes."""


def main(source: Path, target: Path) -> None:
    """Draw requests/s of each workload, a bar for each server, with the least and the most round as a whisker."""
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "benchmarks"  # the same figures give the same file
    mpl.rcParams["svg.fonttype"] = "none"  # text stays text
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the choice of what draws

    run = json.loads(source.read_text())
    workloads = [each for each in run["workloads"].values() if _measured(each)]
    if not workloads:
        return
    lines = -(-len(workloads) // COLUMNS)
    figure, axes = plt.subplots(lines, COLUMNS, figsize=(4.2 * COLUMNS, 1.9 * lines), squeeze=False)
    for place in axes.flat[len(workloads) :]:
        place.set_visible(False)
    for axis, workload in zip(axes.flat, workloads, strict=False):
        _draw(axis, workload["title"], _measured(workload))
    figure.suptitle("requests/s on one core: median, least and most of all rounds", fontsize=10)
    figure.tight_layout()
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, metadata={"Date": None})


def _measured(workload: dict[str, Any]) -> dict[str, dict[str, float]]:
    servers = workload["servers"].items()
    return {name: row["requests_per_second"] for name, row in servers if "requests_per_second" in row}


def _draw(axis: Any, title: str, rows: dict[str, dict[str, float]]) -> None:  # noqa: ANN401 - Matplotlib's Axes
    medians = [row["median"] for row in rows.values()]
    below = [row["median"] - row["least"] for row in rows.values()]
    above = [row["most"] - row["median"] for row in rows.values()]
    places = range(len(rows))
    colours = [COLOURS.get(name, VARIANT) for name in rows]
    bars = axis.barh(places, medians, xerr=(below, above), color=colours, capsize=2)
    axis.bar_label(bars, labels=[f" {median:,.0f}" for median in medians], fontsize=7, padding=3)
    axis.set_yticks(places, list(rows), fontsize=8)
    axis.invert_yaxis()
    axis.set_xlim(0, max(row["most"] for row in rows.values()) * 1.2)
    axis.tick_params(axis="x", labelsize=7)
    axis.set_title(title, fontsize=8, loc="left")
    axis.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
