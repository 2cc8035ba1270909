"""Receipts: what a stage did, written last. A stage that finds its receipt has nothing to do."""

import datetime
import importlib.metadata
import json
import os
import platform
import sys
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from raysee import __version__, lock, storage
from raysee.config import fingerprint
from raysee.errors import ConfigurationError

NAME = "receipt.json"
PLAN = "plan.parquet"
_CLAIM = "claim.json"
_OUTPUTS = {
    *("clips", "rejects", PLAN),
    *("folds", "predictions.parquet", "model.json", "model.safetensors", "report.html", "look.html", "audit.html"),
    *("config.json", "cells.parquet", "cross.html"),
}
_PACKAGES = ("numpy", "pyarrow", "ray", "scikit-learn", "soundfile", "torch")


class Receipt(BaseModel):
    """What went in, what came out, with which configuration, where, when and how fast."""

    model_config = ConfigDict(frozen=True)

    stage: str
    fingerprint: str  # of what came out
    config: dict[str, Any]
    inputs: dict[str, str]  # name -> fingerprint or place
    counts: dict[str, int]  # in = out + rejected
    rejects: dict[str, int]  # error class -> rows
    details: dict[str, Any] = {}
    wall_s: float
    written_at: str = ""
    versions: dict[str, str] = {}
    machine: str = ""


class Stage(NamedTuple):
    """A finished stage: where it lies, its receipt, and whether it had been finished before."""

    place: str
    receipt: Receipt
    found: bool


def write(place: str, receipt: Receipt, name: str = NAME) -> Receipt:
    """Stamp a receipt with time, versions and machine, and write it below `place`."""
    stamped = receipt.model_copy(
        update={
            "written_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "versions": versions(),
            "machine": machine(),
        }
    )
    storage.write_bytes(storage.join(place, name), (stamped.model_dump_json(indent=2) + "\n").encode())
    return stamped


def read(place: str, name: str = NAME) -> Receipt | None:
    """The receipt below `place`, or None where its stage has not finished."""
    uri = storage.join(place, name)
    if not storage.exists(uri):
        return None
    try:
        return Receipt.model_validate(json.loads(storage.read_bytes(uri)))
    except (ValidationError, ValueError) as error:
        again = "run its stage again with --overwrite" if name == NAME else "delete it and start its night again"
        raise ConfigurationError(f"{uri} is not a receipt of this version of raysee: {again}.") from error


def find(place: str, stage: str, digits: str, config: dict[str, Any]) -> Receipt | None:
    """The receipt of this very work, whose fingerprint is `digits`, or None where it is not finished.

    Raises ConfigurationError where the place belongs to other work, finished or not.
    """
    uri = storage.join(place, _CLAIM)
    if not storage.exists(uri):
        return None
    found = json.loads(storage.read_bytes(uri))
    if (found["stage"], found["fingerprint"]) != (stage, digits):
        changed = sorted(key for key in config if found["config"].get(key) != config[key])
        replace = ", or pass --overwrite to replace it" if found["stage"] == stage else ""
        raise ConfigurationError(
            f"{place} was written by another {found['stage']} ({found['fingerprint']}, this one is {digits}; "
            f"different: {', '.join(changed) or 'the stage'}). "
            f"Choose another --to{replace}."
        )
    return read(place)


def finished(place: str, stage: str, config: dict[str, Any]) -> Stage | None:
    """The stage that has done the work of `config`, as `find` has it."""
    receipt = find(place, stage, fingerprint(config), config)
    return Stage(place, receipt, found=True) if receipt else None


def clear(place: str, stage: str) -> None:
    """Delete what an earlier start of `stage` has written below `place`, and nothing else.

    Raises ConfigurationError where the place holds files but no claim of that stage.
    """
    there = storage.names(place) - {lock.NAME}
    if not there:
        return
    if _CLAIM not in there or json.loads(storage.read_bytes(storage.join(place, _CLAIM)))["stage"] != stage:
        raise ConfigurationError(f"{place} was not written by {stage}: nothing is deleted, choose another --to.")
    # First what says that something is finished, last what says whose it is: a kill in between leaves nothing false.
    own = [NAME, "done", *sorted(there & _OUTPUTS), _CLAIM]
    for name in own:
        storage.remove(storage.join(place, name))


def claim(place: str, stage: str, digits: str, config: dict[str, Any]) -> None:
    """Say whose work a place is going to hold, before anything else is written there."""
    claimed = {"stage": stage, "fingerprint": digits, "config": config}
    storage.write_bytes(storage.join(place, _CLAIM), (json.dumps(claimed, indent=2) + "\n").encode())


def versions() -> dict[str, str]:
    """Versions of what decides the numbers."""
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {"raysee": __version__, "python": platform.python_version(), **found}


def machine() -> str:
    """Cores, processor and memory, in words."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {_processor()}, {memory_gib:.0f} GiB"


def _processor() -> str:
    if sys.platform == "linux":
        with open("/proc/cpuinfo") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
