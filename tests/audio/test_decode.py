import contextlib
import io
import struct
import subprocess
import sys

import av
import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from raysee.audio.decode import Audio, EmptyFile, NoSamples, NotAudio, NotFinite, TruncatedAudio, UnlikelyAudio, decode
from raysee.errors import AudioError

Samples = npt.NDArray[np.float32]


def tone(rate_hz: int = 16_000, seconds: float = 0.5, channels: int = 1) -> Samples:
    time = np.arange(round(rate_hz * seconds)) / rate_hz
    columns = [0.5 * np.sin(2 * np.pi * 440 * (channel + 1) * time) for channel in range(channels)]
    return np.stack(columns, axis=1).astype(np.float32)


def encode(samples: npt.ArrayLike, rate_hz: int = 16_000, format: str = "WAV", subtype: str = "PCM_16") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.asarray(samples), rate_hz, format=format, subtype=subtype)
    return buffer.getvalue()


def wav(samples: list[int], *, riff_size: int | None = None, data_size: int | None = None) -> bytes:
    """Mono 16-bit PCM at 8 kHz, written byte by byte."""
    data = struct.pack(f"<{len(samples)}h", *samples)
    form = b"WAVE" + b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    form += b"data" + struct.pack("<I", len(data) if data_size is None else data_size) + data
    return b"RIFF" + struct.pack("<I", len(form) if riff_size is None else riff_size) + form


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 22_050, 24_414, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_shape_and_rate(rate_hz: int, channels: int) -> None:
    audio = decode(encode(tone(rate_hz, 0.5, channels), rate_hz))
    assert audio.sample_rate_hz == rate_hz
    assert audio.samples.shape == (round(rate_hz * 0.5), channels)
    assert audio.samples.dtype == np.float32
    assert audio.duration_s == pytest.approx(0.5, abs=1 / rate_hz)


@pytest.mark.parametrize(
    ("format", "subtype", "tolerance"),
    [
        ("WAV", "PCM_16", 2**-15),
        ("WAV", "PCM_24", 2**-23),
        ("WAV", "PCM_32", 2**-24),
        ("WAV", "PCM_U8", 2**-7),
        ("WAV", "FLOAT", 0.0),
        ("WAV", "DOUBLE", 0.0),
        ("WAV", "ULAW", 0.02),  # half a step is 1.6 % of the sample
        ("WAV", "ALAW", 0.02),
        ("WAVEX", "PCM_16", 2**-15),
        ("AIFF", "PCM_16", 2**-15),
        ("FLAC", "PCM_16", 2**-15),
        ("FLAC", "PCM_24", 2**-23),
        ("OGG", "VORBIS", 0.1),
    ],
)
def test_values_come_back_channel_by_channel(format: str, subtype: str, tolerance: float) -> None:
    samples = tone(channels=2)
    decoded = decode(encode(samples, format=format, subtype=subtype)).samples
    assert decoded.shape == samples.shape
    assert decoded.dtype == np.float32
    np.testing.assert_allclose(decoded, samples, rtol=0, atol=tolerance)


@pytest.mark.parametrize(("format", "subtype"), [("WAV", "GSM610"), ("WAV", "IMA_ADPCM"), ("MP3", "MPEG_LAYER_III")])
def test_lossy_formats_keep_the_tone(format: str, subtype: str) -> None:
    rate_hz = 8_000 if subtype == "GSM610" else 16_000
    audio = decode(encode(tone(rate_hz), rate_hz, format=format, subtype=subtype))
    assert audio.sample_rate_hz == rate_hz
    assert audio.duration_s == pytest.approx(0.5, abs=0.08)  # GSM comes in blocks of 40 ms
    spectrum = np.abs(np.fft.rfft(audio.samples[:, 0], n=rate_hz))
    assert abs(int(spectrum.argmax()) - 440) <= 2
    assert np.abs(audio.samples).max() == pytest.approx(0.5, abs=0.1)


def test_16_bit_pcm_is_divided_by_32768() -> None:
    audio = decode(wav([0, 16384, -32768, 32767]))
    assert audio.samples[:, 0].tolist() == [0.0, 0.5, -1.0, 32767 / 32768]
    assert audio.sample_rate_hz == 8_000


@pytest.mark.parametrize(
    ("riff_size", "data_size"),
    [
        (0, None),
        (0xFFFFFFFF, None),
        (0, 0xFFFFFFFF),
        (0xFFFFFFFF, 0xFFFFFFFF),  # ffmpeg into a pipe
        (0, 0),  # a recorder that was switched off before it wrote the sizes
    ],
)
def test_a_recording_whose_size_was_unknown_is_read_to_its_end(riff_size: int, data_size: int | None) -> None:
    samples = decode(wav(list(range(1000)), riff_size=riff_size, data_size=data_size)).samples
    np.testing.assert_array_equal(samples[:, 0], np.arange(1000) / 32768)


