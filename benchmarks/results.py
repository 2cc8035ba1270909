"""Measuring in turns, and writing what was measured."""

import datetime
import json
import os
import pathlib
import statistics
import sys
from collections.abc import Callable, Sequence
from typing import Any

from raysee import receipts

FOLDER = pathlib.Path(__file__).parent / "results"


def in_turn(contestants: dict[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """Call each in turn, `repeats` times over, so that a machine that slows down slows all of them."""
    figures: dict[str, list[float]] = {name: [] for name in contestants}
    for repeat in range(repeats):
        for name, measure in contestants.items():
            figures[name].append(measure())
            print(f"  {repeat + 1}/{repeats} {name}: {figures[name][-1]:,.0f}", flush=True)
    return figures


def compared(
    what: str,
    peer: str,
    figures: dict[str, list[float]],
    *,
    unit: str,
    target: float | None = None,
    factor: float = 1.0,
) -> dict[str, Any]:
    """A row of `what` beside `peer`, of figures taken in turn: medians, spread, and the median of the pairs' ratios.

    `factor` multiplies the peer, where the wanted figure is so many times as good as `factor` peers.
    """
    pairs = zip(figures[what], figures[peer], strict=True)
    return {
        "what": what,
        "value": round(statistics.median(figures[what]), 1),
        "unit": unit,
        "spread": [round(min(figures[what]), 1), round(max(figures[what]), 1)],
        "peer": peer if factor == 1 else f"{factor:g} x {peer}",
        "peer_value": round(factor * statistics.median(figures[peer]), 1),
        "ratio": round(statistics.median(mine / (factor * its) for mine, its in pairs), 3),
        "target": target,
    }


def percent(share: float | None) -> float | None:
    """A share, or a difference of shares, in per cent with one decimal; None where there is none."""
    return None if share is None else round(100 * share, 1)


def real_data() -> str:
    """The folder with real recordings; the benchmark ends with a sentence where RAYSEE_REAL_DATA names none."""
    found = os.environ.get("RAYSEE_REAL_DATA")
    if not found:
        sys.exit("RAYSEE_REAL_DATA names no folder with real recordings")
    return found


def write(name: str, rows: Sequence[dict[str, Any]], *, keep: bool = False) -> None:
    """Write results/NAME.json and print it in short.

    With `keep`, rows of an earlier start that this one has not made again stay, with their date and machine: what takes
    many hours is measured in parts.
    """
    path, kept = FOLDER / f"{name}.json", []
    if keep and path.exists():
        earlier = json.loads(path.read_text())
        its = {"date": earlier["date"], "machine": earlier["machine"]}
        made = {row["what"] for row in rows}
        kept = [
            {**row, **{key: row.get(key, its[key]) for key in its}}
            for row in earlier["rows"]
            if row["what"] not in made
        ]
    versions = receipts.versions()
    result = {
        "name": name,
        "date": datetime.date.today().isoformat(),
        "machine": receipts.machine(),
        "versions": versions,
        "rows": [*kept, *rows],
    }
    FOLDER.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    for row in rows:
        reached = f", {row['ratio']:.2f} x {row['peer']}" if "peer" in row else ""
        print(f"{row['what']}: {row['value']:,} {row['unit']}{reached} (wanted {row.get('target', '-')})")
