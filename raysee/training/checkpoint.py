"""A training that was cut short goes on from its last checkpoint: tensors as safetensors, all else as JSON."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import safetensors.torch
import torch

from raysee import storage
from raysee.storage import join
from raysee.training.loop import Best, Course, Epoch

NAME = "checkpoint.json"


class Checkpoint(NamedTuple):
    """How far a training was, its weights then, and the `Trainer.state` that goes with them."""

    course: Course
    weights: dict[str, torch.Tensor]
    state: dict[str, torch.Tensor]


def save(place: str, checkpoint: Checkpoint) -> None:
    """Keep the last and the best weights below `place`, and nothing older.

    Which files these are is written when they are there, so that a kill at any moment leaves a whole checkpoint.
    """
    course = checkpoint.course
    last = f"last-{len(course.curve):05d}.safetensors"
    there = storage.names(place)
    earlier = json.loads(storage.read_bytes(join(place, NAME))) if NAME in there else {"best": None}
    _write(join(place, last), {"weights": checkpoint.weights, "state": checkpoint.state})
    best: dict[str, Any] | None = None
    if course.best is not None:
        name = f"best-{course.best.epoch:05d}.safetensors"
        # A file that nobody names is of a start that was killed, and may hold other weights of the same epoch.
        if earlier["best"] is None or earlier["best"]["file"] != name:
            _write(join(place, name), {"weights": course.best.weights})
        best = {"file": name, "epoch": course.best.epoch, "score": course.best.score}
    curve = [dataclasses.asdict(epoch) for epoch in course.curve]
    told = {"last": last, "best": best, "curve": curve, "wall_s": course.wall_s}
    storage.write_bytes(join(place, NAME), (json.dumps(told, indent=2) + "\n").encode())
    for name in there - {NAME, last, best and best["file"]}:
        storage.remove(join(place, name))


def load(place: str) -> Checkpoint | None:
    """The last checkpoint below `place`, or None before the first."""
    if not storage.exists(join(place, NAME)):
        return None
    told = json.loads(storage.read_bytes(join(place, NAME)))
    best = None
    if told["best"] is not None:
        weights = _read(join(place, told["best"]["file"]))["weights"]
        best = Best(tuple(told["best"]["score"]), told["best"]["epoch"], weights)
    groups = _read(join(place, told["last"]))
    course = Course([Epoch(**epoch) for epoch in told["curve"]], best, told["wall_s"])
    return Checkpoint(course, groups["weights"], groups["state"])


def _write(uri: str, groups: Mapping[str, Mapping[str, torch.Tensor]]) -> None:
    tensors = {f"{group}/{name}": tensor.contiguous() for group, its in groups.items() for name, tensor in its.items()}
    storage.write_bytes(uri, safetensors.torch.save(tensors))


def _read(uri: str) -> dict[str, dict[str, torch.Tensor]]:
    groups: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in safetensors.torch.load(storage.read_bytes(uri)).items():
        group, _, name = key.partition("/")
        groups.setdefault(group, {})[name] = tensor
    return groups
