"""Every front-end through every kind of sound. What a file can be broken in is tested once, in test_table.py."""

import importlib.util
import io

import numpy as np
import pyarrow as pa
import pytest
import soundfile

from raysee import schema
from raysee.features import FEATURES, front_end
from raysee.features.embedding import Embedding
from raysee.features.table import arrays, featurise

#: The embeddings have tests of their own, on networks that need no download.
NAMES = sorted(
    name
    for name, made_by in FEATURES.items()
    if not isinstance(made_by, Embedding) and (name != "is09" or importlib.util.find_spec("opensmile"))
)


def tone(rate_hz: int, num_channels: int = 1) -> np.ndarray:
    """A second of 220 Hz."""
    return np.tile(0.3 * np.sin(2 * np.pi * 220 * np.arange(rate_hz) / rate_hz)[:, None], (1, num_channels))


SOUNDS = {
    "silence": (np.zeros((16_000, 1)), 16_000),
    "a constant": (np.full((16_000, 1), 0.5), 16_000),
    "clipped": (np.sign(tone(16_000)), 16_000),
    "one sample": (np.full((1, 1), 0.5), 16_000),
    "less than a frame": (tone(16_000)[:100], 16_000),
    "ten seconds": (np.tile(tone(16_000), (10, 1)), 16_000),
    "8 kHz": (tone(8_000), 8_000),
    "48 kHz, two channels": (tone(48_000, 2), 48_000),
    "192 kHz, eight channels": (tone(192_000, 8), 192_000),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sound", SOUNDS)
def test_it_is_finite_numbers_or_one_reject(name: str, sound: str) -> None:
    samples, rate_hz = SOUNDS[sound]
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, format="WAV", subtype="FLOAT")
    clip = dict.fromkeys(schema.UTTERANCES.names, "x") | {"start_s": None, "end_s": None, "size_bytes": 1}
    utterances = pa.Table.from_pylist([clip], schema=schema.UTTERANCES)
    ((features, rejects),) = featurise(utterances, [front_end(name)], lambda uris: [buffer.getvalue() for _ in uris])
    if len(samples) < 400 and rejects.num_rows:
        assert rejects["error"].to_pylist() == ["TooShort"]
        return
    assert rejects.to_pylist() == []
    (values,) = arrays(features)
    assert values.dtype == np.float32
    assert values.size
    assert np.isfinite(values).all()
    assert values.shape[-1] == front_end(name).num_columns


@pytest.mark.parametrize("name", NAMES)
def test_typical_values_are_about_what_four_seconds_give(name: str) -> None:
    made_by = front_end(name)
    found = made_by(np.tile(tone(made_by.sample_rate_hz)[:, 0], 4).astype(np.float32))
    assert 0.8 < made_by.typical_values / found.size < 1.3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seconds", [1, 6])
def test_the_samples_are_left_as_they_were(name: str, seconds: int) -> None:
    """In one pass the next front-end gets the same array."""
    samples = np.tile(tone(16_000)[:, 0] + 0.1, seconds).astype(np.float32)
    before = samples.copy()
    front_end(name)(samples)
    np.testing.assert_array_equal(samples, before)


def test_fingerprints_are_all_different() -> None:
    fingerprints = [made_by.fingerprint() for made_by in FEATURES.values()]
    assert len(set(fingerprints)) == len(FEATURES)
