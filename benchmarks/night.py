"""A night of calls: Ray Data on all cores, raysee's own functions in one thread, and the loop that most people write.

    make bench-night RAYSEE_REAL_DATA=/path        (with calls/ in it; without one, a synthetic voice)

The calls are listed again and again until there are 20 hours. The model is Aldeneh's network of the published size;
its weights are random, which cost as much as others; all channels are scored. Ray runs already, with workers that have
done a little work, as in a cluster in use.
"""

import argparse
import os
import pathlib
import shutil
import tempfile
import time

# One thread a process, for all three: two processes that each take two cores would measure each other.
os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", NUMBA_NUM_THREADS="1")

import librosa
import numpy as np
import pyarrow as pa
import results
import safetensors.torch
import silero_vad
import soundfile
import torch

from raysee import schema, storage
from raysee.audio.speech import detector
from raysee.config import Precision, RunConfig, ScoreConfig
from raysee.distributed.cluster import connect
from raysee.distributed.score import score
from raysee.evaluation.protocols import PROTOCOLS
from raysee.features import FEATURES
from raysee.models import MODELS
from raysee.scoring import ledger, listing
from raysee.scoring.plan import plan
from raysee.scoring.score import score as score_plan
from raysee.scoring.scorer import Scorer, predictor
from raysee.storage_stream import open_each
from raysee.synthesis.calls import write_calls
from raysee.training import card as cards
from raysee.training.card import Card

UNIT = "audio hours / h"
RAY = "raysee score, all cores through Ray"
MIXED = "raysee score --precision bfloat16, all cores through Ray"
PLAIN = "raysee's pure functions, 1 process, 1 thread"
LOOP = "librosa.load + silero_vad.get_speech_timestamps + the model a segment at a time, 1 process, 1 thread"
LABELS = ["anger", "happiness", "neutral", "sadness"]
EVERYBODY = ScoreConfig(channels=(("caller",), ("caller", "customer")))
FRONT_END = FEATURES["logmel40"]


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=20.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--mixed", action="store_true", help="also --precision bfloat16")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        home = pathlib.Path(folder)
        sounds = recordings(home)
        once_s = sum(soundfile.info(path).duration for path in sounds)
        archive = listed_again(sounds, home / "calls", round(options.hours * 3600 / once_s) or 1)
        few = listed_again(sounds, home / "few", 4)
        model = untrained(storage.normalise(home / "model"))
        connect()
        through_ray(few, model, home / "scores")  # the workers start and import
        seconds: dict[str, float] = {}
        runs = {
            RAY: lambda: through_ray(archive, model, home / "scores", seconds=seconds),
            PLAIN: lambda: plain(few, model, home / "plain"),
            LOOP: lambda: loop(sounds, model),
        }
        if options.mixed:
            runs[MIXED] = lambda: through_ray(archive, model, home / "mixed", precision="bfloat16")
        figures = results.in_turn(runs, options.repeats)
    total = sum(seconds.values())
    results.write(
        "night",
        [
            results.compared(RAY, PLAIN, figures, unit=UNIT, target=0.85, factor=os.cpu_count() or 1),
            results.compared(RAY, LOOP, figures, unit=UNIT, target=5.0),
            *(results.compared(what, LOOP, figures, unit=UNIT) for what in (PLAIN, MIXED) if what in figures),
            *(
                {"what": f"share of a worker's time: {stage}", "value": round(100 * spent / total, 1), "unit": "%"}
                for stage, spent in sorted(seconds.items(), key=lambda one: -one[1])
            ),
        ],
    )


def recordings(home: pathlib.Path) -> list[pathlib.Path]:
    """Calls, real where RAYSEE_REAL_DATA says where they are."""
    real = os.environ.get("RAYSEE_REAL_DATA")
    if real:
        return sorted(path for path in (pathlib.Path(real) / "calls").iterdir() if path.suffix in (".wav", ".flac"))
    print("RAYSEE_REAL_DATA names no real recordings: a synthetic voice calls")
    return sorted(write_calls(home / "sounds", calls=3, seconds=240.0))


