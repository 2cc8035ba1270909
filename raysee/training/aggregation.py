"""From what a model says of examples to what it says of clips, whichever way was chosen."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from raysee.config import Aggregation
from raysee.evaluation.aggregate import by_clip
from raysee.models.score_lstm import NAME, ScoreLstm
from raysee.training.clips import Array, Indices

_LEAST = 1e-6  # a model that is sure gives 0, which has no logarithm


def of_clips(probabilities: Array, clip_of: Indices, how: Aggregation, lstm: ScoreLstm | None) -> tuple[Indices, Array]:
    """The clips in ascending order, and their probabilities (num_clips, num_labels) of those of their examples.

    Example i is of clip `clip_of[i]`. An `lstm`, for "lstm" alone, hears those of a clip in the order given.
    """
    if how != "lstm":
        return by_clip(probabilities, clip_of, how)
    assert lstm is not None, "whoever aggregates by an LSTM has fitted one"
    clips, scores = sequences(probabilities, clip_of)
    device = next(lstm.parameters()).device
    with torch.no_grad():
        logits = lstm([one.to(device) for one in scores])
    found: Array = functional.softmax(logits, dim=1).cpu().numpy()
    return clips, found


def sequences(probabilities: Array, clip_of: Indices) -> tuple[Indices, list[torch.Tensor]]:
    """The clips in ascending order, and of each what an LSTM hears: log-probabilities (num_examples, num_labels)."""
    clips, counts = np.unique(clip_of, return_counts=True)
    logarithms = torch.from_numpy(np.log(np.maximum(probabilities, _LEAST)))
    order = torch.from_numpy(np.argsort(clip_of, kind="stable"))
    return clips, list(torch.split(logarithms[order], counts.tolist()))


def lstm_of(model: nn.Module) -> ScoreLstm | None:
    """The one that is a part of a network that was delivered with it."""
    lstm = getattr(model, NAME, None)
    assert lstm is None or isinstance(lstm, ScoreLstm)
    return lstm