def test_a_missing_pad_byte_and_bytes_behind_the_end_are_harmless() -> None:
    odd = encode(tone()[:101], subtype="PCM_U8")
    assert decode(odd[:-1]).samples.shape == (101, 1)
    whole = wav([1, 2, 3])
    assert decode(whole + b"\0" * 100).samples.shape == (3, 1)


@pytest.mark.parametrize("keep", [12, 40, 44, 1000, -2])
def test_a_cut_wav_is_told_by_its_header(keep: int) -> None:
    whole = wav(list(range(1000)))
    with pytest.raises(TruncatedAudio, match=f"declares 2044 bytes, the file has {len(whole[:keep])}"):
        decode(whole[:keep])


def test_a_cut_mp3_is_told_by_its_header() -> None:
    whole = encode(tone(), format="MP3", subtype="MPEG_LAYER_III")
    with pytest.raises(TruncatedAudio, match=r"declares 8000 samples, \d+ are there"):
        decode(whole[: len(whole) // 2])


@pytest.mark.parametrize(
    ("format", "subtype"),
    [
        ("FLAC", "PCM_16"),  # libsndfile: lost sync
        ("AIFF", "PCM_16"),  # libsndfile plays what is left
        ("AU", "PCM_16"),
        ("RF64", "PCM_16"),
    ],
)
def test_another_cut_file_is_called_truncated(format: str, subtype: str) -> None:
    whole = encode(tone(), format=format, subtype=subtype)
    with pytest.raises(TruncatedAudio, match=r"\d+"):
        decode(whole[: len(whole) // 2])


def test_a_cut_ogg_is_an_audio_error() -> None:
    whole = encode(tone(), format="OGG", subtype="VORBIS")
    for keep in (len(whole) - 1, len(whole) // 2, 100):
        with pytest.raises(AudioError):
            decode(whole[:keep])


@pytest.mark.parametrize(
    ("num_samples", "error"),
    [
        (0, None),  # unknown: what `flac -` and ffmpeg write into a pipe
        (2**36 - 1, AudioError),  # 128 GiB that must not be asked for
    ],
)
def test_the_length_that_a_flac_declares_is_not_trusted(num_samples: int, error: type[AudioError] | None) -> None:
    data = bytearray(encode(tone(), format="FLAC"))
    assert data[:8] == b"fLaC\0\0\0\x22"
    data[21] = data[21] & 0xF0 | num_samples >> 32  # the lowest 36 bits of these five bytes
    data[22:26] = struct.pack(">I", num_samples & 0xFFFFFFFF)
    if error:
        with pytest.raises(error, match=r"\d+"):
            decode(bytes(data))
    else:
        assert decode(bytes(data)).samples.shape == (8000, 1)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (b"", EmptyFile, "no bytes"),
        (b"This is a text that is called .wav.\n" * 10, NotAudio, "360 bytes"),
        (b"version https://git-lfs.github.com/spec/v1\n", NotAudio, "43 bytes"),
        (b"RIFF", NotAudio, "4 bytes"),
        (bytes(5000), NotAudio, "5000 bytes"),
        (wav([]), NoSamples, "no samples"),
        (encode(tone()[:0], format="OGG", subtype="VORBIS"), NoSamples, "no samples"),
        (encode([0.0, np.nan, 0.5, np.nan], subtype="FLOAT"), NotFinite, "2 of 4 samples"),
        (encode([[0.0, np.inf], [0.5, -np.inf]], subtype="FLOAT"), NotFinite, "2 of 4 samples"),
        (encode([0.0, 1e300], subtype="DOUBLE"), NotFinite, "1 of 2 samples"),  # infinite as float32
    ],
)
def test_each_defect_has_its_error(data: bytes, error: type[AudioError], message: str) -> None:
    with pytest.raises(AudioError, match=message) as caught:
        decode(data)
    assert type(caught.value) is error


def test_damaged_bytes_never_raise_anything_else() -> None:
    """What is not an AudioError stops the run instead of costing one row."""
    rng = np.random.default_rng(0)
    whole = [encode(tone(), subtype="ULAW"), encode(tone()), encode(tone(), format="OGG", subtype="VORBIS")]
    for number in range(300):
        data = bytearray(whole[number % 3][: rng.integers(1, 3000)])
        for _ in range(rng.integers(0, 5)):
            data[rng.integers(len(data))] = rng.integers(256)
        with contextlib.suppress(AudioError):
            assert len(decode(bytes(data)).samples)


def test_duration_counts_samples_of_one_channel() -> None:
    assert Audio(np.zeros((100, 2), np.float32), 50).duration_s == 2.0


def container(
    *tracks: Samples, format: str, codec: str, sample_format: str, rate_hz: int = 16_000, video: bool = False
) -> bytes:
    """A file of FFmpeg's with one stream of sound for each of `tracks`, (num_samples, num_channels), behind a film."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=format) as file:
        film = file.add_stream("mpeg4", rate=25) if video else None
        layouts = ["mono" if track.shape[1] == 1 else "stereo" for track in tracks]
        streams = [file.add_stream(codec, rate=rate_hz, layout=layout) for layout in layouts]
        if film:
            film.width = film.height = 32
            film.pix_fmt = "yuv420p"
        file.start_encoding()  # writes the header even where nothing follows
        if film:
            for number in range(12):
                picture = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 20 * number, np.uint8))
                picture.pts = number
                file.mux(film.encode(picture))
            file.mux(film.encode(None))
        for stream, layout, track in zip(streams, layouts, tracks, strict=True):
            if len(track) == 0:
                continue
            planar = av.AudioFormat(sample_format).is_planar
            values = np.ascontiguousarray(track.T) if planar else track.reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(values, format=sample_format, layout=layout)
            frame.sample_rate, frame.pts = rate_hz, 0
            file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
    return buffer.getvalue()


def scaled(samples: Samples, sample_format: str) -> npt.NDArray[np.generic]:
    match sample_format.rstrip("p"):
        case "u8":
            return np.round(samples * 127 + 128).astype(np.uint8)
        case "s16":
            return np.round(samples * 2.0**15).astype(np.int16)
        case "s32":
            return np.round(samples * 2.0**31).astype(np.int32)
        case "dbl":
            return samples.astype(np.float64)
    return samples


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("format", "codec", "sample_format", "tolerance"),
    [
        ("avi", "pcm_s16le", "s16", 2**-15),
        ("avi", "pcm_u8", "u8", 2**-7),
        ("mov", "pcm_s24le", "s32", 2**-23),
        ("mov", "pcm_s32le", "s32", 2**-24),
        ("mov", "pcm_f32le", "flt", 0.0),
        ("mov", "pcm_f64le", "dbl", 0.0),
        ("ipod", "alac", "s16p", 2**-15),
        ("ipod", "aac", "fltp", 0.02),
        ("mp4", "aac", "fltp", 0.02),
    ],
)
def test_what_libsndfile_does_not_know_comes_back_sample_by_sample(
    format: str, codec: str, sample_format: str, tolerance: float, channels: int
) -> None:
    samples = tone(channels=channels)
    data = container(scaled(samples, sample_format), format=format, codec=codec, sample_format=sample_format)
    audio = decode(data)
    assert audio.sample_rate_hz == 16_000
    assert audio.samples.shape == samples.shape  # AAC's delay and the rest of its last block are cut off
    assert audio.samples.dtype == np.float32
    # Where the tone jumps from and to nothing, AAC smears it.
    inside = slice(2_000, -2_000) if codec == "aac" else slice(None)
    np.testing.assert_allclose(audio.samples[inside], samples[inside], rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("format", "codec", "sample_format", "rate_hz"),
    [
        ("amr", "libopencore_amrnb", "s16", 8_000),
        ("adts", "aac", "fltp", 22_050),
        ("matroska", "aac", "fltp", 44_100),
        ("webm", "libopus", "s16", 48_000),
        ("asf", "aac", "fltp", 16_000),
        ("mpegts", "aac", "fltp", 16_000),
        ("avi", "mp3", "s16p", 16_000),
        ("wav", "g722", "s16", 16_000),
    ],
)
def test_lossy_containers_keep_the_tone(format: str, codec: str, sample_format: str, rate_hz: int) -> None:
    samples = scaled(tone(rate_hz), sample_format)
    audio = decode(container(samples, format=format, codec=codec, sample_format=sample_format, rate_hz=rate_hz))
    assert audio.sample_rate_hz == rate_hz
    assert audio.duration_s == pytest.approx(0.5, abs=0.13)  # the delay is declared by MP4 and Matroska only
    spectrum = np.abs(np.fft.rfft(audio.samples[:, 0], n=rate_hz))
    assert abs(int(spectrum.argmax()) - 440) <= 2
    inside = audio.samples[len(audio.samples) // 4 : -len(audio.samples) // 4]  # encoders ring at the ends
    assert np.abs(inside).max() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("format", ["avi", "mov", "matroska"])
def test_of_a_film_the_first_stream_of_sound_is_taken(format: str) -> None:
    first, second = (scaled(samples, "s16") for samples in (tone(), -tone()))
    data = container(first, second, format=format, codec="pcm_s16le", sample_format="s16", video=True)
    np.testing.assert_array_equal(decode(data).samples, first / np.float32(32768))


@pytest.mark.parametrize("format", ["avi", "mov", "matroska"])
def test_a_film_without_sound_is_not_audio(format: str) -> None:
    data = container(format=format, codec="", sample_format="s16", video=True)
    with pytest.raises(NotAudio, match=r"no sound: of the 1 streams of the file \(.*\) none is audio"):
        decode(data)


@pytest.mark.parametrize(
    ("format", "codec", "message"),
    [
        ("ipod", "aac", "declares .* bytes, the file has"),
        ("avi", "mp3", "declares .* bytes, the file has"),
        ("matroska", "aac", r"declares 0.5\d\d s, 0.\d\d\d s are there"),
        ("adts", "aac", r"after \d+ blocks"),
    ],
)
def test_a_cut_container_is_called_truncated(format: str, codec: str, message: str) -> None:
    sample_format = "s16p" if codec == "mp3" else "fltp"
    whole = container(scaled(tone(), sample_format), format=format, codec=codec, sample_format=sample_format)
    with pytest.raises(TruncatedAudio, match=message):
        decode(whole[: len(whole) // 2])


def test_bytes_behind_the_end_of_an_mp4_are_harmless() -> None:
    whole = container(tone(), format="ipod", codec="aac", sample_format="fltp")
    assert decode(whole + b"\0" * 100).samples.shape == (8_000, 1)
    assert decode(whole + b"some text").samples.shape == (8_000, 1)
    with pytest.raises(TruncatedAudio, match=f"declares {len(whole)} bytes, the file has {len(whole) - 2}"):
        decode(whole[:-2])


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ([], NoSamples, "no samples"),
        ([0.0, np.nan, 0.5, np.inf], NotFinite, "2 of 4 samples"),
        ([0.0, 1e300], NotFinite, "1 of 2 samples"),  # infinite as float32
        ([0.0, 20_000.0], UnlikelyAudio, "full scale is 1"),
    ],
)
def test_each_defect_of_a_container_has_its_error(values: list[float], error: type[AudioError], message: str) -> None:
    data = container(np.array(values)[:, None], format="avi", codec="pcm_f64le", sample_format="dbl")
    with pytest.raises(AudioError, match=message) as caught:
        decode(data)
    assert type(caught.value) is error


def pcm64() -> bytes:
    """A WAV of 64-bit integers, of which PyAV makes no array."""
    data = bytes(8_000)
    form = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 64_000, 8, 64) + b"data"
    return b"RIFF" + struct.pack("<I", len(form) + 4 + len(data)) + form + struct.pack("<I", len(data)) + data


def late_stream() -> bytes:
    """A transport stream whose last block is of a second stream, which nothing has announced."""
    data = bytearray(container(tone(), format="mpegts", codec="aac", sample_format="fltp"))
    last = max(at for at in range(0, len(data), 188) if data[at + 1] & 0x40)
    data[last + 1 : last + 3] = b"\x41\x23"  # that a packet begins, and the stream's number
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (pcm64(), NotAudio, "nothing of the sound .wav. can be decoded: ValueError: .*s64"),
        (late_stream(), TruncatedAudio, r"after \d+ blocks the next cannot be decoded: IndexError"),
    ],
)
def test_what_pyav_stumbles_over_is_of_the_file(data: bytes, error: type[AudioError], message: str) -> None:
    with pytest.raises(AudioError, match=message) as caught:
        decode(data)
    assert type(caught.value) is error


def test_memory_that_is_not_there_is_no_fault_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(frame: object) -> None:
        raise MemoryError

    monkeypatch.setattr("raysee.audio.decode._floats", full)
    with pytest.raises(MemoryError):
        decode(container(tone(), format="adts", codec="aac", sample_format="fltp"))


def test_a_playlist_opens_no_other_file() -> None:
    with pytest.raises(NotAudio, match="no decoder"):
        decode(b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n")
    with pytest.raises(NotAudio, match="no decoder"):
        decode(b"ffconcat version 1.0\nfile /etc/hostname\n")


def test_damaged_containers_never_raise_anything_else() -> None:
    rng = np.random.default_rng(0)
    whole = [
        container(tone(), format=format, codec="aac", sample_format="fltp")
        for format in ("ipod", "adts", "matroska", "asf", "mpegts", "mov")
    ]
    whole.append(container(scaled(tone(), "s16"), format="avi", codec="pcm_s16le", sample_format="s16", video=True))
    for number in range(350):
        data = bytearray(whole[number % len(whole)])
        if number % 2:
            data = data[: rng.integers(1, len(data))]
        for _ in range(rng.integers(0, 20)):
            data[rng.integers(len(data))] = rng.integers(256)
        with contextlib.suppress(AudioError):
            assert len(decode(bytes(data)).samples)


def test_a_wav_does_not_wait_for_ffmpeg() -> None:
    code = (
        "import sys; from raysee.audio.decode import decode;"
        f"decode(bytes.fromhex('{wav([1, 2]).hex()}')); print('av' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False"]
