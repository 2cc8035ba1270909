import contextlib
import io
import pathlib
import struct
import subprocess
import sys
import zipfile
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from raysee.audio import stream
from raysee.audio.decode import EmptyFile, NoSamples, NotAudio, NotFinite, TruncatedAudio, UnlikelyAudio, decode
from raysee.audio.headers import File
from raysee.audio.resample import resample
from raysee.audio.stream import TooLong, open_call
from raysee.errors import AudioError, MissingError

Samples = npt.NDArray[np.float32]
ULAW, G729 = 7, 0x83


def sound(rate_hz: int = 8_000, seconds: float = 2.0, channels: int = 2) -> Samples:
    """Sweeps, another one in each channel."""
    time = np.arange(round(rate_hz * seconds)) / rate_hz
    columns = [0.4 * np.sin(2 * np.pi * (200 + 300 * time * (channel + 1)) * time) for channel in range(channels)]
    return np.stack(columns, axis=1).astype(np.float32)


def written(samples: Samples, rate_hz: int, format: str = "WAV", subtype: str = "PCM_16") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, format=format, subtype=subtype)
    return buffer.getvalue()


def encoded(samples: Samples, rate_hz: int, format: str, codec: str) -> bytes:
    """By FFmpeg; every encoder here that is not told apart takes 16-bit samples."""
    planar = codec == "aac"
    values = samples.T if planar else np.round(samples * 32767).astype(np.int16).reshape(1, -1)
    layout = "mono" if samples.shape[1] == 1 else "stereo"
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=format) as file:
        track = file.add_stream(codec, rate=rate_hz, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(values), "fltp" if planar else "s16", layout)
        frame.sample_rate, frame.pts = rate_hz, 0
        file.mux(track.encode(frame))
        file.mux(track.encode(None))
    return buffer.getvalue()


def wav(data: bytes, *, tag: int = 1, channels: int = 1, block: int = 2, sizes: tuple[int, int] | None = None) -> bytes:
    """A header, byte by byte, and `data` of 8 kHz behind it, 10 ms in a block of G.729."""
    rate = 1_000 if tag == G729 else 8_000 * block
    form = struct.pack("<4sIHHIIHHH", b"fmt ", 18, tag, channels, 8_000, rate, block, 8 * block // channels, 0)
    riff_size, data_size = sizes or (4 + len(form) + 8 + len(data), len(data))
    return struct.pack("<4sI4s", b"RIFF", riff_size, b"WAVE") + form + struct.pack("<4sI", b"data", data_size) + data


def read(data: bytes | File, rate_hz: int = 16_000, block_s: float = 30.0, name: str = "") -> tuple[int, Samples]:
    """The rate of a call and all of it, after a look at the length of its blocks."""
    with open_call(io.BytesIO(data) if isinstance(data, bytes) else data, rate_hz, block_s, name) as call:
        blocks = list(call.blocks)
    assert {len(block) for block in blocks[:-1]} <= {round(block_s * rate_hz)}
    assert {block.shape[1] for block in blocks} == {call.num_channels}
    return call.sample_rate_hz, np.concatenate(blocks)


def whole(data: bytes, rate_hz: int = 16_000) -> Samples:
    audio = decode(data)
    return np.stack([resample(channel, audio.sample_rate_hz, rate_hz) for channel in audio.samples.T], axis=1)


FILES = {
    **{
        f"WAV {subtype}": lambda subtype=subtype: written(sound(), 8_000, "WAV", subtype)
        for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")
    },
    "WAV GSM610": lambda: written(sound(channels=1), 8_000, "WAV", "GSM610"),
    "WAVEX PCM_24": lambda: written(sound(48_000), 48_000, "WAVEX", "PCM_24"),
    "WAVEX PCM_16": lambda: written(sound(44_100, channels=6), 44_100, "WAVEX", "PCM_16"),
    "FLAC PCM_16": lambda: written(sound(16_000), 16_000, "FLAC", "PCM_16"),
    "OGG VORBIS": lambda: written(sound(44_100, 0.5), 44_100, "OGG", "VORBIS"),
    "OGG OPUS": lambda: written(sound(48_000, 0.5), 48_000, "OGG", "OPUS"),
    "MP3 MPEG_LAYER_III": lambda: written(sound(48_000), 48_000, "MP3", "MPEG_LAYER_III"),
    "mov,mp4,m4a,3gp,3g2,mj2 aac": lambda: encoded(sound(44_100), 44_100, "ipod", "aac"),
    "aac aac": lambda: encoded(sound(22_050), 22_050, "adts", "aac"),
    "amr amrnb": lambda: encoded(sound(channels=1), 8_000, "amr", "libopencore_amrnb"),
    "gsm gsm": lambda: written(sound(channels=1), 8_000, "RAW", "GSM610"),
    "wav g729": lambda: wav(np.random.default_rng(0).bytes(2_000), tag=G729, block=10),
    "wav g726": lambda: encoded(sound(channels=1), 8_000, "wav", "g726"),
}


@pytest.mark.parametrize("format", FILES)
def test_a_stream_is_what_the_whole_file_is(format: str) -> None:
    data = FILES[format]()
    expected = whole(data)
    its_rate_hz, samples = read(data, block_s=0.3)
    assert its_rate_hz == decode(data).sample_rate_hz
    assert samples.dtype == np.float32
    assert samples.shape == expected.shape
    np.testing.assert_allclose(samples, expected, rtol=0, atol=1e-4)


def test_raw_g729_is_told_by_its_name_alone() -> None:
    frames = np.random.default_rng(0).bytes(10 * 200)  # of 10 ms
    its_rate_hz, samples = read(frames, 8_000, name="s3://calls/A.G729")
    assert (its_rate_hz, samples.shape) == (8_000, (16_000, 1))
    with pytest.raises(NotAudio):
        read(frames)


def test_amr_of_a_phone_that_sends_nothing_in_pauses() -> None:
    talk = encoded(sound(channels=1), 8_000, "amr", "libopencore_amrnb")
    noise, nothing = b"\x44" + bytes(5), b"\x7c"  # a silence descriptor, and seven blocks of 20 ms without data
    data = talk + (noise + 7 * nothing) * 25 + talk[6:]
    alone, samples = read(talk, 8_000)[1], read(data, 8_000)[1]
    assert len(samples) == 2 * len(alone) + 25 * 8 * 160
    np.testing.assert_array_equal(samples[: len(alone)], alone)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 44_100])
