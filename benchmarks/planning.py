"""The plan of a night against the ledger of all nights before: seconds and memory by size, on one core.

    make bench-planning

The listing is made up, a million objects in one prefix, and so are the ten million keys that are settled; all that
`raysee score` does from there to the first shard is real, on files. Each size is a process of its own.
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from unittest import mock

import numpy as np
import results

from raysee import storage
from raysee.distributed.shards import by_shard
from raysee.scoring import batches, ledger, listing
from raysee.scoring.batches import Batch
from raysee.scoring.plan import new_recordings, plan
from raysee.storage import FileInfo

PREFIX = "s3://calls/2026-11-19"
A_NIGHT = 30_000  # calls, of a part of the ledger


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--settled", type=int, help="of a single size, in a process of its own")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    if options.settled is not None:
        print(json.dumps(planned(options.objects[0], options.settled)))
        return
    rows = []
    shortest = None
    for objects in options.objects:
        command = [sys.executable, __file__, "--objects", str(objects), "--settled", str(10 * objects)]
        runs = [json.loads(subprocess.check_output(command)) for _ in range(options.repeats)]
        seconds = sorted(run["seconds"] for run in runs)
        middle = seconds[len(seconds) // 2]
        n_log_n = objects * math.log(objects)
        shortest = shortest or (middle / n_log_n, objects)
        what = f"{objects:,} objects against {10 * objects:,} settled calls"
        rows += [
            {"what": f"{what}: time", "value": round(middle, 2), "unit": "s", "spread": [seconds[0], seconds[-1]]},
            {
                "what": f"{what}: time by n log n",
                "value": round(middle / n_log_n * 1e6, 3),
                "unit": "us",
                "peer": f"{shortest[1]:,} objects",
                "peer_value": round(shortest[0] * 1e6, 3),
                "ratio": round(middle / n_log_n / shortest[0], 3),
                "target": 1.0,
            },
            {"what": f"{what}: peak memory", "value": max(run["mib"] for run in runs), "unit": "MiB"},
        ]
    rows[-3]["target"], rows[-1]["target"] = 60, 2048
    results.write("planning", rows)


def planned(objects: int, settled: int) -> dict[str, float]:
    """Seconds from the listing to the shards, and the peak memory of the process, the listing included."""
    with tempfile.TemporaryDirectory() as folder:
        to = storage.normalise(folder)
        rng = np.random.default_rng(0)
        for batch in range(-(-settled // A_NIGHT)):
            size = min(A_NIGHT, settled - batch * A_NIGHT)
            known = rng.bytes(16 * size)
            ledger.write(to, "work", f"{batch:05d}", [known[at : at + 16] for at in range(0, len(known), 16)])
        files = [
            FileInfo(
                f"{PREFIX}/{number % 97:02d}/call-{number:08d}.wav", 400_000 + number % 1000 * 100, f"{number:032x}"
            )
            for number in range(objects)
        ]
        began = time.perf_counter()
        with (
            mock.patch("raysee.storage_find.list_matching", return_value=(PREFIX, files)),
            mock.patch("raysee.storage.exists", return_value=False),
        ):
            found = listing.find(PREFIX)
        new = new_recordings(found.recordings, to, "")
        assert new.recordings.num_rows == objects
        batch = Batch(
            number=0,
            date="2026-11-19",
            source=PREFIX,
            work="work",
            identity={},
            reason="",
            settled=0,
            twice=0,
            others={},
            synthetic=False,
            first_shard=0,
            num_shards=0,
        )
        batches.begin(to, batch, plan(new.recordings, 0, synthetic=False))
        shards = by_shard(batches.plan_of(to, batch))
        assert sum(shard.num_rows for shard in shards.values()) == objects
        seconds = time.perf_counter() - began
    return {"seconds": round(seconds, 2), "mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)}


if __name__ == "__main__":
    main()
