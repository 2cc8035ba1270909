"""Chunks of 512 ms, as two spectrograms and as 26 numbers: the inputs of a report on CNNs and LSTMs.

The report, on the Berlin, SAVEE and eNTERFACE'05 corpora: 16 kHz; magnitudes of FFTs of 2048 points; one channel of
40 ms frames, which resolve pitch, and one of 5 ms frames, which resolve time, both every 2 ms; the logarithm; 1 to
2000 Hz; chunks of 512 ms that do not overlap, resized to 64 x 64 x 2. Its Table 1 lists the 26 numbers: level 1,
MFCC 13, zero crossings 1, band energies 4, roll-off 5, centroid 1, pitch 1.

Chosen here, where the report is silent: Hamming windows, both channels' frames around the same moments, a floor of
1e-5 for magnitudes, bilinear resizing, and all that ChunkFeatures says about itself.
"""

import functools
import math
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, model_validator

from raysee.audio.decode import Samples
from raysee.config import Config
from raysee.features.image import filled, resized, samples_in

Array = npt.NDArray[np.float32]
# N chunks, S samples of a chunk or frame, T frames, F frequencies, C channels.


class Chunks(Config):
    """Configuration and function: samples (num_samples,) -> spectrograms (num_chunks, size, size, num_channels)."""

    kind: Literal["chunks"] = "chunks"
    version: int = 1  # raised when the numbers change
    size: int = Field(64, ge=1)  # pixels in each direction
    sample_rate_hz: int = Field(16_000, ge=1)
    frames_ms: tuple[float, ...] = Field((40.0, 5.0), min_length=1)  # one for each channel
    hop_ms: float = 2.0
    num_frames: int = Field(256, ge=1)  # of a chunk, before resizing
    fft_size: int = 2_048
    low_hz: float = 1.0
    high_hz: float = 2_000.0
    floor: float = Field(1e-5, gt=0)

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        hop = samples_in(self.hop_ms, self.sample_rate_hz)
        for frame_ms in self.frames_ms:
            if not 1 <= hop <= samples_in(frame_ms, self.sample_rate_hz) <= self.fft_size:
                raise ValueError(f"frames of {frame_ms} ms every {self.hop_ms} ms do not fit an FFT of {self.fft_size}")
        bins = self._bins
        if not (0 <= bins.start < bins.stop and self.high_hz <= self.sample_rate_hz / 2):
            raise ValueError(
                f"a band of {self.low_hz} to {self.high_hz} Hz does not fit an FFT of {self.fft_size} "
                f"at {self.sample_rate_hz} Hz"
            )
        return self

    @property
    def num_columns(self) -> int:
        """The last axis: a channel for each length of frames."""
        return len(self.frames_ms)

    @property
    def typical_values(self) -> int:
        """The numbers in the array of a clip of 4 s, about."""
        return round(4000 / (self.num_frames * self.hop_ms)) * self.size**2 * self.num_columns

    def __call__(self, samples: Samples) -> Array:
        """Log-magnitudes (num_chunks, size, size, num_channels) of samples (num_samples,) at `sample_rate_hz`.

        Frequency, lowest first, then time. num_chunks is floor(num_samples / 8192) at 16 kHz, what is left at the end
        is dropped; a clip shorter than one chunk is filled up with zeros. Raises TooShort without any sample.
        """
        hop = samples_in(self.hop_ms, self.sample_rate_hz)
        chunk = self.num_frames * hop
        signal = filled(samples, chunk, self.sample_rate_hz)
        num_chunks = len(signal) // chunk
        channels = []
        for frame_ms in self.frames_ms:
            frame = samples_in(frame_ms, self.sample_rate_hz)
            # Frame t lies around the middle of hop t, whatever its length; beyond the clip there are zeros.
            padded = torch.from_numpy(np.pad(signal, (frame // 2 - hop // 2, frame)))
            frames_TS = padded.unfold(0, frame, hop)[: num_chunks * self.num_frames]
            logs_TF = self._log_magnitudes(frames_TS)
            channels.append(logs_TF.view(num_chunks, self.num_frames, -1).transpose(1, 2))
        return resized(torch.stack(channels, dim=3), self.size).numpy()

    def _log_magnitudes(self, frames_TS: torch.Tensor) -> torch.Tensor:
        num_frames, num_samples = frames_TS.shape
        windowed = torch.zeros(num_frames, self.fft_size)
        window = torch.hamming_window(num_samples, periodic=False)
        torch.mul(frames_TS, window, out=windowed[:, :num_samples])
        spectrum = torch.view_as_real(torch.fft.rfft(windowed)[:, self._bins])
        power = spectrum.square().sum(dim=-1)
        return power.clamp_(min=self.floor**2).log_().mul_(0.5)

    @property
    def _bins(self) -> slice:
        bin_hz = self.sample_rate_hz / self.fft_size
        return slice(math.ceil(self.low_hz / bin_hz), math.floor(self.high_hz / bin_hz) + 1)


class ChunkFeatures(Config):
    """Configuration and function: samples (num_samples,) -> hand-built features (num_chunks, 26), by librosa.

    Frames of 40 ms every 10 ms under a Hann window. Means over a chunk's frames of: the RMS level; MFCC 0 to 12 of 40
    mel bands in dB; zero crossings a sample; the frequencies in Hz below which 50, 75, 85, 90 and 95 % of the
    magnitude lie; the centroid in Hz. Energies in dB of four bands equally wide in mels. The median of the pitch in Hz
    by YIN between 60 and 500 Hz, 0 where a chunk is constant.
    """

    kind: Literal["chunkfeatures"] = "chunkfeatures"
    version: int = 1  # raised when the numbers change
    sample_rate_hz: int = Field(16_000, ge=2_000)
    chunk_ms: float = 512.0
    frame_ms: float = 40.0
    hop_ms: float = 10.0
    fft_size: int = 1_024  # of YIN's frames, too
    num_mel_bands: int = Field(40, ge=1)
    num_coefficients: int = Field(13, ge=1)
    num_bands: int = Field(4, ge=1)
    rolloffs: tuple[float, ...] = (0.5, 0.75, 0.85, 0.9, 0.95)
    lowest_pitch_hz: float = 60.0
    highest_pitch_hz: float = 500.0
    floor: float = Field(1e-10, gt=0)  # of energies

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        hop, frame, chunk = (
            samples_in(duration_ms, self.sample_rate_hz) for duration_ms in (self.hop_ms, self.frame_ms, self.chunk_ms)
        )
        if not 1 <= hop <= frame <= self.fft_size <= chunk:
            raise ValueError(
                f"an FFT of {self.fft_size} does not hold frames of {self.frame_ms} ms every {self.hop_ms} ms, or does "
                f"not fit a chunk of {self.chunk_ms} ms"
            )
        if not all(0 < share < 1 for share in self.rolloffs):
            raise ValueError(f"roll-offs of {self.rolloffs} are not shares between 0 and 1")
        if self.num_coefficients > self.num_mel_bands:
            raise ValueError(f"{self.num_mel_bands} mel bands do not give {self.num_coefficients} coefficients")
        two_periods_hz, nyquist_hz = 2 * self.sample_rate_hz / self.fft_size, self.sample_rate_hz / 2
        if not two_periods_hz <= self.lowest_pitch_hz < self.highest_pitch_hz < nyquist_hz:
            raise ValueError(
                f"a pitch of {self.lowest_pitch_hz} to {self.highest_pitch_hz} Hz does not fit frames of "
                f"{self.fft_size} samples at {self.sample_rate_hz} Hz"
            )
        return self

    @property
    def num_columns(self) -> int:
        """The features of a chunk."""
        return 1 + self.num_coefficients + 1 + self.num_bands + len(self.rolloffs) + 1 + 1

    @property
    def typical_values(self) -> int:
        """The numbers in the array of a clip of 4 s, about."""
        return round(4000 / self.chunk_ms) * self.num_columns

    def __call__(self, samples: Samples) -> Array:
        """Features (num_chunks, 26), in the order of the report's Table 1, of samples at `sample_rate_hz`.

        Chunks are those of Chunks. Raises TooShort without any sample.
        """
        import librosa

        rate, fft_size, hop = self.sample_rate_hz, self.fft_size, samples_in(self.hop_ms, self.sample_rate_hz)
        frame, chunk = samples_in(self.frame_ms, rate), samples_in(self.chunk_ms, rate)
        signal = filled(samples, chunk, rate)
        chunks_NS = signal[: len(signal) // chunk * chunk].reshape(-1, chunk)
        framed = {"frame_length": frame, "hop_length": hop, "center": False}
        magnitude_NFT = np.abs(
            librosa.stft(chunks_NS, n_fft=fft_size, win_length=frame, hop_length=hop, center=False, window="hann")
        )
        power_NFT = np.square(magnitude_NFT)
        # Not librosa's 80 dB below the maximum: it is taken over all chunks, and a chunk must not know the others.
        in_db = functools.partial(librosa.power_to_db, amin=self.floor, top_db=None)
        mels = librosa.feature.melspectrogram(S=power_NFT, sr=rate, n_mels=self.num_mel_bands)
        edges = librosa.mel_frequencies(self.num_bands + 1, fmin=0.0, fmax=rate / 2, htk=True)
        first_bins = np.searchsorted(np.arange(fft_size // 2 + 1) * rate / fft_size, edges[:-1])
        bands = np.add.reduceat(power_NFT.mean(axis=2), first_bins, axis=1)
        pitch = librosa.yin(
            chunks_NS,
            fmin=self.lowest_pitch_hz,
            fmax=self.highest_pitch_hz,
            sr=rate,
            frame_length=fft_size,
            hop_length=hop,
            center=False,
        )
        is_constant = np.ptp(chunks_NS, axis=1, keepdims=True) == 0
        columns = [
            librosa.feature.rms(y=chunks_NS, **framed).mean(axis=2),
            librosa.feature.mfcc(S=in_db(mels), n_mfcc=self.num_coefficients).mean(axis=2),
            librosa.feature.zero_crossing_rate(chunks_NS, **framed).mean(axis=2),
            in_db(bands),
            *(
                librosa.feature.spectral_rolloff(S=magnitude_NFT, sr=rate, roll_percent=share).mean(axis=2)
                for share in self.rolloffs
            ),
            librosa.feature.spectral_centroid(S=magnitude_NFT, sr=rate).mean(axis=2),
            np.where(is_constant, 0.0, np.median(pitch, axis=1, keepdims=True)),
        ]
        return np.concatenate(columns, axis=1, dtype=np.float32)
