"""The bytes of a file -> samples, or an error that says what is wrong with the file."""

import io
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile

from raysee.errors import AudioError

Samples = npt.NDArray[np.float32]


class EmptyFile(AudioError):
    """No bytes."""


class NotAudio(AudioError):
    """Bytes that no decoder understands."""


class TruncatedAudio(AudioError):
    """Fewer bytes or samples than the header declares."""


class NoSamples(AudioError):
    """A valid header and nothing behind it."""


class NotFinite(AudioError):
    """Samples that are NaN or infinite."""


class UnlikelyAudio(AudioError):
    """A rate or a level that no recording has: the header or the samples' scale is wrong."""


class Audio(NamedTuple):
    """Samples (num_samples, num_channels) in [-1, 1], float32, and their rate."""

    samples: Samples
    sample_rate_hz: int

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.sample_rate_hz


_RATES_HZ = (1_000, 768_000)
_HIGHEST_PEAK = 100.0  # 40 dB above full scale; float files may pass 1, but not by this
_BLOCK = 2**20  # samples by channel read at once
_UNKNOWN_LENGTH = 2**63 - 1  # what libsndfile says of a FLAC that was written into a pipe
_UNKNOWN_SIZE = 0x7FFFF000  # recorders that stream write 0, or something from here up


def decode(data: bytes) -> Audio:
    """Decode a whole file that libsndfile knows: WAV (mu-law, A-law, GSM too), FLAC, OGG, Opus, MP3, AIFF, AU.

    Raises EmptyFile, NotAudio, TruncatedAudio, NoSamples, NotFinite or UnlikelyAudio.
    """
    if not data:
        raise EmptyFile("the file has no bytes")
    data = _checked_size(data)
    try:
        file = _Stream(io.BytesIO(data))
    except soundfile.LibsndfileError as error:
        raise NotAudio(f"no decoder understands the file's {len(data)} bytes: {error.error_string}") from error
    with file:
        declared, rate = file.frames, file.samplerate
        try:
            samples = _read(file)
        except soundfile.LibsndfileError as error:
            raise TruncatedAudio(f"of {declared} samples declared not all can be read: {error.error_string}") from error
    if len(samples) < declared < _UNKNOWN_LENGTH:
        raise TruncatedAudio(f"the header declares {declared} samples, {len(samples)} are there")
    if len(samples) == 0:
        raise NoSamples("the file has a header and no samples")
    if not _RATES_HZ[0] <= rate <= _RATES_HZ[1]:
        raise UnlikelyAudio(f"the header declares {rate} samples a second")
    peak = max(float(samples.max()), -float(samples.min()))  # NaN where any sample is
    if not np.isfinite(peak):
        bad = int((~np.isfinite(samples)).sum())
        raise NotFinite(f"{bad} of {samples.size} samples are NaN or infinite")
    if peak > _HIGHEST_PEAK:
        raise UnlikelyAudio(f"the highest sample is {peak:.3g}, full scale is 1")
    return Audio(samples, rate)


class _Stream(soundfile.SoundFile):  # type: ignore[misc]
    """Read from the beginning to the end only: to seek in GSM, or in a FLAC of unknown length, is an error."""

    def seekable(self) -> bool:
        return False


def _read(file: soundfile.SoundFile) -> Samples:
    """All samples, (num_samples, num_channels), however many the header promises."""
    is_pcm16 = file.subtype == "PCM_16"  # by far the most common, and scaling it here is twice as fast
    blocks: list[Samples] = []
    while not blocks or len(blocks[-1]) == _BLOCK:
        block = file.read(_BLOCK, dtype="int16" if is_pcm16 else "float32", always_2d=True)
        blocks.append(block * np.float32(1 / 32768) if is_pcm16 else block)
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def _checked_size(data: bytes) -> bytes:
    """The bytes, after holding their number against the header's: libsndfile plays what is left without a word."""
    kind = data[:4]
    if kind == b"RIFF":
        declared = int.from_bytes(data[4:8], "little")
        if declared == 0 or declared >= _UNKNOWN_SIZE:
            return _with_data_to_the_end(data)
        declared += 8
    elif kind == b"RF64" and data[12:16] == b"ds64":
        declared = int.from_bytes(data[20:28], "little") + 8
    elif kind == b"FORM":
        declared = int.from_bytes(data[4:8], "big") + 8
    elif kind == b".snd" and data[8:12] != b"\xff\xff\xff\xff":
        declared = int.from_bytes(data[4:8], "big") + int.from_bytes(data[8:12], "big")
    else:
        return data
    if declared > len(data) + 1:  # a missing pad byte is harmless
        raise TruncatedAudio(f"the header declares {declared} bytes, the file has {len(data)}")
    return data


def _with_data_to_the_end(data: bytes) -> bytes:
    """A WAV whose recorder could not go back to fill in its sizes: a data chunk of size 0 reaches to the end."""
    start = 12
    while start + 8 <= len(data):
        name, size = data[start : start + 4], int.from_bytes(data[start + 4 : start + 8], "little")
        if name == b"data":
            return data if size else data[: start + 4] + b"\xff" * 4 + data[start + 8 :]
        start += 8 + size + size % 2
    return data
