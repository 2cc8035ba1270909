"""The bytes of a file -> samples, or an error that says what is wrong with the file."""

import contextlib
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile

from raysee.audio.headers import File, declared_size, sized
from raysee.errors import AudioError

if TYPE_CHECKING:
    import av

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

    def part(self, start_s: float | None, end_s: float | None) -> "Audio":
        """The samples from `start_s` to `end_s`, None: the file's own ends. AudioError where they are not all there."""
        num_samples = len(self.samples)
        first = round((start_s or 0.0) * self.sample_rate_hz)
        last = num_samples if end_s is None else round(end_s * self.sample_rate_hz)
        if not 0 <= first < last <= num_samples:
            raise AudioError(f"the clip is samples {first} to {last}, the file has {num_samples}")
        return self._replace(samples=self.samples[first:last])


class Opened(NamedTuple):
    """An audio file: the seconds that it declares, and its samples, block by block.

    All blocks have the same rate and channels, none is empty; they come once, and only while the file is open.
    """

    declared_s: float | None
    blocks: Iterator[Audio]


_RATES_HZ = (1_000, 768_000)
_HIGHEST_PEAK = 100.0  # 40 dB above full scale; float files may pass 1, but not by this
_BLOCK = 2**18  # values read at once
_UNKNOWN_LENGTH = 2**63 - 1  # what libsndfile says of a FLAC that was written into a pipe
_FFMPEG_FORMATS = "aac,amr,asf,avi,caf,flv,g729,gsm,matroska,mov,mpeg,mpegts,wav"  # none that opens other files
_WITHOUT_DURATION = {"aac", "amr", "g729", "gsm"}  # FFmpeg estimates it from the number of bytes
_DECODERS = {"amrnb": "libopencore_amrnb", "amrwb": "libopencore_amrwb"}  # FFmpeg's own fail where a phone paused (DTX)
_BY_NAME = {".g729": "g729"}  # formats that cannot be told by their bytes
_SHORTFALL_S = 0.1  # codecs' blocks and AVI's rounding make less than this


def decode(data: bytes) -> Audio:
    """Decode a whole file: WAV (mu-law, A-law, GSM too), FLAC, OGG, Opus, MP3, AIFF, AU by libsndfile.

    What libsndfile does not know goes to FFmpeg: AAC, M4A, MP4, MOV, 3GP, AVI, AMR, GSM, WMA, FLV, MKV, WebM, MPEG, CAF
    and WAV with other codecs. Of a file with several streams the first of sound is taken. An encoder's delay that the
    file declares is cut off at both ends.

    Raises EmptyFile, NotAudio, TruncatedAudio, NoSamples, NotFinite or UnlikelyAudio.
    """
    with open_audio(io.BytesIO(data)) as opened:
        blocks = list(opened.blocks)
    if not blocks:
        raise NoSamples("the file has a header and no samples")
    rate = blocks[0].sample_rate_hz
    audio = blocks[0] if len(blocks) == 1 else Audio(np.concatenate([block.samples for block in blocks]), rate)
    check(audio)
    return audio


@contextlib.contextmanager
def open_audio(file: File, name: str = "") -> Iterator[Opened]:
    """Open an audio file of any format that `decode` knows, and G.729, which only the ending of its `name` tells.

    Raises EmptyFile, NotAudio or TruncatedAudio at once, NotAudio, TruncatedAudio or UnlikelyAudio between blocks.
    """
    size = file.seek(0, io.SEEK_END)
    if size == 0:
        raise EmptyFile("the file has no bytes")
    declared = declared_size(file, size)
    if declared > size + 1:  # a missing pad byte is harmless
        raise TruncatedAudio(f"the header declares {declared} bytes, the file has {size}")
    file = sized(file, size)
    kind = next((kind for ending, kind in _BY_NAME.items() if name.lower().endswith(ending)), None)
    refusal = f"not as {kind}"
    if kind is None:
        file.seek(0)
        try:
            opened = _Stream(file)
        except soundfile.LibsndfileError as error:
            refusal = error.error_string
        else:
            with opened:
                frames = opened.frames
                declared_s = frames / opened.samplerate if frames < _UNKNOWN_LENGTH and opened.samplerate else None
                yield Opened(declared_s, _by_libsndfile(opened))
            return
    file.seek(0)
    with _ffmpeg(file, kind, f"no decoder understands the file's {size} bytes: {refusal}") as by_ffmpeg:
        yield by_ffmpeg


def check(audio: Audio) -> None:
    """Raises NotFinite or UnlikelyAudio where samples, at least one, are those of no recording."""
    samples, rate = audio
    if not _RATES_HZ[0] <= rate <= _RATES_HZ[1]:
        raise UnlikelyAudio(f"the header declares {rate} samples a second")
    peak = max(float(samples.max()), -float(samples.min()))  # NaN where any sample is
    if not np.isfinite(peak):
        bad = int((~np.isfinite(samples)).sum())
        raise NotFinite(f"{bad} of {samples.size} samples are NaN or infinite")
    if peak > _HIGHEST_PEAK:
        raise UnlikelyAudio(f"the highest sample is {peak:.3g}, full scale is 1")


class _Stream(soundfile.SoundFile):  # type: ignore[misc]
    """Read from the beginning to the end only: to seek in GSM, or in a FLAC of unknown length, is an error."""

    def seekable(self) -> bool:
        return False


