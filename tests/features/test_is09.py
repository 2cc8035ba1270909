import builtins
import importlib.util
import math
import pathlib
import pickle
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from raysee.audio.decode import decode
from raysee.audio.resample import mono
from raysee.errors import ConfigurationError
from raysee.features import TooShort, is09
from raysee.features.is09 import IS09
from raysee.features.logmel import LogMel

Samples = npt.NDArray[np.float32]

needs_opensmile = pytest.mark.skipif(
    importlib.util.find_spec("opensmile") is None, reason="the extra raysee[is09] is not installed"
)

CONTOURS = ["pcm_RMSenergy_sma{}", *(f"pcm_fftMag_mfcc_sma{{}}[{number}]" for number in range(1, 13))]
CONTOURS += ["pcm_zcr_sma{}", "voiceProb_sma{}", "F0_sma{}"]
FUNCTIONALS = ["max", "min", "range", "maxPos", "minPos", "amean", "linregc1", "linregc2", "linregerrQ"]
FUNCTIONALS += ["stddev", "skewness", "kurtosis"]
NAMES = [f"{c.format(delta)}_{functional}" for delta in ("", "_de") for c in CONTOURS for functional in FUNCTIONALS]

LOGMEL = r"""
[componentInstances:cComponentManager]
instance[dataMemory].type = cDataMemory
nThreads = 1
printLevelStats = 0
\{\cm[source{?}:include external source]}
[componentInstances:cComponentManager]
instance[frames].type = cFramer
instance[emphasis].type = cVectorPreemphasis
instance[window].type = cWindower
instance[fft].type = cTransformFFT
instance[magnitude].type = cFFTmagphase
instance[mel].type = cMelspec
instance[log].type = cVectorOperation
[frames:cFramer]
reader.dmLevel = wave
writer.dmLevel = frames
noPostEOIprocessing = 1
frameSize = 0.025
frameStep = 0.010
frameMode = fixed
frameCenterSpecial = left
[emphasis:cVectorPreemphasis]
reader.dmLevel = frames
writer.dmLevel = emphasised
k = 0.97
[window:cWindower]
reader.dmLevel = emphasised
writer.dmLevel = windowed
winFunc = ham
[fft:cTransformFFT]
reader.dmLevel = windowed
writer.dmLevel = spectrum
zeroPadSymmetric = 0
[magnitude:cFFTmagphase]
reader.dmLevel = spectrum
writer.dmLevel = magnitudes
[mel:cMelspec]
reader.dmLevel = magnitudes
writer.dmLevel = mel
htkcompatible = 0
usePower = 1
nBands = 40
lofreq = 0
hifreq = 8000
specScale = mel
[log:cVectorOperation]
reader.dmLevel = mel
writer.dmLevel = lld
operation = log
logfloor = 1e-7
\{\cm[sink{?}:include external sink]}
"""


def voice(seconds: float = 1.0) -> Samples:
    """Pulses whose rate glides from 120 to 180 Hz, louder and softer, over a little noise, in steps of 16 bits."""
    time = np.arange(round(16_000 * seconds)) / 16_000
    phase = np.cumsum(120 + 60 * time / seconds) / 16_000
    pulses = sum(np.cos(2 * np.pi * number * phase) / number for number in range(1, 20))
    noise = np.random.default_rng(0).standard_normal(len(time))
    signal = 0.1 * pulses * (1.2 + np.sin(2 * np.pi * 3 * time)) + 0.002 * noise
    return (np.round(signal * 32768) / 32768).astype(np.float32)


def by_name(samples: Samples) -> dict[str, float]:
    return dict(zip(NAMES, IS09()(samples)[0].tolist(), strict=True))


@needs_opensmile
def test_the_order_of_the_384_is_the_challenges() -> None:
    assert len(NAMES) == IS09().num_columns == 384
    assert is09._opensmile().feature_names == NAMES


@needs_opensmile
@pytest.mark.parametrize("num_samples", [400, 401, 559, 560, 1_000, 16_000])
def test_any_clip_of_a_frame_or_more_is_one_finite_row(num_samples: int) -> None:
    found = IS09()(voice()[:num_samples])
    assert found.shape == (1, 384)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert np.array_equal(found, IS09()(voice()[:num_samples]))


@needs_opensmile
@pytest.mark.parametrize("level", [0.0, 1.0, -1.0])
def test_silence_and_direct_current_are_finite_too(level: float) -> None:
    assert np.isfinite(IS09()(np.full(8_000, level, np.float32))).all()


@pytest.mark.parametrize("num_samples", [0, 1, 399])
def test_less_than_a_frame_is_too_short(num_samples: int) -> None:
    with pytest.raises(TooShort, match=f"{num_samples} samples at 16000 Hz, one frame needs 400"):
        IS09()(np.zeros(num_samples, np.float32))


