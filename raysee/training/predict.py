"""What a fitted network says of examples and of clips."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from raysee.config import Aggregation
from raysee.models.network import Network
from raysee.training.aggregation import lstm_of, of_clips
from raysee.training.batches import Batch, Batches, Ordered, cut_lengths, end_to_end, padded_rows
from raysee.training.clips import Array, examples


def logits(model: nn.Module, spec: Network, batch: Batch) -> torch.Tensor:
    """(B, num_labels)."""
    answer: torch.Tensor = model(batch.values, batch.lengths) if spec.masks else model(batch.values)
    return answer


def predict(model: nn.Module, spec: Network, batches: Ordered) -> Array:
    """Class probabilities (num_examples, num_labels) by position, ascending.

    Where a network does not mask padding, they depend a little on the longest clip of the batch.
    """
    model.eval()
    positions, probabilities = [], []
    with torch.no_grad():
        for batch in batches.in_order():
            positions.append(batch.positions)
            probabilities.append(functional.softmax(logits(model, spec, batch).float(), dim=1))
    if not positions:
        return np.empty((0, 0), dtype=np.float32)
    order = torch.cat(positions).argsort()
    answers: Array = torch.cat(probabilities)[order].cpu().numpy()
    return answers


def predict_clips(
    model: nn.Module,
    spec: Network,
    clips: Sequence[Array],
    *,
    batch_size: int,
    hop_ms: int,
    aggregation: Aggregation,
    device: str = "cpu",
) -> Array:
    """Class probabilities (num_clips, num_labels) of standardised clips, each (num_rows, *shape).

    `device` is where the model is. What is said of a clip does not depend on the others: where a network does not mask
    padding, only clips that are padded alike share a batch.
    """
    values, offsets = end_to_end(clips)
    seen = examples(offsets, values.shape[1:], spec.unit, hop_ms)
    rows = np.zeros(len(seen.clip), np.int64)
    if spec.unit == "clip" and not spec.masks:
        length = cut_lengths(spec, seen.length)
        rows = np.array([padded_rows(spec, length[[number]]) for number in range(len(length))])
    groups = [np.flatnonzero(rows == number) for number in np.unique(rows)]
    tensor = torch.from_numpy(values).to(device)
    answers = [predict(model, spec, Batches(spec, tensor, seen, group, batch_size)) for group in groups]
    probabilities = np.concatenate(answers)[np.argsort(np.concatenate(groups), kind="stable")]
    return of_clips(probabilities, seen.clip, aggregation, lstm_of(model))[1]
