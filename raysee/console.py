"""What the commands print: progress on a screen, and what a stage did."""

import contextlib
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from raysee.progress import OnProgress
from raysee.receipts import Receipt, Stage


def say(text: str) -> None:
    """Print a line as it is, however long."""
    Console(highlight=False, markup=False).print(text, soft_wrap=True)


@contextlib.contextmanager
def progress(unit: str) -> Iterator[OnProgress]:
    """A bar of so many `unit` on the standard error stream, where that is a screen."""
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit + ","),
        TimeElapsedColumn(),
        TextColumn("{task.fields[remark]}"),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(unit, total=None, remark="")
        yield lambda done, total, remark: progress.update(task, completed=done, total=total, remark=remark)


def say_stage(stage: Stage, more: str) -> str:
    """Print what a stage did, and return where it lies."""
    receipt = stage.receipt
    how = "found finished" if stage.found else f"{receipt.wall_s:.1f} s"
    synthetic = " (synthetic)" if receipt.details.get("synthetic") else ""
    rejected = f", rejected {receipt.counts['rejected']} ({counts(receipt.rejects)})" if receipt.rejects else ""
    say(f"{receipt.stage}{synthetic}: {receipt.counts['out']} of {receipt.counts['in']}{rejected}, {how}")
    say(f"  {more}")
    say(f"  {stage.place}")
    return stage.place


def counts(counted: dict[str, int]) -> str:
    """Counts by name, in one line."""
    return ", ".join(f"{name} {count}" for name, count in counted.items())


def figures(receipt: Receipt) -> str:
    """The figures of a training run, in one line, with the protocol that they were made under."""
    found, protocol = receipt.details["metrics"], receipt.config["protocol"]
    if not found:
        return f"protocol {protocol['name']}: fitted on all clips, so no figure says how good the model is"
    whose = "validation speakers, who chose the epoch" if receipt.stage == "train-large" else "speakers"
    leaks = f" (leaks {protocol['leaks']})" if protocol["leaks"] else ""
    return "; ".join(
        [
            f"protocol {protocol['name']}{leaks}: UAR {found['uar_mean_of_folds']:.1%} (mean of folds), "
            f"{found['uar_pooled']:.1%} (pooled)",
            f"accuracy {found['accuracy']:.1%}",
            f"chance {found['chance']:.1%}",
            f"{found['num_speakers']} {whose}",
        ]
    )
