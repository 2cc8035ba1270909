"""A recorded call of any length, block by block, in little memory."""

import contextlib
import io
import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from raysee.audio.decode import Audio, NoSamples, Samples, UnlikelyAudio, check, open_audio
from raysee.audio.headers import File
from raysee.audio.resample import resample_blocks
from raysee.errors import AudioError

_LONGEST_S = 24 * 3600
_MOST_CHANNELS = 32


class TooLong(AudioError):
    """More than 24 hours, by its header or by its samples: no call, and perhaps made to fill memory and time."""


class Call(NamedTuple):
    """An open recording, with its own rate. Its blocks come once, in their order, and only while it is open.

    They are samples (num_samples, num_channels) in [-1, 1], float32, at the rate that was asked for.
    """

    sample_rate_hz: int
    num_channels: int
    blocks: Iterator[Samples]


@contextlib.contextmanager
def open_call(file: File, rate_hz: int, block_s: float = 30.0, name: str = "") -> Iterator[Call]:
    """Read a recording as a stream, resampled to `rate_hz`, in blocks of `block_s`; the last one is what is left.

    Together the blocks are what `decode` and `resample` make of the whole file. It is held in memory nowhere: besides
    what `file` reads ahead, 32 MiB and two blocks are enough for two channels of any length. An MP4 that is not
    fragmented has an index, which FFmpeg keeps: 100 bytes for each block of its codec, 27 MiB for 10 hours of AAC at 8
    kHz, six times as much at 48 kHz.
    The ending of `name` is looked at for what cannot be told by its bytes: `.g729`.

    A file that is cut, or broken anywhere, is an AudioError: at once, or after the last block that can be decoded, so
    what was made of the blocks before must be dropped. Raises what `decode` does, and TooLong above 24 hours. What
    `file` raises comes out as it is.
    """
    kept = _Kept(file)
    try:
        with open_audio(kept, name) as opened:
            first = next(opened.blocks, None)
            if first is None:
                raise NoSamples("the file has a header and no samples")
            rate, num_channels = first.sample_rate_hz, first.samples.shape[1]
            if num_channels > _MOST_CHANNELS:
                raise UnlikelyAudio(f"the file has {num_channels} channels, a call has at most {_MOST_CHANNELS}")
            declared_s = opened.declared_s
            if declared_s is not None and declared_s > _LONGEST_S:
                raise TooLong(f"the file declares {declared_s / 3600:.1f} h, the limit is 24 h: cut it into pieces")
            sound = _checked(itertools.chain([first], opened.blocks), kept)
            yield Call(rate, num_channels, _cut(resample_blocks(sound, rate_hz), max(round(block_s * rate_hz), 1)))
    except AudioError:
        kept.answer()  # as in _checked, of what is read in opening
        raise


def _checked(blocks: Iterable[Audio], kept: "_Kept") -> Iterator[Audio]:
    num_samples = 0
    try:
        for block in blocks:
            kept.answer()
            check(block)
            num_samples += len(block.samples)
            if num_samples > _LONGEST_S * block.sample_rate_hz:
                raise TooLong("the file goes on after 24 h, which is the limit: cut it into pieces")
            yield block
    except AudioError:
        kept.answer()  # what seems to be a broken file may be one that could not be read
        raise
    kept.answer()


def _cut(pieces: Iterable[Samples], size: int) -> Iterator[Samples]:
    """Pieces of any length as blocks of `size` samples."""
    parts: list[Samples] = []
    held = 0
    for piece in pieces:
        while len(piece):
            parts.append(piece[: size - held])
            held += len(parts[-1])
            piece = piece[len(parts[-1]) :]
            if held == size:
                yield np.concatenate(parts)
                parts, held = [], 0
    if held:
        yield np.concatenate(parts)


class _Kept(io.RawIOBase):
    """A file whose first failure is kept, and answered with the end of the file.

    libsndfile calls back from C, where an exception would be printed and taken for the end; nobody would know.
    """

    def __init__(self, file: File) -> None:
        self._file = file
        self._failure: Exception | None = None

    def answer(self) -> None:
        """Raise the failure, if there was one."""
        if self._failure is not None:
            raise self._failure

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._failure is not None:
            return 0
        try:
            return self._file.readinto(buffer) or 0
        except Exception as error:
            self._failure = error
            return 0
