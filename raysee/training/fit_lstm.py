"""Fit the LSTM that hears what a model says of a clip's examples in their order, and answers for the clip."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from raysee.config import RunConfig
from raysee.evaluation.protocols import protocol
from raysee.models.score_lstm import ScoreLstm
from raysee.training.aggregation import sequences
from raysee.training.clips import Array, Clips, Examples, Indices
from raysee.training.loop import example_weights

# Chosen by its answers for EMO-DB and RAVDESS, see docs/decisions.md.
_EPOCHS = 10
_LEARNING_RATE = 3e-3
_BATCH_SIZE = 32  # clips


def fit_lstm(
    config: RunConfig, clips: Clips, labels: Sequence[str], probabilities: Array, clip_of: Indices, seed: int
) -> ScoreLstm:
    """An LSTM fitted on `probabilities` (num_examples, num_labels), what a model says of its own training part.

    Example i is of clip `clip_of[i]`, and the order of `labels` is that of the classes. Neither the validation part,
    which calibrates, nor the test part is heard. Classes weigh as the protocol has it, counted in these clips alone.
    Deterministic for a seed on one thread of a CPU.
    """
    heard, scores = sequences(probabilities, clip_of)
    classes = np.array([labels.index(clips.labels[clip]) for clip in heard.tolist()])
    whole = Examples(heard, clips.offsets[heard], np.diff(clips.offsets)[heard])
    everybody = np.arange(len(heard))
    weights = example_weights(protocol(config.protocol), clips, whole, classes, everybody) ** config.training.balance
    targets = torch.from_numpy(classes)
    torch.manual_seed(seed)
    lstm = ScoreLstm(len(labels))
    optimiser = torch.optim.Adam(lstm.parameters(), _LEARNING_RATE)
    for _ in range(_EPOCHS):
        for batch in torch.split(torch.randperm(len(heard)), _BATCH_SIZE):
            optimiser.zero_grad()
            logits = lstm([scores[number] for number in batch.tolist()])
            loss = functional.cross_entropy(logits, targets[batch], reduction="none").dot(weights[batch]) / len(batch)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return lstm.eval()
