"""Aldeneh & Mower Provost (ICASSP 2017) as Keesing et al. 2020 (section 4.1) built it.

Four convolutions over time, the maximum of each filter over the clip, two hidden layers. No dropout, no batch norm.

Shapes: B clips, T frames, F mel bands, C labels, D filters, K frames of a kernel; M tiles of clips, N frames of one, W
windows in one, Q frequencies, S tiles of a clip.
"""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from raysee.config import TrainingConfig
from raysee.models.network import SEQUENCES, Network

_TILE = 128  # frames that are transformed together
_AT_ONCE = 128  # tiles: what is made of so many stays in the cache of a core
_SHORTEST = 16  # frames of a kernel that is worth it


def _in_frequency(mel_BFT: torch.Tensor, num_kernel_frames: int) -> bool:
    """Whether a convolution is a product of spectra: on CPUs, for long kernels, much faster (docs/decisions.md).

    It follows from the shape of a clip alone, so that what is said of it does not depend on the others of its batch.
    """
    return (
        mel_BFT.device.type == "cpu"
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and _SHORTEST <= num_kernel_frames <= min(_TILE, mel_BFT.shape[2]) // 2
    )


def _tiles(num_frames: int, num_kernel_frames: int) -> tuple[int, list[int]]:
    """Frames of a tile, and where tiles begin that have every window of a clip in them. The last one ends with it."""
    size = min(_TILE, num_frames)
    last = num_frames - size
    return size, [*range(0, last, size - num_kernel_frames + 1), last]


def _spectra(weight_DFK: torch.Tensor, size: int) -> torch.Tensor:
    """Of kernels (Q, F, D), to multiply those of tiles of `size` frames with."""
    # The convolution of neural networks is a correlation: hence the conjugate.
    spectra_QFD: torch.Tensor = torch.fft.rfft(weight_DFK.permute(2, 1, 0), n=size, dim=0).conj().resolve_conj()
    return spectra_QFD


def _convolved(mel_BFT: torch.Tensor, spectra_QFD: torch.Tensor, num_kernel_frames: int) -> Iterator[torch.Tensor]:
    """By windows of a tile, its tiles and filters (W, M, D): the first tile of all clips first, some M at a time."""
    size, starts = _tiles(mel_BFT.shape[2], num_kernel_frames)
    tiles_NMF = torch.cat([mel_BFT[:, :, start : start + size] for start in starts]).permute(2, 0, 1)
    for some_NMF in torch.split(tiles_NMF, _AT_ONCE, dim=1):
        spectrum_QMD = torch.fft.rfft(some_NMF, dim=0) @ spectra_QFD
        yield torch.fft.irfft(spectrum_QMD, n=size, dim=0)[: size - num_kernel_frames + 1]


def _max_over_time(mel_BFT: torch.Tensor, spectra_QFD: torch.Tensor, num_kernel_frames: int) -> torch.Tensor:
    """The maximum over time (B, D) of a convolution in frequency."""
    best = [one_WMD.amax(dim=0) for one_WMD in _convolved(mel_BFT, spectra_QFD, num_kernel_frames)]
    return torch.cat(best).view(-1, len(mel_BFT), spectra_QFD.shape[2]).amax(dim=0)


