"""Zhang et al. (ICASSP 2019) as Keesing et al. 2020 (section 4.1) built it: frames of samples -> GRU -> attention.

Two convolutions look at each frame of 40 ms by itself, a GRU of two layers at the sequence of frames. The original
predicts arousal and valence at once; here as there in 2020, it is the label of one task.

The paper says that clips are cut at 5 s but not padded; its code pads all of them to 5 s, and so does this network's
feed. What the paper leaves open (GRU units, kernels, dropout) is taken from the code.

Shapes: B clips, N samples, T frames, S samples of a frame, D values of a frame, M feature maps, C labels.
"""

import dataclasses
import functools

import torch
from torch import nn
from torch.nn import functional

from raysee.config import TrainingConfig
from raysee.models.layers import AttentionPooling, initialise_as_keras, pad_same, recurrent_states
from raysee.models.network import Network

#: Frames that go through the convolutions at once. On a GPU those of a published batch: they fill some gigabytes, and
#: larger batches come when scoring. On a CPU fewer, because what does not fit into its caches takes twice as long.
_FRAMES_AT_ONCE, _FRAMES_AT_ONCE_ON_CPU = 8_000, 250


class LongKernel(nn.Conv1d):
    """A "same" convolution of stride 1 whose kernel is long: (B, M, S) -> (B, M, S).

    On a CPU it is a product of spectra, which takes a fifth of the time of a sum of products at 40 maps and a kernel
    of 40, forwards and backwards; the answer is the same but for rounding. It is in float32 there, whatever the
    precision. On a GPU it is the convolution that PyTorch has.
    """

    def forward(self, maps_BMS: torch.Tensor) -> torch.Tensor:
        padded = pad_same(maps_BMS, self.kernel_size, self.stride)
        if maps_BMS.device.type != "cpu":
            plain: torch.Tensor = super().forward(padded)
            return plain
        # A product of spectra is circular, but what wraps around lies behind the S samples that are kept. One more
        # than needed makes the published 359 a product of small primes.
        size = padded.shape[2] + 1
        spectra = torch.fft.rfft(padded.float(), size).permute(2, 0, 1)
        kernels = torch.fft.rfft(self.weight, size).conj().permute(2, 1, 0)
        summed: torch.Tensor = torch.fft.irfft(torch.bmm(spectra, kernels).permute(1, 2, 0), size)
        assert self.bias is not None
        return summed[:, :, : maps_BMS.shape[2]] + self.bias[:, None]


class Zhang(nn.Module):
    """Samples (B, N, 1) -> logits (B, C), by ceil(N / hop) frames; the last ones are filled up with zeros.

    The zeros that pad a short clip take part in everything: the published definition has no mask.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_labels: int,
        *,
        frame: int = 640,
        hop: int = 160,
        num_maps: int = 40,
        num_pooled_maps: int = 10,
        num_units: int = 128,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        assert shape == (1,), shape
        self.frame, self.hop, self.num_pooled_maps = frame, hop, num_pooled_maps
        self.dropout = nn.Dropout(dropout)
        self.first = nn.Conv1d(1, num_maps, 40)
        self.second = LongKernel(num_maps, num_maps, 40)
        self.recurrent = nn.GRU(frame // 2 * num_maps // num_pooled_maps, num_units, num_layers=2, batch_first=True)
        self.pool = AttentionPooling(num_units)
        self.output = nn.Linear(num_units, num_labels)
        self.apply(initialise_as_keras)

    def forward(self, wave_BN1: torch.Tensor) -> torch.Tensor:
        frames_BTS = self.dropout(frames(wave_BN1.squeeze(2), self.frame, self.hop))
        num_clips, num_frames, _ = frames_BTS.shape
        at_once = _FRAMES_AT_ONCE_ON_CPU if wave_BN1.device.type == "cpu" else _FRAMES_AT_ONCE
        parts = frames_BTS.flatten(0, 1).unsqueeze(1).split(at_once)
        described_BTD = torch.cat([self._describe(part) for part in parts]).view(num_clips, num_frames, -1)
        states_BTD = recurrent_states(self.recurrent, described_BTD)
        logits_BC: torch.Tensor = self.output(self.pool(states_BTD))
        return logits_BC

    def _describe(self, frames_B1S: torch.Tensor) -> torch.Tensor:
        """Frames of all clips, (B, 1, S) -> (B, D)."""
        maps_BMS = self.first(pad_same(frames_B1S, self.first.kernel_size, self.first.stride))
        # ReLU after the maximum: the same values from less work. The maximum of two keeps no copy for the way back.
        halved_BMS = torch.maximum(maps_BMS[:, :, 0::2], maps_BMS[:, :, 1::2]).relu()
        num_frames, _, num_samples = halved_BMS.shape
        grouped = self.second(halved_BMS).view(num_frames, -1, self.num_pooled_maps, num_samples)
        # A frame's values are all groups of maps of its first sample, then of its second, as in Keras.
        described_BD: torch.Tensor = grouped.amax(dim=2).relu().transpose(1, 2).flatten(1)
        return described_BD


def frames(wave_BN: torch.Tensor, frame: int, hop: int) -> torch.Tensor:
    """Samples (B, N) -> frames (B, ceil(N / hop), frame), a view of the samples with zeros behind them."""
    num_frames = -(-wave_BN.shape[1] // hop)
    missing = (num_frames - 1) * hop + frame - wave_BN.shape[1]
    return functional.pad(wave_BN, (0, missing)).unfold(1, frame, hop)


ZHANG = Network(
    source="Zhang et al. 2019; Keesing et al. 2020, section 4.1",
    features=("waveform",),
    unit="clip",
    training=TrainingConfig(batch_size=16),
    batching="shuffle",
    min_length=80_000,
    max_length=80_000,
    sizes={
        "published": Zhang,
        "debug": functools.partial(Zhang, frame=160, hop=1600, num_maps=10, num_pooled_maps=5, num_units=16),
    },
)

# As the paper has it, section 4.2: raw audio is cut and not padded, here beyond the longest clip of a batch.
ZHANG_UNPADDED = dataclasses.replace(ZHANG, min_length=1)
