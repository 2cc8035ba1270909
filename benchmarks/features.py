"""Every front-end on one thread, beside the way most people make the same, and on all cores through Ray.

    make bench-features RAYSEE_REAL_DATA=/path       (with ravdess/ in it; without one, a synthetic voice)

The peers are librosa's functions, and openSMILE's own call for IS09; both get samples that are decoded already. Where a
front-end is librosa's own functions, the ratio is what the front-end adds around them. The pictures of sliding windows
are measured against making each window by itself. The embeddings are missing: they need weights.
"""

import os

# One thread a process: front-ends and peers alike, and two workers must not measure each other.
os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", NUMBA_NUM_THREADS="1")

import argparse
import functools
import importlib.util
import pathlib
import tempfile
import time
from collections.abc import Callable
from typing import Any

import librosa
import matplotlib
import numpy as np
import numpy.typing as npt
import results
import torch
from extract import listed_again, recordings

from raysee import schema, storage
from raysee.audio.decode import decode
from raysee.audio.resample import mono, resample
from raysee.distributed.cluster import connect
from raysee.distributed.extract import extract
from raysee.features import FEATURES, front_end
from raysee.features.embedding import Embedding

Samples = npt.NDArray[np.float32]
UNIT = "audio s / s"
RATE_HZ = 16_000
ROUNDS = 3
LONGEST = 80_000


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=40, help="on one thread")
    parser.add_argument("--clips-through-ray", type=int, default=480)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        home = pathlib.Path(folder)
        root = listed_again(recordings(home), home / "lake", options.clips_through_ray)
        clips = read(root, options.clips)
        connect()
        extract(root, "ravdess", ["logmel40"])  # the workers start
        rows = []
        for name, peer in PEERS.items():
            if name == "is09" and not importlib.util.find_spec("opensmile"):
                continue
            mine, its = front_end(name), f"{peer.__doc__}"
            contestants = {name: timed(mine, clips, mine.sample_rate_hz), its: timed(peer, clips, mine.sample_rate_hz)}
            figures = results.in_turn(contestants, ROUNDS)
            target = 20.0 if name.startswith("sliding") else 2.0 if name.startswith("logmel") else 1.0
            row = results.compared(name, its, figures, unit=UNIT, target=target)
            rows.append({**row, "what": f"{name}, 1 thread", "through_ray": through_ray(root, name)})
        results.write("features", rows)


def read(root: str, num_clips: int) -> list[Samples]:
    """Samples at 16 kHz of the first clips of the lake."""
    place = storage.join(root, "utterances", "ravdess", "clips")
    uris = storage.read_table(place, schema.UTTERANCES)["uri"].to_pylist()[:num_clips]
    decoded = [decode(storage.read_bytes(uri)) for uri in uris]
    return [resample(mono(audio), audio.sample_rate_hz, RATE_HZ) for audio in decoded]


def timed(make: Callable[[Samples], object], clips: list[Samples], rate_hz: int) -> Callable[[], float]:
    """A function that measures audio seconds per second over the clips, once through them before."""
    heard = [resample(clip, RATE_HZ, rate_hz) for clip in clips]
    make(heard[0])

    def measure() -> float:
        began = time.perf_counter()
        for clip in heard:
            make(clip)
        return sum(len(clip) for clip in heard) / rate_hz / (time.perf_counter() - began)

    return measure


def through_ray(root: str, name: str) -> float:
    """Audio seconds per second of the whole stage on all cores, reading and writing included."""
    began = time.perf_counter()
    (stage,) = extract(root, "ravdess", [name], overwrite=name == "logmel40")
    speed = stage.receipt.details["audio_s"] / (time.perf_counter() - began)
    storage.remove(stage.place)
    return round(speed, 1)


def mel(samples: Samples, num_bands: int) -> npt.NDArray[np.float32]:
    """Mel bands of 25 ms every 10 ms, (num_bands, num_frames)."""
    return librosa.feature.melspectrogram(
        y=samples, sr=RATE_HZ, n_fft=512, win_length=400, hop_length=160, n_mels=num_bands, center=False
    )


def mel40(samples: Samples) -> object:
    """librosa.feature.melspectrogram, 40 bands"""
    return mel(samples, 40)


def mel240(samples: Samples) -> object:
    """librosa.feature.melspectrogram, 240 bands"""
    return mel(samples, 240)


def db40(samples: Samples) -> object:
    """librosa: 5 s, preemphasis, melspectrogram, power_to_db, 40 bands"""
    return db(samples, 40)


def db240(samples: Samples) -> object:
    """librosa: 5 s, preemphasis, melspectrogram, power_to_db, 240 bands"""
    return db(samples, 240)


def db(samples: Samples, num_bands: int) -> object:
    """Decibels of a fixed length."""
    fixed = librosa.effects.preemphasis(librosa.util.fix_length(samples, size=LONGEST))
    return librosa.power_to_db(mel(fixed, num_bands), ref=np.max, top_db=60)