@pytest.mark.parametrize("block_s", [0.07, 1.0, 60.0])
def test_where_blocks_end_changes_no_sample(rate_hz: int, block_s: float) -> None:
    data = written(sound(rate_hz, 40.0, channels=1), rate_hz, subtype="ULAW")  # more than is decoded at once
    np.testing.assert_array_equal(read(data, 8_000, block_s)[1], read(data, 8_000, 7.0)[1])
    np.testing.assert_allclose(read(data, 8_000, block_s)[1], whole(data, 8_000), rtol=0, atol=1e-4)


@pytest.mark.parametrize("sizes", [(0, 0), (0, 2**32 - 1), (2**32 - 1, 2**32 - 1), (0x7FFFF000, 0x7FFFF000)])
def test_a_recorder_that_did_not_know_the_size(sizes: tuple[int, int]) -> None:
    data = wav(np.arange(4_000, dtype="<i2").tobytes(), sizes=sizes)
    np.testing.assert_array_equal(read(data, 8_000)[1][:, 0], np.arange(4_000) / 32768)


@pytest.mark.parametrize("behind", [b"\0" * 100, b"some text", b"LIST\xff\xff\xff\xff"])
def test_bytes_behind_the_samples_and_half_a_frame_are_passed_over(behind: bytes) -> None:
    samples = np.arange(2_001, dtype="<i2")  # the last frame of two channels lacks the second
    data = wav(samples.tobytes(), channels=2, block=4) + behind
    np.testing.assert_array_equal(read(data, 8_000)[1].reshape(-1), samples[:2_000] / np.float32(32768))


CUT = [
    "WAV PCM_16",
    "WAV GSM610",
    "FLAC PCM_16",
    "MP3 MPEG_LAYER_III",
    "mov,mp4,m4a,3gp,3g2,mj2 aac",
    "aac aac",
    "amr amrnb",
]


@pytest.mark.parametrize("format", CUT)
def test_a_cut_file_is_an_error_as_in_decode(format: str) -> None:
    data = FILES[format]()
    data = data[: len(data) // 2 + 5]
    for use in (decode, read):
        with pytest.raises(TruncatedAudio, match=r"\d+"):
            use(data)


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("call.wav", np.random.default_rng(0).bytes(5_000))
    data = bytearray(buffer.getvalue())
    data[6] |= 1  # a password is needed
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (b"", EmptyFile, "no bytes"),
        (b"This is a text that is called .wav.\n" * 10, NotAudio, "360 bytes"),
        (zipped(), NotAudio, r"no decoder understands the file's \d+ bytes"),
        (wav(b""), NoSamples, "no samples"),
        (written(np.array([[0.0, np.nan], [np.inf, 0.1]], np.float32), 8_000, subtype="FLOAT"), NotFinite, "2 of 4"),
        (written(np.full((9, 1), 1e4, np.float32), 8_000, subtype="FLOAT"), UnlikelyAudio, "full scale is 1"),
        (wav(bytes(660), channels=33, block=66), UnlikelyAudio, "33 channels, a call has at most 32"),
    ],
)
def test_each_defect_has_its_error(data: bytes, error: type[AudioError], message: str) -> None:
    with pytest.raises(AudioError, match=message) as caught:
        read(data)
    assert type(caught.value) is error


