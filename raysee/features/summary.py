"""Flat features and feature arrays: what the MLP and the CNN of a study of RAVDESS (S001) are fed.

At 22,050 Hz, by librosa's definitions and defaults (centred frames of 2048 samples every 512, Hann): 40 MFCCs of a mel
spectrogram in dB, 12 chroma bins, and the power in 128 mel bands, in this order: 180 rows over time.

The flat vector is the mean of each row; its chroma is that of magnitudes. The array has 275 frames, zeros behind
shorter clips; its chroma is that of powers; then each row is standardised over all 275 frames, the zeros included. The
study's text tells the rate and of MFCCs, its code (github.com/kduane/speech_emotion_recognition) the rest. There a clip
of more than 275 frames (6.4 s) keeps them all and fits no network; here it is cut. The study's array is (180, 275);
here time comes first, as in every front-end. librosa now puts zeros before and behind a clip, in 2020 its mirror image.
"""

import warnings
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from raysee.audio.decode import Samples
from raysee.config import Config
from raysee.evaluation import standardise
from raysee.features.frontend import TooShort


class _Rows(Config):
    """What both have in common."""

    version: int = 1  # raised when the numbers change
    sample_rate_hz: int = Field(22_050, ge=1)
    num_mfccs: int = Field(40, ge=1)
    num_chroma: int = Field(12, ge=1)
    num_bands: int = Field(128, ge=1)
    fft_size: int = Field(2_048, ge=2)
    hop_size: int = Field(512, ge=1)  # in samples

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.num_mfccs > self.num_bands:
            raise ValueError(f"{self.num_mfccs} MFCCs cannot be made of {self.num_bands} mel bands")
        return self

    @property
    def num_columns(self) -> int:
        """MFCCs, chroma bins and mel bands: 180."""
        return self.num_mfccs + self.num_chroma + self.num_bands

    @property
    def typical_values(self) -> int:
        """The numbers in the array of a clip of 4 s, about."""
        return self.num_columns

    def _values(self, samples: Samples, chroma_exponent: int) -> npt.NDArray[np.float32]:
        """(num_frames, num_columns); one frame and another for every `hop_size` samples. Raises TooShort."""
        import librosa  # takes a second, which only those who need it shall wait

        if len(samples) == 0:
            raise TooShort("0 samples, a frame needs at least one")
        with warnings.catch_warnings():
            # That a clip is shorter than a frame, or has no pitch that its chroma could be tuned to.
            warnings.simplefilter("ignore", UserWarning)
            signal = np.asarray(samples, np.float32)
            magnitudes = np.abs(librosa.stft(signal, n_fft=self.fft_size, hop_length=self.hop_size))
            power = magnitudes**2
            mel = librosa.feature.melspectrogram(S=power, sr=self.sample_rate_hz, n_mels=self.num_bands)
            mfcc = librosa.feature.mfcc(S=librosa.power_to_db(mel), n_mfcc=self.num_mfccs)
            chroma = librosa.feature.chroma_stft(
                S=magnitudes if chroma_exponent == 1 else power, sr=self.sample_rate_hz, n_chroma=self.num_chroma
            )
        return np.ascontiguousarray(np.concatenate([mfcc, chroma, mel]).T, np.float32)


class Summary(_Rows):
    """Configuration and function: samples (num_samples,) -> flat features (1, 180)."""

    kind: Literal["summary"] = "summary"

    def __call__(self, samples: Samples) -> npt.NDArray[np.float32]:
        """The means over time, (1, num_columns), of samples (num_samples,) at `sample_rate_hz`.

        Raises TooShort where there is no sample.
        """
        values = self._values(samples, chroma_exponent=1)
        means: npt.NDArray[np.float32] = values.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
        return means


class FeatureArray(_Rows):
    """Configuration and function: samples (num_samples,) -> feature array (275, 180)."""

    kind: Literal["array"] = "array"
    num_frames: int = Field(275, ge=1)

    @property
    def typical_values(self) -> int:
        """The numbers in every array."""
        return self.num_frames * self.num_columns

    def __call__(self, samples: Samples) -> npt.NDArray[np.float32]:
        """The array (num_frames, num_columns) of samples (num_samples,) at `sample_rate_hz`.

        Each column has mean 0 and standard deviation 1, or is 0 where it is constant. Raises TooShort where there is
        no sample.
        """
        values = self._values(samples, chroma_exponent=2)[: self.num_frames]
        padded = np.pad(values, ((0, self.num_frames - len(values)), (0, 0)))
        return standardise.fit([padded]).apply(padded)
