"""What a telephone leaves of a recording: its band, its rate, and one of its codecs.

The band is the classical 300 to 3400 Hz; mu-law and A-law are ITU-T G.711, GSM is the full rate of GSM 06.10, AMR is
the narrow band at 12.2 kbit/s (3GPP TS 26.071). libsndfile and FFmpeg code, and `decode` decodes, as it does calls.
"""

import functools
import hashlib
import io
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile

from raysee.audio.decode import Samples, decode
from raysee.audio.resample import resample
from raysee.config import Channel
from raysee.errors import ConfigurationError, unknown

Pcm = npt.NDArray[np.int16]

RATE_HZ = 8_000
BAND_HZ = (300, 3_400)
_ORDER = 4
_AMR_ENCODER, _AMR_BITS_PER_S = "libopencore_amrnb", 12_200
_BEHIND = 160  # samples of silence coded behind a clip, a frame of GSM and AMR: more than any decoder's delay
_SEED = 0


class Codec(NamedTuple):
    """Samples (num_samples,) at RATE_HZ -> a file, and how many samples later its decoder gives them back."""

    encode: Callable[[Pcm], bytes]
    delay: int = 0


def _wav(subtype: str, pcm: Pcm) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, pcm, RATE_HZ, format="WAV", subtype=subtype)
    return file.getvalue()


def _amr(pcm: Pcm) -> bytes:
    import av  # 40 ms that those who need no telephone shall not wait for

    file = io.BytesIO()
    with av.open(file, "w", format="amr") as container:
        try:
            stream = container.add_stream(_AMR_ENCODER, rate=RATE_HZ, layout="mono", bit_rate=_AMR_BITS_PER_S)
        except av.codec.codec.UnknownCodecError as error:
            raise ConfigurationError(
                "This build of PyAV has no AMR encoder, which the telephone needs: install the wheel from PyPI."
            ) from error
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


CODECS: dict[str, Codec] = {
    "mu-law": Codec(functools.partial(_wav, "ULAW")),
    "a-law": Codec(functools.partial(_wav, "ALAW")),
    "gsm": Codec(functools.partial(_wav, "GSM610")),
    "amr": Codec(_amr, delay=40),
}

#: What features follow from besides recordings and front-end: a part of their configuration and fingerprint.
CHANNELS: dict[Channel, dict[str, Any]] = {
    "clean": {},
    "telephone": {
        "telephone": {
            "version": 1,  # raised when the numbers change
            "band_hz": [*BAND_HZ],
            "order": _ORDER,
            "codecs": [*CODECS],
            "seed": _SEED,
        }
    },
}


def codec_of(clip_id: str) -> str:
    """The codec that chance gives to a clip, each as likely: the same in every process, whichever clips are beside."""
    digest = hashlib.sha256(f"{_SEED}/{clip_id}".encode()).digest()
    return [*CODECS][int.from_bytes(digest[:8], "big") % len(CODECS)]


def through(samples: Samples, sample_rate_hz: int, codec: str) -> Samples:
    """Samples (num_samples,) as they come out of a telephone line, as many at the same rate and time.

    What is above full scale is clipped, as a telephone does. Raises ConfigurationError for a codec that is not in
    CODECS, or where PyAV cannot encode AMR.
    """
    if codec not in CODECS:
        raise unknown("codec", codec, CODECS)
    if len(samples) == 0:
        return samples
    encode, delay = CODECS[codec]
    line = resample(band(samples, sample_rate_hz), sample_rate_hz, RATE_HZ)
    pcm = np.clip(np.rint(line * 2**15), -(2**15), 2**15 - 1).astype(np.int16)
    heard = decode(encode(np.pad(pcm, (0, _BEHIND)))).samples[delay : delay + len(pcm), 0]
    back = resample(heard, RATE_HZ, sample_rate_hz)[: len(samples)]
    return np.pad(back, (0, len(samples) - len(back)))  # two roundings of the length may have lost a sample


def band(samples: Samples, sample_rate_hz: int) -> Samples:
    """Samples (num_samples,) between 300 and 3400 Hz: a Butterworth filter, 24 dB an octave at both ends."""
    from scipy.signal import sosfilt

    filtered: Samples = sosfilt(_sections(sample_rate_hz), samples).astype(np.float32)
    return filtered


@functools.cache
def _sections(sample_rate_hz: int) -> npt.NDArray[np.float64]:
    """(num_sections, 6), as scipy has them."""
    from scipy.signal import butter

    sections: npt.NDArray[np.float64] = butter(_ORDER, BAND_HZ, "bandpass", fs=sample_rate_hz, output="sos")
    return sections
