"""Gradus beside PyTorch, JAX and HIPS/autograd: the same work, side by side, in turn.

    python benchmarks/run.py                          everything, with one thread and with two
    python benchmarks/run.py --workloads mlp,cnn --threads 1 --rounds 50
    python benchmarks/run.py --quick                  a look: few rounds, nothing written

Ratios are times divided by PyTorch eager's; below 1 is faster. Each engine has a process of its own, pinned to as many cores as threads.
"compile" is what the first three calls cost above three later ones, in a fresh process without the imports: "cold" with empty caches,
"again" in a second process that finds what the first left on disk.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from engines import ENGINES
from machine import description
from rounds import Measurement
from workloads import WORKLOADS

RESULTS = Path(__file__).parent / "results"


def duration(seconds: float | None) -> str:
    """Three digits and a unit: 75.9 µs."""
    if seconds is None:
        return ""
    for factor, unit in ((1e6, "µs"), (1e3, "ms")):
        if seconds * factor < 999.5:
            return f"{seconds * factor:#.3g}".rstrip(".") + f" {unit}"
    return f"{seconds:.2f} s"


def number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def table(result: dict[str, Any], threads: int) -> str:
    """What a person reads about one workload."""
    plural = "thread" if threads == 1 else "threads"
    lines = [f"{result['title']}; {threads} {plural}, data: {result['data']}, {result['rounds']} rounds, a {result['unit']}:"]
    lines.append(f"  {'':<16}{'minimum':>10}{'median':>10}{'ratio':>7}{'median':>8}{'compile':>9}{'again':>8}{'imports':>9}{'peak MB':>9}")
    for engine, row in result["engines"].items():
        cells = [
            f"{duration(row['minimum']):>10}{duration(row['median']):>10}",
            f"{number(row.get('ratio_of_minima')):>7}{number(row.get('median_ratio')):>8}",
            f"{duration(row.get('compile_cold')):>9}{duration(row.get('compile_second_start')):>8}{duration(row['imports']):>9}",
            f"{number(row['peak_megabytes'], 0):>9}",
        ]
        lines.append(f"  {ENGINES[engine].label:<16}" + "".join(cells))
    lines += [f"  {ENGINES[engine].label:<16}left out: {reason}" for engine, reason in result["left_out"].items()]
    lines += [f"  {ENGINES[engine].label:<16}FAILED: {reason}" for engine, reason in result["failed"].items()]
    same = result["agreement"]
    verdict = "agree" if same["holds"] else "DO NOT AGREE"
    lines.append(
        f"  after {same['calls']} calls {same['engines']} engines {verdict}: {same['apart']:.1e} apart, {same['tolerance']:.0e} allowed"
    )
    return "\n".join(lines) + "\n"


def progress(text: str) -> None:
    """One line on a terminal that is written over; nothing where output is kept."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text[:110]}", end="", file=sys.stderr, flush=True)


def save(path: Path, threads: int, settings: dict[str, Any], results: dict[str, Any]) -> None:
    """Add to the day's results with this number of threads."""
    earlier = json.loads(path.read_text(encoding="utf-8"))["workloads"] if path.is_file() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    all_of_them = {name: (earlier | results)[name] for name in WORKLOADS if name in earlier | results}
    told = {"date": time.strftime("%Y-%m-%d"), "threads": threads, "machine": description(), "settings": settings, "workloads": all_of_them}
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def chosen(text: str, known: dict[str, Any]) -> list[str]:
    """Names out of a list with commas."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise argparse.ArgumentTypeError(f"no {', '.join(unknown)}; there are {', '.join(known)}")
    return names


def arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", type=lambda text: chosen(text, WORKLOADS), default=list(WORKLOADS), help=", ".join(WORKLOADS))
    parser.add_argument("--engines", type=lambda text: chosen(text, ENGINES), default=list(ENGINES), help=", ".join(ENGINES))
    parser.add_argument("--threads", type=lambda text: [int(part) for part in text.split(",")], default=[1, 2], help="default: 1,2")
    parser.add_argument("--rounds", type=int, help="how often each engine has its turn (default 30)")
    parser.add_argument("--seconds", type=float, default=0.02, help="how long a turn lasts at least one call (default 0.02)")
    parser.add_argument("--quick", action="store_true", help="3 rounds and 10 calls compared; writes only with --out")
    parser.add_argument("--out", type=Path, help=f"folder of the results (default {RESULTS.parent.name}/{RESULTS.name})")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    chosen = arguments(words)
    rounds = chosen.rounds or (3 if chosen.quick else 30)
    settings = {"rounds": rounds, "seconds_a_turn": chosen.seconds, "quick": chosen.quick}
    out = chosen.out or (None if chosen.quick else RESULTS)
    sound = True
    for threads in chosen.threads:
        for name in chosen.workloads:

            def say(text: str, name: str = name, threads: int = threads) -> None:
                progress(f"{name}, threads {threads}: {text}")

            workload = WORKLOADS[name]
            checked = min(workload.CHECKED, 10) if chosen.quick else workload.CHECKED
            result = Measurement(name, workload, threads, chosen.engines, say).run(rounds, chosen.seconds, checked)
            progress("")
            print(table(result, threads), flush=True)
            sound = sound and result["agreement"]["holds"] and not result["failed"]
            if out is not None:
                save(out / f"{time.strftime('%Y-%m-%d')}-{threads}.json", threads, settings, {name: result})
    return 0 if sound else 1


if __name__ == "__main__":
    raise SystemExit(main())