def _by_libsndfile(file: soundfile.SoundFile) -> Iterator[Audio]:
    """All samples, however many the header promises."""
    is_pcm16 = file.subtype == "PCM_16"  # by far the most common, and scaling it here is twice as fast
    size = max(_BLOCK // file.channels, 1)
    declared, found, last = file.frames, 0, size
    while last == size:
        try:
            block = file.read(size, dtype="int16" if is_pcm16 else "float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise TruncatedAudio(f"of {declared} samples declared not all can be read: {error.error_string}") from error
        last = len(block)
        found += last
        if last:
            yield Audio(block * np.float32(1 / 32768) if is_pcm16 else block, file.samplerate)
    if found < declared < _UNKNOWN_LENGTH:
        raise TruncatedAudio(f"the header declares {declared} samples, {found} are there")


@contextlib.contextmanager
def _ffmpeg(file: File, kind: str | None, refusal: str) -> Iterator[Opened]:
    """The first stream of sound. `refusal` is what to say where FFmpeg does not know the file either."""
    import av  # 40 ms that a corpus of WAV files need not wait for

    with contextlib.ExitStack() as stack:
        try:
            only = {"format_whitelist": _FFMPEG_FORMATS}
            opened = av.open(file, "r", format=kind, options=only, metadata_errors="replace")
            sound = _first_sound(stack.enter_context(opened))
        except AudioError:
            raise
        except Exception as error:
            _fault(error)
            raise NotAudio(refusal) from error
        yield sound


def _first_sound(container: "av.container.InputContainer") -> Opened:
    kind = container.format.name
    if not container.streams.audio:
        raise NotAudio(f"no sound: of the {len(container.streams)} streams of the file ({kind}) none is audio")
    stream = container.streams.audio[0]
    if stream.codec_context is None:
        raise NotAudio(f"there is no decoder for the sound of the file ({kind})")
    declared_s = _declared_s(container, stream)
    return Opened(declared_s or None, _by_ffmpeg(container, stream, declared_s))


def _fault(error: Exception) -> str:
    """What is wrong with a file, from anything that PyAV raises: besides FFmpeg's own errors it is whatever its Python
    comes across, a ValueError for samples of 64 bits, an IndexError for a stream that appears late.

    Memory that Python has not got is no fault of the file and is raised; FFmpeg's want of it is what a header declares.
    """
    import av

    if isinstance(error, av.FFmpegError):
        return str(error.strerror)
    if isinstance(error, MemoryError):
        raise error
    return f"{type(error).__name__}: {error}"


def _by_ffmpeg(
    container: "av.container.InputContainer", stream: "av.AudioStream", declared_s: float
) -> Iterator[Audio]:
    kind = container.format.name
    blocks: list[Samples] = []  # of the codec, since what was handed over; the last one is always held back
    values = found = count = rate = channels = 0
    try:
        for frame in _frames(container, stream):
            if count and (frame.sample_rate != rate or frame.layout.nb_channels != channels):
                raise UnlikelyAudio(f"the rate or the channels change after {count} blocks")
            if values >= _BLOCK:
                yield Audio(np.concatenate(blocks), rate)
                blocks, values = [], 0
            rate, channels = frame.sample_rate, frame.layout.nb_channels
            blocks.append(_floats(frame))
            values += blocks[-1].size
            found += len(blocks[-1])
            count += 1
    except AudioError:
        raise
    except Exception as error:
        fault = _fault(error)
        if not count:
            raise NotAudio(f"nothing of the sound ({kind}) can be decoded: {fault}") from error
        raise TruncatedAudio(f"after {count} blocks the next cannot be decoded: {fault}") from error
    if not found:
        return
    if found < (declared_s - _SHORTFALL_S) * rate:
        raise TruncatedAudio(f"the file declares {declared_s:.3f} s, {found / rate:.3f} s are there")
    # A codec fills its last block up; an MP4 says where the recording ends in it.
    surplus = found - round(declared_s * rate)
    if kind.startswith("mov") and 0 < surplus < len(blocks[-1]):
        blocks[-1] = blocks[-1][:-surplus]
    yield Audio(np.concatenate(blocks), rate)


def _frames(container: "av.container.InputContainer", stream: "av.AudioStream") -> Iterator["av.AudioFrame"]:
    import av

    decoder = _DECODERS.get(stream.codec_context.name)
    if decoder not in av.codecs_available:
        yield from container.decode(stream)
        return
    context = av.Codec(decoder, "r").create("audio")
    context.sample_rate, context.layout = stream.rate, "mono"
    for packet in container.demux(stream):
        yield from context.decode(packet)


def _declared_s(container: "av.container.InputContainer", stream: "av.AudioStream") -> float:
    """What the file says that the stream lasts, 0 where it does not say."""
    import av

    if container.format.name in _WITHOUT_DURATION:
        return 0.0
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is not None and len(container.streams) == 1:  # otherwise it may be the picture's
        return container.duration / av.time_base
    return 0.0


def _floats(frame: "av.AudioFrame") -> Samples:
    """A frame's samples, (num_samples, num_channels), whatever their type and order."""
    values = frame.to_ndarray()
    columns = values.T if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels)
    if columns.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what is infinite as float32 is answered as such
            return columns.astype(np.float32)
    full_scale = 2.0 ** (8 * columns.dtype.itemsize - 1)
    middle = full_scale if columns.dtype.kind == "u" else 0.0
    return ((columns - middle) / full_scale).astype(np.float32)
