"""The picture and the table in the README: speed beside PyTorch eager, from a file of results.

python benchmarks/chart.py [results/DATE-THREADS.json] [picture.png]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from engines import BASE, ENGINES
from run import RESULTS, duration
from workloads import WORKLOADS

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "benchmark.png"
# Okabe and Ito 2008, "Color Universal Design": warm for Gradus, cold for the others. HIPS/autograd is in the tables alone.
COLOURS = {"gradus_compiled": "#D55E00", "gradus": "#E69F00", "jax": "#0072B2", "torch_compile": "#56B4E9"}
SHORT = {
    "mlp_small": "MLP 784-50-10\nbatch 64, SGD",
    "mlp": "MLP 784-512-512-10\nbatch 128, Adam",
    "cnn": "CNN, 2 convolutions\nbatch 64, Adam",
    "gpt": "GPT, 4 layers, d 128\nAdamW",
    "lstm": "LSTM, hidden 300\n64 × 70, Adam",
    "full_batch": "50,000 rows at once\nforward, backward",
    "full_batch_forward": "50,000 rows at once\nforward",
    "epoch": "Fashion-MNIST epoch\nwith the loader",
    "inference": "MLP 64-64-10\ninference, batch 1",
    "recurrence": "10 scalar steps\nforward, backward",
    "chain": "1,000 small ops\nforward, backward",
}
IN_README = ("mlp_small", "mlp", "cnn", "gpt", "inference")
BAR, GAP = 0.19, 0.26  # inches


def newest(threads: int = 1) -> Path:
    files = sorted(RESULTS.glob(f"*-{threads}.json"))
    if not files:
        raise SystemExit("no results yet: python benchmarks/run.py")
    return files[-1]


def rows_of(results: dict[str, Any]) -> list[tuple[str, float, list[tuple[str, float, float]]]]:
    """Of each workload its name, PyTorch's seconds, and of each other engine (name, times as fast, seconds)."""
    rows = []
    for name in WORKLOADS:
        engines = results["workloads"].get(name, {}).get("engines", {})
        if BASE in engines:
            base = engines[BASE]["minimum"]
            others = [(e, 1 / engines[e]["ratio_of_minima"], engines[e]["minimum"]) for e in COLOURS if e in engines]
            rows.append((name, base, others))
    return rows


def told(results: dict[str, Any]) -> list[str]:
    """The table in the README, a line of Markdown a workload: least times, and of ours how many times as fast as PyTorch's and JAX's."""
    lines = [
        "| least time of a step | Gradus compiled | PyTorch eager | JAX jit | times as fast | first start, the next |",
        "|---|---|---|---|---|---|",
    ]
    for name in IN_README:
        engines = results["workloads"][name]["engines"]
        ours, torch, jax = (engines[e]["minimum"] for e in ("gradus_compiled", BASE, "jax"))
        compiled = f"{duration(engines['gradus_compiled']['compile_cold'])}, {duration(engines['gradus_compiled']['compile_second_start'])}"
        title = SHORT[name].replace("\n", ", ")
        lines.append(
            f"| {title} | {duration(ours)} | {duration(torch)} | {duration(jax)} | {torch / ours:.1f} and {jax / ours:.1f} | {compiled} |"
        )
    return lines


def draw(results: dict[str, Any], picture: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = rows_of(results)
    lines = sum(len(others) for _, _, others in rows)
    body = lines * BAR + len(rows) * GAP
    head, foot = 0.85, 0.6
    height = body + head + foot
    figure = Figure(figsize=(8.6, height), dpi=144, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.235, foot / height, 0.745, body / height))
    y, speeds = 0.0, [speed for _, _, others in rows for _, speed, _ in others]
    for name, base, others in rows:
        top = y
        for engine, speed, seconds in others:
            axes.barh(y + BAR / 2, speed - 1, BAR * 0.86, left=1, color=COLOURS[engine])
            beyond, side = (3, "left") if speed >= 1 else (-3, "right")
            place = {"textcoords": "offset points", "va": "center", "ha": side, "fontsize": 8.5, "color": "#333333"}
            axes.annotate(f"{speed:#.2g}×".replace(".×", "×") + f"  {duration(seconds)}", (speed, y + BAR / 2), (beyond, -0.5), **place)
            y += BAR
        middle, side = (top + y) / 2, axes.get_yaxis_transform()
        axes.text(-0.02, middle + 0.07, SHORT[name], transform=side, ha="right", va="bottom", fontsize=9.5, linespacing=1.1)
        axes.text(-0.02, middle + 0.10, f"PyTorch {duration(base)}", transform=side, ha="right", va="top", fontsize=8.5, color="#6B6B6B")
        y += GAP
    axes.axvline(1, color="#333333", linewidth=1.2)
    axes.set(xscale="log", ylim=(body - GAP * 0.4, -GAP * 0.4), xlim=(min(speeds) / 2.6, max(speeds) * 2.6), yticks=[])
    tidy(axes, min(speeds) / 2.6, max(speeds) * 2.6)
    finish(figure, results, [engine for engine in COLOURS if any(e == engine for _, _, others in rows for e, _, _ in others)], height)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, format="png")


def tidy(axes: Any, low: float, high: float) -> None:
    """Ticks that say how many times, a quiet frame."""
    ticks = [t for t in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if low <= t <= high]
    axes.set_xticks(ticks, [f"{t:g}×" for t in ticks], fontsize=9.5)
    axes.minorticks_off()
    axes.grid(True, axis="x", color="#E3E3E3", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.set_xlabel("times as fast as PyTorch eager: to the right is faster", fontsize=10)


def finish(figure: Any, results: dict[str, Any], engines: list[str], height: float) -> None:
    """Title, legend, and what it was measured on."""
    from matplotlib.patches import Patch

    machine, threads = results["machine"], results["threads"]
    figure.text(0.02, 1 - 0.12 / height, "Speed beside PyTorch eager", fontsize=14, fontweight="bold", va="top")
    plural = "1 thread" if threads == 1 else f"{threads} threads"
    versions = ", ".join(f"{label} {machine['packages'][name]}" for label, name in (("PyTorch", "torch"), ("JAX", "jax")))
    words = f"{plural} of {machine['processor'].split(' (')[0]}, {versions}, {results['date']}; least times of all turns"
    figure.text(0.02, 1 - 0.40 / height, words, fontsize=9, color="#6B6B6B", va="top")
    handles = [Patch(color=COLOURS[engine], label=ENGINES[engine].label) for engine in engines]
    place = {"loc": "upper left", "bbox_to_anchor": (0.012, 1 - 0.55 / height), "ncols": len(handles), "columnspacing": 1.2}
    figure.legend(handles=handles, frameon=False, fontsize=9.5, handlelength=1.1, handletextpad=0.5, borderaxespad=0.2, **place)


def main(results: str | None = None, picture: str | None = None) -> None:
    source = Path(results) if results else newest()
    target = Path(picture) if picture else PICTURE
    read = json.loads(source.read_text(encoding="utf-8"))
    draw(read, target)
    print("\n".join([*told(read), "", f"{target.name} from {source.name}"]))


if __name__ == "__main__":
    main(*sys.argv[1:3])