def test_a_defect_behind_the_first_blocks_is_found_when_it_comes() -> None:
    samples = sound(8_000, 60.0)
    samples[-1, 1] = np.nan
    data = written(samples, 8_000, subtype="FLOAT")
    with open_call(io.BytesIO(data), 8_000, block_s=1.0) as call:
        assert len(next(call.blocks)) == 8_000
        with pytest.raises(NotFinite):
            list(call.blocks)


def test_damaged_bytes_raise_nothing_else() -> None:
    rng = np.random.default_rng(0)
    files = [FILES[format]() for format in CUT]
    for number in range(140):
        data = bytearray(files[number % len(files)])
        for _ in range(rng.integers(1, 20)):
            data[rng.integers(min(len(data), 3_000))] = rng.integers(256)
        with contextlib.suppress(AudioError):
            assert len(read(bytes(data))[1])


class Endless(io.RawIOBase):
    """`head` and so many zero bytes behind it, none of which is anywhere."""

    def __init__(self, head: bytes, zeros: int) -> None:
        self.head, self.size, self.position = head, len(head) + zeros, 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self.position = offset + (0, self.position, self.size)[whence]
        return self.position

    def tell(self) -> int:
        return self.position

    def readinto(self, buffer: Any) -> int:
        size = max(min(len(buffer), self.size - self.position), 0)
        own = self.head[self.position : self.position + size]
        buffer[:size] = own + bytes(size - len(own))
        self.position += size
        return size

    def readable(self) -> bool:
        return True


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_wav_of_more_than_4_gib_is_read_to_its_end(wrapped: bool) -> None:
    hours, bytes_an_hour = 23, 3600 * 8000 * 2 * 4
    size = hours * bytes_an_hour
    assert size > 2**32
    sizes = ((size + 38) % 2**32, size % 2**32) if wrapped else (2**32 - 1, 2**32 - 1)
    file = Endless(wav(b"", channels=4, block=8, sizes=sizes), size)
    with open_call(file, 8_000) as call:
        assert (call.sample_rate_hz, next(call.blocks).shape) == (8_000, (240_000, 4))


def test_more_than_24_hours_by_the_header() -> None:
    size = 25 * 3600 * 8000
    with pytest.raises(TooLong, match=r"declares 25\.0 h, the limit is 24 h"):
        read(Endless(wav(b"", tag=ULAW, block=1, sizes=(size + 38, size)), size))
    flac = bytearray(written(sound(channels=1), 8_000, "FLAC"))
    flac[21] |= 0x0F  # 36 bits for the number of samples
    with pytest.raises(TooLong, match=r"declares \d+\.\d h"):
        read(bytes(flac))


def test_more_than_the_limit_behind_a_header_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_LONGEST_S", 60)
    minute = b"#!AMR\n" + b"\x7c" * (60 * 50)  # blocks of 20 ms in which nothing was sent, one byte each
    assert read(minute, 8_000)[1].shape == (60 * 8_000, 1)
    with pytest.raises(TooLong, match="goes on after 24 h"):
        read(minute + b"\x7c", 8_000)


def test_hours_need_little_memory(tmp_path: pathlib.Path) -> None:
    """In a process of its own, whose highest use of memory is that of this call: of C libraries, too."""
    path = tmp_path / "long.wav"
    size = 3 * 3600 * 8000 * 2
    with open(path, "wb") as file:
        file.write(wav(b"", tag=ULAW, channels=2, block=2, sizes=(size + 38, size)))
        file.truncate(file.tell() + size)  # a hole that takes no room
    code = f"""if True:
        import resource
        from raysee.audio.stream import open_call
        with open({str(path)!r}, "rb") as file, open_call(file, 8000) as call:
            length = len(next(call.blocks))
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            length += sum(len(block) for block in call.blocks)
        print(length, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    length, growth_kib = map(int, found.stdout.split())
    assert length == 3 * 3600 * 8000
    assert growth_kib < 32 * 1024


@pytest.mark.parametrize("format", ["WAV PCM_16", "MP3 MPEG_LAYER_III", "FLAC PCM_16", "aac aac"])
@pytest.mark.parametrize("after", [0, 3_000])
def test_a_failure_to_read_is_not_taken_for_a_broken_file(
    format: str, after: int, capfd: pytest.CaptureFixture[str]
) -> None:
    class Failing(io.BytesIO):
        def readinto(self, buffer: Any) -> int:
            if self.tell() + len(buffer) > after:
                raise MissingError("the object is gone")
            return super().readinto(buffer)

        def read(self, size: int | None = -1) -> bytes:
            return super().read(size)  # what looks at the header

    with pytest.raises(MissingError, match="the object is gone"):
        read(Failing(FILES[format]()))
    assert capfd.readouterr().err == "", "nothing was printed by a callback from C"