@needs_opensmile
def test_it_is_what_opensmile_says() -> None:
    import opensmile

    place = pathlib.Path(opensmile.__file__).parent / "core" / "config" / "is09-13" / "IS09_emotion.conf"
    smile = opensmile.Smile(feature_set=str(place), feature_level="func")
    frame = smile.process_signal(voice(), 16_000)
    assert list(frame.columns) == NAMES
    np.testing.assert_array_equal(frame.to_numpy(np.float32), IS09()(voice()))


@needs_opensmile
def test_the_functionals_of_the_energy_are_those_of_the_definition() -> None:
    # opensmile makes 16 bits of the samples, openSMILE divides them by 32767.
    frames = np.lib.stride_tricks.sliding_window_view(voice().astype(float) * 32768 / 32767, 400)[::160]
    emphasised = np.concatenate([0.03 * frames[:, :1], frames[:, 1:] - 0.97 * frames[:, :-1]], axis=1)
    contour = np.sqrt(((emphasised * np.hamming(400)) ** 2).mean(axis=1))
    padded = np.pad(contour, 1, mode="edge")
    y = ((padded[:-2] + padded[1:-1] + padded[2:]) / 3)[:-2]  # the last two have no difference
    x = np.arange(len(y))
    slope, offset = np.polyfit(x, y, 1)
    std = y.std()
    expected = {
        "max": y.max(),
        "min": y.min(),
        "range": np.ptp(y),
        "maxPos": y.argmax(),
        "minPos": y.argmin(),
        "amean": y.mean(),
        "linregc1": slope,
        "linregc2": offset,
        "linregerrQ": ((y - slope * x - offset) ** 2).mean(),
        "stddev": std,
        "skewness": ((y - y.mean()) ** 3).mean() / std**3,
        "kurtosis": ((y - y.mean()) ** 4).mean() / std**4,
    }
    found = by_name(voice())
    for name, value in expected.items():
        assert found[f"pcm_RMSenergy_sma_{name}"] == pytest.approx(value, rel=1e-4), name


@needs_opensmile
def test_the_pitch_is_the_voices() -> None:
    found = by_name(voice())
    assert found["F0_sma_max"] == pytest.approx(180, abs=5)
    assert found["voiceProb_sma_amean"] > 0.5


@needs_opensmile
def test_full_scale_does_not_turn_over() -> None:
    loud = np.clip(voice() * 20, -1, 1)
    assert (loud == 1).any()
    np.testing.assert_array_equal(IS09()(loud), IS09()(np.minimum(loud, np.float32(32767 / 32768))))
    np.testing.assert_array_equal(IS09()(loud * 1.5), IS09()(np.where(abs(loud * 1.5) > 1, np.sign(loud), loud * 1.5)))


@needs_opensmile
def test_samples_are_left_as_they_were_and_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    samples = voice()
    IS09()(samples)
    assert np.array_equal(samples, voice())
    assert capfd.readouterr() == ("", "")


def assert_opensmiles_log_mels(samples: Samples, folder: pathlib.Path) -> None:
    """To 2e-4 of a natural logarithm; 2 ln(32768 / 32767) is openSMILE's divisor of the 16-bit samples."""
    import opensmile

    place = folder / "logmel.conf"
    place.write_text(LOGMEL)
    smile = opensmile.Smile(feature_set=str(place), feature_level="lld", loglevel=0)
    expected = smile(samples, 16_000)[0].T
    found = LogMel(num_bands=40)(samples)
    assert found.shape == expected.shape
    # The floor is that of the sum before the divisor: what lies on it is not moved.
    above = expected > math.log(2e-7)
    np.testing.assert_allclose(found[above] + 2 * math.log(32768 / 32767), expected[above], rtol=0, atol=2e-4)
    assert found[~above].max(initial=-99) < math.log(2.1e-7)
    assert above.mean() > 0.2


@needs_opensmile
def test_logmel40_is_what_opensmile_says(tmp_path: pathlib.Path) -> None:
    assert LogMel(num_bands=40)(voice()).shape == (98, 40)
    assert_opensmiles_log_mels(voice(), tmp_path)


@needs_opensmile
@pytest.mark.parametrize("pattern", ["emodb/**/03a01*.wav", "ravdess/**/03-01-0*-01-01-01-01.wav"])
def test_logmel40_of_real_clips_is_what_opensmile_says(
    real_data: pathlib.Path, tmp_path: pathlib.Path, pattern: str
) -> None:
    clips = sorted(real_data.glob(pattern))
    assert len(clips) >= 3
    for path in clips:
        audio = decode(path.read_bytes())
        assert audio.sample_rate_hz == 16_000
        assert_opensmiles_log_mels(mono(audio), tmp_path)


def test_without_opensmile_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name == "opensmile":
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    is09._opensmile.cache_clear()
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ConfigurationError, match=r'pip install "raysee\[is09\]".*research'):
        IS09()(voice())


def test_it_travels_to_another_process() -> None:
    front_end = IS09()
    assert pickle.loads(pickle.dumps(front_end)) == front_end
    assert front_end.fingerprint() != IS09(version=2).fingerprint()


def test_opensmile_is_not_waited_for() -> None:
    assert "opensmile" not in (is09.__dict__ | vars(sys.modules["raysee.features"]))
