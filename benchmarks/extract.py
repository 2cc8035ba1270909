"""Log-mels of 25,000 clips: Ray Data on all cores, raysee's own functions in one thread, and librosa's plain loop.

    make bench-extract RAYSEE_REAL_DATA=/path        (with ravdess/ in it; without one, a synthetic voice)

RAVDESS's files are listed again and again until there are 25,000; each of the three reads every listed file, and writes
Parquet of the same schema. Ray runs already, with workers that have done a little work, as in a cluster in use.
"""

import argparse
import os
import pathlib
import shutil
import tempfile
import time
from urllib.parse import urlparse
from urllib.request import url2pathname

# One thread a process, for all three: two processes that each take two cores would measure each other.
os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", NUMBA_NUM_THREADS="1")

import librosa
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import ray
import results
import torch

from raysee import lake, schema, storage
from raysee.corpora.manifest import manifest
from raysee.distributed.cluster import connect
from raysee.distributed.extract import extract
from raysee.distributed.shards import CPUS_PER_SHARD
from raysee.features import front_end
from raysee.features.plan import clips_per_shard
from raysee.features.table import featurise
from raysee.synthesis.trees import write_ravdess

UNIT = "audio s / s"
RAY = "raysee, logmel40, all cores through Ray"
PLAIN = "raysee's pure functions, 1 process, 1 thread"
LIBROSA = "librosa.load + librosa.feature.melspectrogram, 1 process, 1 thread"


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=25_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        home = pathlib.Path(folder)
        source = recordings(home)
        lakes = {size: listed_again(source, home / f"lake-{size}", size) for size in (1_000, 5_000, options.clips)}
        connect()
        through_ray(lakes[1_000])  # the workers start and import
        memory = {size: peak_memory_mib(lakes[size]) for size in (5_000, options.clips)}
        big = lakes[options.clips]
        figures = results.in_turn(
            {
                RAY: lambda: through_ray(big),
                PLAIN: lambda: plain(big, home / "plain"),
                LIBROSA: lambda: with_librosa(big, home / "librosa"),
            },
            options.repeats,
        )
    cores = os.cpu_count() or 1
    results.write(
        "extract",
        [
            results.compared(RAY, LIBROSA, figures, unit=UNIT, target=4.0),
            results.compared(RAY, PLAIN, figures, unit=UNIT, target=0.85, factor=cores),
            results.compared(PLAIN, LIBROSA, figures, unit=UNIT, target=2.0),
            {
                "what": f"peak memory of a worker, {options.clips:,} clips",
                "value": round(memory[options.clips]),
                "unit": "MiB",
                "peer": "the same, 5,000 clips",
                "peer_value": round(memory[5_000]),
                "ratio": round(memory[options.clips] / memory[5_000], 3),
                "target": 1.0,
            },
        ],
    )


def recordings(home: pathlib.Path) -> pathlib.Path:
    """RAVDESS, real where RAYSEE_REAL_DATA says where it is."""
    real = os.environ.get("RAYSEE_REAL_DATA")
    if real:
        return pathlib.Path(real) / "ravdess"
    print("RAYSEE_REAL_DATA names no real recordings: a synthetic voice speaks RAVDESS")
    write_ravdess(home / "ravdess")
    return home / "ravdess"


def listed_again(source: pathlib.Path, root: pathlib.Path, num_clips: int) -> str:
    """A lake whose manifest lists the files of `source` again and again, `num_clips` in all."""
    place = storage.normalise(root)
    stage = manifest(place, "ravdess", str(source))
    once = storage.read_table(storage.join(stage.place, "clips"), schema.UTTERANCES)
    rows = once.take(pa.array(np.arange(num_clips) % once.num_rows))
    ids = [f"{clip_id}-{number:06d}" for number, clip_id in enumerate(rows["clip_id"].to_pylist())]
    rows = rows.set_column(0, schema.UTTERANCES.field("clip_id"), [ids])
    storage.write_table(storage.join(stage.place, "clips", "part-00000.parquet"), rows, schema.UTTERANCES)
    return place


def through_ray(root: str) -> float:
    """Audio seconds per second of the whole stage, receipts included."""
    began = time.perf_counter()
    (stage,) = extract(root, "ravdess", ["logmel40"], overwrite=True)
    return stage.receipt.details["audio_s"] / (time.perf_counter() - began)


def plain(root: str, out: pathlib.Path) -> float:
    """The same functions and the same parts, in this process."""
    utterances = storage.read_table(storage.join(lake.utterances(root, "ravdess"), "clips"), schema.UTTERANCES)
    made_by = front_end("logmel40")
    began, audio_s = time.perf_counter(), 0.0
    size = clips_per_shard(utterances.num_rows)
    for first in range(0, utterances.num_rows, size):
        ((features, _),) = featurise(utterances.slice(first, size), [made_by], storage.read_each)
        storage.write_table(storage.normalise(out / f"part-{first:06d}.parquet"), features, schema.FEATURES)
        audio_s += pc.sum(features["duration_s"]).as_py()
    return finished(out, audio_s, began)


def with_librosa(root: str, out: pathlib.Path) -> float:
    """The loop that most people write, with the frames, hop and bands of logmel40; writing as above."""
    utterances = storage.read_table(storage.join(lake.utterances(root, "ravdess"), "clips"), schema.UTTERANCES)
    began, audio_s = time.perf_counter(), 0.0
    size = clips_per_shard(utterances.num_rows)
    for first in range(0, utterances.num_rows, size):
        rows, arrays = [], []
        for clip in utterances.slice(first, size).to_pylist():
            samples, rate = librosa.load(url2pathname(urlparse(clip["uri"]).path), sr=16_000)
            mel = librosa.feature.melspectrogram(
                y=samples, sr=rate, n_fft=512, win_length=400, hop_length=160, n_mels=40, center=False
            )
            arrays.append(mel.T)
            audio_s += len(samples) / rate
            rows.append({"clip_id": clip["clip_id"], "shape": mel.T.shape})
        write_arrays(out / f"part-{first:06d}.parquet", rows, arrays)
    return finished(out, audio_s, began)


def write_arrays(path: pathlib.Path, rows: list[dict], arrays: list[np.ndarray]) -> None:
    """The columns that both have, written in the same way."""
    offsets = np.cumsum([0, *(array.size for array in arrays)])
    values = pa.LargeListArray.from_arrays(offsets, np.concatenate([array.ravel() for array in arrays]))
    fields = [schema.FEATURES.field(name) for name in ("clip_id", "shape", "values")]
    table = pa.Table.from_pylist(rows, schema=pa.schema(fields[:2])).append_column("values", values)
    storage.write_table(storage.normalise(path), table, pa.schema(fields))


def finished(out: pathlib.Path, audio_s: float, began: float) -> float:
    """Audio seconds per second; what was written is deleted outside of the time."""
    speed = audio_s / (time.perf_counter() - began)
    shutil.rmtree(out)
    return speed


def peak_memory_mib(root: str) -> float:
    """The highest resident memory of a worker process in one extraction."""
    through_ray(root)
    cores = os.cpu_count() or 1

    @ray.remote(num_cpus=CPUS_PER_SHARD)
    def peak() -> tuple[int, float]:
        import resource

        time.sleep(0.2)  # long enough for every worker to get one
        return os.getpid(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    return max(mib for _, mib in ray.get([peak.remote() for _ in range(round(2 * cores / CPUS_PER_SHARD))]))


if __name__ == "__main__":
    main()
