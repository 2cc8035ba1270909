"""The bytes of a file -> samples, or an error that says what is wrong with the file."""

import io
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile

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


_RATES_HZ = (1_000, 768_000)
_HIGHEST_PEAK = 100.0  # 40 dB above full scale; float files may pass 1, but not by this
_BLOCK = 2**20  # samples by channel read at once
_UNKNOWN_LENGTH = 2**63 - 1  # what libsndfile says of a FLAC that was written into a pipe
_FFMPEG_FORMATS = "aac,amr,asf,avi,caf,flv,matroska,mov,mpeg,mpegts,wav"  # none that opens other files
_WITHOUT_DURATION = {"aac", "amr"}  # FFmpeg estimates it from the number of bytes
_SHORTFALL_S = 0.1  # codecs' blocks and AVI's rounding make less than this
_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"uuid", b"meta", b"sidx", b"moof", b"mfra"}
_UNKNOWN_SIZE = 0x7FFFF000  # recorders that stream write 0, or something from here up


def decode(data: bytes) -> Audio:
    """Decode a whole file: WAV (mu-law, A-law, GSM too), FLAC, OGG, Opus, MP3, AIFF, AU by libsndfile.

    What libsndfile does not know goes to FFmpeg: AAC, M4A, MP4, MOV, 3GP, AVI, AMR, WMA, FLV, MKV, WebM, MPEG, CAF and
    WAV with other codecs. Of a file with several streams the first of sound is taken. An encoder's delay that the
    file declares is cut off at both ends.

    Raises EmptyFile, NotAudio, TruncatedAudio, NoSamples, NotFinite or UnlikelyAudio.
    """
    if not data:
        raise EmptyFile("the file has no bytes")
    data = _checked_size(data)
    try:
        file = _Stream(io.BytesIO(data))
    except soundfile.LibsndfileError as error:
        audio = _by_ffmpeg(data, error.error_string)
    else:
        with file:
            audio = _by_libsndfile(file)
    samples, rate = audio
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
    return audio


class _Stream(soundfile.SoundFile):  # type: ignore[misc]
    """Read from the beginning to the end only: to seek in GSM, or in a FLAC of unknown length, is an error."""

    def seekable(self) -> bool:
        return False


def _by_libsndfile(file: soundfile.SoundFile) -> Audio:
    declared = file.frames
    try:
        samples = _read(file)
    except soundfile.LibsndfileError as error:
        raise TruncatedAudio(f"of {declared} samples declared not all can be read: {error.error_string}") from error
    if len(samples) < declared < _UNKNOWN_LENGTH:
        raise TruncatedAudio(f"the header declares {declared} samples, {len(samples)} are there")
    return Audio(samples, file.samplerate)


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
    elif data[4:8] == b"ftyp":
        declared = _end_of_boxes(data)
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


def _end_of_boxes(data: bytes) -> int:
    """Where the last box of an MP4 ends, or where something that is no box begins."""
    end = 0
    while end + 8 <= len(data) and data[end + 4 : end + 8] in _BOXES:
        size = int.from_bytes(data[end : end + 4], "big")
        if size == 1:
            size = int.from_bytes(data[end + 8 : end + 16], "big")
        if size < 8:  # 0 reaches to the end of the file
            break
        end += size
    return end


def _by_ffmpeg(data: bytes, refusal: str) -> Audio:
    """The first stream of sound. `refusal` is what libsndfile said of the file."""
    import av  # 40 ms that a corpus of WAV files need not wait for

    try:
        only = {"format_whitelist": _FFMPEG_FORMATS}
        container = av.open(io.BytesIO(data), "r", options=only, metadata_errors="replace")
    except av.FFmpegError as error:
        raise NotAudio(f"no decoder understands the file's {len(data)} bytes: {refusal}") from error
    with container:
        kind = container.format.name
        if not container.streams.audio:
            raise NotAudio(f"no sound: of the {len(container.streams)} streams of the file ({kind}) none is audio")
        stream = container.streams.audio[0]
        if stream.codec_context is None:
            raise NotAudio(f"there is no decoder for the sound of the file ({kind})")
        declared_s = _declared_s(container, stream)
        blocks: list[Samples] = []
        rate = 0
        try:
            for frame in container.decode(stream):
                if blocks and (frame.sample_rate != rate or frame.layout.nb_channels != blocks[0].shape[1]):
                    raise UnlikelyAudio(f"the rate or the channels change after {len(blocks)} blocks")
                rate = frame.sample_rate
                blocks.append(_floats(frame))
        except av.FFmpegError as error:
            if not blocks:
                raise NotAudio(f"nothing of the sound ({kind}) can be decoded: {error.strerror}") from error
            raise TruncatedAudio(f"after {len(blocks)} blocks the next cannot be decoded: {error.strerror}") from error
    samples = np.concatenate(blocks) if blocks else np.empty((0, 1), np.float32)
    if blocks and len(samples) < (declared_s - _SHORTFALL_S) * rate:
        raise TruncatedAudio(f"the file declares {declared_s:.3f} s, {len(samples) / rate:.3f} s are there")
    # A codec fills its last block up; an MP4 says where the recording ends in it.
    last = round(declared_s * rate)
    if kind.startswith("mov") and blocks and 0 < len(samples) - last < len(blocks[-1]):
        samples = samples[:last]
    return Audio(samples, rate)


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