def mfcc(samples: Samples) -> object:
    """librosa.feature.mfcc and two librosa.feature.delta"""
    found = librosa.feature.mfcc(
        y=samples, sr=RATE_HZ, n_mfcc=13, n_mels=26, n_fft=512, win_length=400, hop_length=160, center=False
    )
    return np.concatenate([found, librosa.feature.delta(found), librosa.feature.delta(found, order=2)])


def stacked(samples: Samples) -> object:
    """librosa: mfcc, chroma_stft, melspectrogram"""
    return np.concatenate(
        [
            librosa.feature.mfcc(y=samples, sr=22_050, n_mfcc=40),
            librosa.feature.chroma_stft(y=samples, sr=22_050),
            librosa.feature.melspectrogram(y=samples, sr=22_050),
        ]
    )


def means(samples: Samples) -> object:
    """librosa: means of mfcc, chroma_stft, melspectrogram"""
    return stacked(samples).mean(axis=1)  # type: ignore[attr-defined]


def pictures(samples: Samples) -> object:
    """librosa.stft and amplitude_to_db by window, matplotlib's jet, torch's resizing"""
    size, hop = round(0.6 * RATE_HZ), round(0.4 * RATE_HZ)
    found = []
    for start in range(0, max(len(samples) - size, 0) + 1, hop):
        spectrum = librosa.stft(samples[start : start + size], n_fft=512, win_length=400, hop_length=160, center=False)
        level = librosa.amplitude_to_db(np.abs(spectrum), ref=np.max)
        coloured = matplotlib.colormaps["jet"](1 + level / 80)[..., :3].astype(np.float32)
        image = torch.from_numpy(coloured).permute(2, 0, 1)[None]
        found.append(torch.nn.functional.interpolate(image, (256, 256), mode="bilinear", antialias=True))
    return found


def window_by_window(samples: Samples) -> object:
    """the same front-end for each window of 1 s by itself"""
    make = front_end("sliding227")
    starts = range(0, max(len(samples) - RATE_HZ, 0) + 1, RATE_HZ // 100)
    return [make(samples[start : start + RATE_HZ]) for start in starts]


def chunks(samples: Samples) -> object:
    """two librosa.stft with 2,048 points, logarithm, torch's resizing"""
    channels = [
        librosa.stft(samples, n_fft=2048, win_length=win_length, hop_length=32, window="hamming")[1:257]
        for win_length in (640, 80)
    ]
    level = torch.from_numpy(np.log(np.maximum(np.abs(np.stack(channels)), 1e-5)))
    parts = torch.stack([part for part in level.split(256, dim=2) if part.shape[2] == 256])
    return torch.nn.functional.interpolate(parts, (64, 64), mode="bilinear", antialias=True)


def by_hand(samples: Samples) -> object:
    """librosa's mfcc, rms, zero crossings, centroid, rolloff and yin, chunk by chunk"""
    size = round(0.512 * RATE_HZ)
    found = []
    for start in range(0, max(len(samples) - size, 0) + 1, size):
        chunk = samples[start : start + size]
        found.append(
            [
                librosa.feature.mfcc(y=chunk, sr=RATE_HZ, n_mfcc=13).mean(axis=1),
                librosa.feature.rms(y=chunk).mean(),
                librosa.feature.zero_crossing_rate(y=chunk).mean(),
                librosa.feature.melspectrogram(y=chunk, sr=RATE_HZ, n_mels=4).mean(axis=1),
                librosa.feature.spectral_centroid(y=chunk, sr=RATE_HZ).mean(),
                *(
                    librosa.feature.spectral_rolloff(y=chunk, sr=RATE_HZ, roll_percent=share).mean()
                    for share in (0.5, 0.75, 0.85, 0.9, 0.95)
                ),
                np.median(librosa.yin(chunk, fmin=60, fmax=500, sr=RATE_HZ)),
            ]
        )
    return found


def smile(samples: Samples) -> object:
    """opensmile.Smile.process_signal"""
    return opensmile_is09().process_signal(samples, RATE_HZ)


@functools.lru_cache(maxsize=1)
def opensmile_is09() -> Any:
    """openSMILE with the configuration that its package holds."""
    import opensmile

    configuration = pathlib.Path(opensmile.__file__).parent / "core" / "config" / "is09-13" / "IS09_emotion.conf"
    return opensmile.Smile(feature_set=str(configuration), feature_level="func", loglevel=0)


PEERS: dict[str, Callable[[Samples], object]] = {
    "logmel40": mel40,
    "logmel240": mel240,
    "spectrogram40": db40,
    "spectrogram240": db240,
    "mfcc": mfcc,
    "summary180": means,
    "array180": stacked,
    "image256": pictures,
    "sliding227": window_by_window,
    "chunks64": chunks,
    "chunk26": by_hand,
    "is09": smile,
}
_MISSING = {name for name, made_by in FEATURES.items() if not isinstance(made_by, Embedding)} - PEERS.keys()
assert {"chunks64-augmented", "sliding227linear", "sliding227log", "waveform"} == _MISSING, _MISSING


if __name__ == "__main__":
    main()
