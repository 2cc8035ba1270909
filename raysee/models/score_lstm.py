"""Long short-term memory over what a network says of the windows of a clip in their order, which answers for the clip.

An article on AlexNet and RAVDESS announces an LSTM as its next step and says nothing more of it; a student report of
2015 (section 3.3) has one over the chunks of a file and does not say where it answers: here after the last one. That it
adds to the mean of the windows, its 32 units and how it is fitted (training/fit_lstm.py) are chosen here.

Shapes: B clips, T windows, C labels.
"""

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence

#: It is a part of the network that is delivered, under this name: one file holds the weights of both.
NAME = "aggregation"

NUM_UNITS = 32


class ScoreLstm(nn.Module):
    """Log-probabilities of the windows of each clip (T, C) -> logits (B, C).

    The logits are those of the mean probabilities, and what the LSTM adds to them, at first nothing. So whoever has
    little to learn from answers as by the mean: few clips, or a network that knows those it is asked about by heart.
    """

    def __init__(self, num_labels: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(num_labels, NUM_UNITS)
        self.output = nn.Linear(NUM_UNITS, num_labels)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, scores: Sequence[torch.Tensor]) -> torch.Tensor:
        mean_BC = torch.stack([one_TC.logsumexp(dim=0) - math.log(len(one_TC)) for one_TC in scores])
        # In float32 under mixed precision too: a CPU without AVX-512 has no LSTM in bfloat16.
        with torch.autocast(mean_BC.device.type, enabled=False):
            _, (last, _) = self.lstm(pack_sequence(list(scores), enforce_sorted=False))
            added_BC: torch.Tensor = self.output(last[0])
        return mean_BC + added_BC