def _max_and_where(mel_BFT: torch.Tensor, weight_DFK: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The maximum over time (B, D) of a convolution in frequency, and the first frame (B, D) of its window."""
    num_filters, _, num_kernel_frames = weight_DFK.shape
    size, starts = _tiles(mel_BFT.shape[2], num_kernel_frames)
    found = [one_WMD.max(dim=0) for one_WMD in _convolved(mel_BFT, _spectra(weight_DFK, size), num_kernel_frames)]
    best_SBD, at_SBD = (torch.cat(some).view(-1, len(mel_BFT), num_filters) for some in zip(*found, strict=True))
    value_BD, tile_BD = best_SBD.max(dim=0)
    return value_BD, (at_SBD + torch.tensor(starts)[:, None, None]).gather(0, tile_BD[None])[0]


class _ConvMaxOverTime(torch.autograd.Function):
    """The maximum over time of a convolution, with a backward pass that visits only the windows that won.

    All other windows have no gradient, so the dense backward pass multiplies by zeros: leaving it out makes a training
    step 1.7 times as fast on a CPU, with the same gradients.
    """

    @staticmethod
    def forward(ctx: Any, mel_BFT: torch.Tensor, weight_DFK: torch.Tensor, bias_D: torch.Tensor) -> torch.Tensor:
        if _in_frequency(mel_BFT, weight_DFK.shape[2]):
            value_BD, peak_BD = _max_and_where(mel_BFT, weight_DFK)
            value_BD = value_BD + bias_D
        else:
            value_BD, peak_BD = functional.conv1d(mel_BFT, weight_DFK, bias_D).max(dim=2)
        ctx.save_for_backward(mel_BFT, peak_BD)
        ctx.num_kernel_frames = weight_DFK.shape[2]
        return value_BD.to(mel_BFT.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BD: torch.Tensor) -> tuple[None, torch.Tensor, torch.Tensor]:
        mel_BFT, peak_BD = ctx.saved_tensors
        num_clips, num_bands, num_frames = mel_BFT.shape
        size = ctx.num_kernel_frames * num_bands
        # Frames follow each other in memory, so that a window is one row that can be copied at once.
        rows = mel_BFT.transpose(1, 2).contiguous()
        windows = rows.as_strided(
            (num_clips, num_frames - ctx.num_kernel_frames + 1, size), (num_frames * num_bands, num_bands, 1)
        )
        total = torch.zeros(peak_BD.shape[1], size, dtype=grad_BD.dtype, device=grad_BD.device)
        won = torch.empty_like(total)
        for clip in range(num_clips):
            torch.index_select(windows[clip], 0, peak_BD[clip], out=won)
            total.addcmul_(won, grad_BD[clip, :, None])
        weight_grad_DKF = total.view(-1, ctx.num_kernel_frames, num_bands)
        return None, weight_grad_DKF.transpose(1, 2), grad_BD.sum(0)


class ConvMaxOverTime(nn.Conv1d):
    """Convolution over time, ReLU, maximum over time: (B, F, T) -> (B, D).

    It is a first layer: its input gets no gradient.
    """

    def __init__(self, num_bands: int, num_filters: int, num_kernel_frames: int) -> None:
        super().__init__(num_bands, num_filters, num_kernel_frames)
        self._known: dict[int, torch.Tensor] = {}  # spectra of the kernels by the frames of a tile
        self._known_of = (0, 0)  # which weights, and how often they were changed

    def forward(self, mel_BFT: torch.Tensor) -> torch.Tensor:
        assert self.bias is not None
        if torch.is_grad_enabled():
            self._known = {}  # a fused optimiser changes the weights without counting it
            value_BD: torch.Tensor = _ConvMaxOverTime.apply(  # type: ignore[no-untyped-call]
                mel_BFT, self.weight, self.bias
            )
        elif _in_frequency(mel_BFT, self.weight.shape[2]):
            value_BD = _max_over_time(mel_BFT, self._spectra(mel_BFT.shape[2]), self.weight.shape[2]) + self.bias
        else:
            value_BD = super().forward(mel_BFT).amax(dim=2)
        return value_BD.relu()

    def _spectra(self, num_frames: int) -> torch.Tensor:
        """Of the kernels, as long as they stay as they are: who scores asks small batches, and these cost as much."""
        if self._known_of != (now := (self.weight.data_ptr(), self.weight._version)):
            self._known, self._known_of = {}, now
        size, _ = _tiles(num_frames, self.weight.shape[2])
        if size not in self._known:
            self._known[size] = _spectra(self.weight, size)
        return self._known[size]


class Aldeneh(nn.Module):
    """Log-mels (B, T, F), T at least the longest kernel -> logits (B, C).

    Frames that pad a short clip take part in the maximum: the published definition has no mask. It has no `dropout`
    either, which would be of the maxima.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_labels: int,
        *,
        num_filters: int = 384,
        num_hidden: int = 1024,
        kernels: Sequence[int] = (8, 16, 32, 64),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        (num_bands,) = shape
        self.branches = nn.ModuleList(ConvMaxOverTime(num_bands, num_filters, kernel) for kernel in kernels)
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Sequential(
            nn.Linear(num_filters * len(kernels), num_hidden),
            nn.ReLU(),
            nn.Linear(num_hidden, num_hidden),
            nn.ReLU(),
        )
        self.output = nn.Linear(num_hidden, num_labels)
        self.apply(_initialise)

    def forward(self, mel_BTF: torch.Tensor) -> torch.Tensor:
        mel_BFT = mel_BTF.transpose(1, 2).contiguous()
        pooled = torch.cat([branch(mel_BFT) for branch in self.branches], dim=1)
        logits_BC: torch.Tensor = self.output(self.hidden(self.dropout(pooled)))
        return logits_BC


def _initialise(module: nn.Module) -> None:
    """Keras's he_normal on every kernel: a normal distribution cut at two standard deviations; biases are zero."""
    if isinstance(module, (nn.Conv1d, nn.Linear)):
        fan_in = module.weight[0].numel()
        # The cut narrows the distribution by 0.8796; Keras widens it again, so that the variance is 2 / fan_in.
        std = (2 / fan_in) ** 0.5 / 0.87962566103423978
        nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
        assert module.bias is not None
        nn.init.zeros_(module.bias)


ALDENEH = Network(
    source="Aldeneh & Mower Provost 2017; Keesing et al. 2020, section 4.1",
    features=("logmel40", "logmel240", "spectrogram240", *SEQUENCES),
    unit="clip",
    training=TrainingConfig(batch_size=32),
    length_multiple=64,
    sizes={
        "published": Aldeneh,
        "debug": functools.partial(Aldeneh, num_filters=32, num_hidden=64),
    },
)

# Column A3: clips of one length, which the paper's code (release alta2020) does not pad to a multiple.
ALDENEH_FIXED = dataclasses.replace(
    ALDENEH, features=("spectrogram240", "spectrogram40"), length_multiple=1, min_length=64
)