def listed_again(sounds: list[pathlib.Path], folder: pathlib.Path, times: int) -> str:
    """A folder with so many copies of each of the files."""
    folder.mkdir()
    for number in range(times):
        for path in sounds:
            shutil.copy(path, folder / f"{number:04}-{path.name}")
    return str(folder)


def untrained(place: str) -> str:
    """A model of the published size that has learned nothing."""
    torch.manual_seed(0)
    network = MODELS["aldeneh"].sizes["published"]((40,), len(LABELS))
    card = Card(
        labels=LABELS,
        shape=[40],
        config=RunConfig(corpora=("emodb",), features="logmel40", model="aldeneh"),
        protocol=PROTOCOLS["strict"],
        chosen_epoch=1,
        front_end=FRONT_END.model_dump(),
        front_end_fingerprint=FRONT_END.fingerprint(),
        mean=[-8.0] * 40,
        std=[3.0] * 40,
        corpora=[],
        synthetic=True,
        metrics={},
        fingerprint=cards.fingerprint_of(safetensors.torch.save(network.state_dict())),
        versions={},
        written_at="",
    )
    cards.save(place, network.state_dict(), card)
    return place


def through_ray(
    archive: str,
    model: str,
    to: pathlib.Path,
    precision: Precision = "float32",
    seconds: dict[str, float] | None = None,
) -> float:
    """Hours of audio an hour of the whole stage, listing, ledger and receipts included."""
    shutil.rmtree(to, ignore_errors=True)
    began = time.perf_counter()
    (stage,) = score(archive, model, str(to), EVERYBODY.model_copy(update={"precision": precision}))
    took = time.perf_counter() - began
    assert stage.receipt.counts["out"] == stage.receipt.counts["in"], stage.receipt.rejects
    if seconds is not None:
        seconds.update(stage.receipt.details["seconds"])
        seconds["write, and between the stages"] = stage.receipt.details["work_s"] - sum(
            stage.receipt.details["seconds"].values()
        )
    return float(stage.receipt.details["audio_s"]) / took


def plain(archive: str, model: str, out: pathlib.Path) -> float:
    """The same functions and the same tables, in this process."""
    network, card, front_end = cards.load(model)
    config = EVERYBODY.model_copy(update={"detector": detector()})
    scorer = Scorer(predictor(network, card, config), card, front_end, config)
    began = time.perf_counter()
    found = listing.find(archive).recordings
    keys = pa.array([key.hex() for key in ledger.keys(found).to_pylist()], pa.string())
    scores = score_plan(plan(found.append_column("key", keys), 0, synthetic=False), "work", scorer, open_each)
    tables = {"segments": (scores.segments, schema.SEGMENTS), "calls": (scores.calls, schema.CALLS)}
    for name, (table, its_schema) in tables.items():
        storage.write_table(storage.normalise(out / f"{name}.parquet"), table, its_schema)
    return scores.audio_s / (time.perf_counter() - began)


def loop(sounds: list[pathlib.Path], model: str) -> float:
    """Each file once: its answers are the same in kind, and are kept in memory."""
    network, card, _ = cards.load(model)
    hears = silero_vad.load_silero_vad(onnx=True)
    mean, std = np.array(card.mean), np.array(card.std)
    answers = []
    began, audio_s = time.perf_counter(), 0.0
    for path in sounds:
        samples, rate = librosa.load(path, sr=16_000, mono=False)
        for channel in np.atleast_2d(samples):
            spoken = silero_vad.get_speech_timestamps(torch.from_numpy(channel), hears, max_speech_duration_s=8)
            for part in spoken:
                mel = librosa.feature.melspectrogram(
                    y=channel[part["start"] : part["end"]], sr=rate, n_fft=512, hop_length=160, n_mels=40
                )
                features = (np.log(mel.T + 1e-10) - mean) / std
                features = np.pad(features, ((0, max(64 - len(features), 0)), (0, 0)))  # the network's kernels are long
                with torch.no_grad():
                    answers.append(network(torch.from_numpy(features[None]).float()).softmax(dim=1))
        audio_s += np.atleast_2d(samples).shape[1] / rate
    assert answers
    return audio_s / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
