"""The training loop beside a bare PyTorch loop over the same tensors, and what batches of like length waste.

    make bench-training

Every network on arrays of noise in the shapes of its front-end; one thread on a CPU, the whole GPU where there is one.
The bare loop is what a tutorial writes: the batches lie ready in a list, and nothing is shuffled, weighed or counted.
Its optimiser is the network's.
"""

import argparse
import time

import numpy as np
import results
import torch
from torch.nn import functional

from raysee.features import front_end
from raysee.models import MODELS, Network
from raysee.training import memory
from raysee.training.batches import Batches, end_to_end
from raysee.training.clips import examples
from raysee.training.trainer import Trainer

NUM_LABELS = 7
LEAST_VECTORS = 1000
#: Seconds of the clips: EMO-DB's have 1.2 to 9.0, 2.8 on average, about as a gamma distribution.
_SHAPE, _SCALE, _SHORTEST = 3.0, 0.55, 1.15


def main() -> None:
    """Measure every network and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--models", nargs="*", default=[name for name in MODELS if "literal" not in name])
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(1)
    rows = [compare(name, device, options.repeats) for name in options.models]
    rows += [waste(batch_size) for batch_size in (16, 32, 64)]
    results.write("training.gpu" if device == "cuda" else "training", rows, keep=True)


def compare(name: str, device: str, repeats: int) -> dict[str, object]:
    """Steps per second of one network, in turn with the bare loop."""
    spec = MODELS[name]
    size = "published" if device == "cuda" else "debug"
    fed, classes, shape = batches(spec, device)
    torch.manual_seed(0)
    model = spec.sizes[size](shape, NUM_LABELS).to(device)
    trainer = Trainer(model, spec, spec.training, classes, torch.ones(len(classes), device=device))
    bare = spec.sizes[size](shape, NUM_LABELS).to(device)
    how, learned = spec.training, [weight for weight in bare.parameters() if weight.requires_grad]
    optimiser: torch.optim.Optimizer = torch.optim.Adam(learned, how.learning_rate, fused=True)
    if how.optimiser == "sgd":
        optimiser = torch.optim.SGD(learned, how.learning_rate, how.momentum, weight_decay=how.weight_decay, fused=True)
    ready = [(batch, classes[batch.positions]) for batch in fed.in_order()]

    def bare_epoch() -> None:
        bare.train()
        for batch, truth in ready:
            optimiser.zero_grad()
            answer = bare(batch.values, batch.lengths) if spec.masks else bare(batch.values)
            functional.cross_entropy(answer, truth).backward()
            optimiser.step()

    def steps_per_second(epoch) -> float:
        num_epochs = 0
        began = time.perf_counter()
        while num_epochs < 2 or time.perf_counter() - began < 1:
            epoch()
            if device == "cuda":
                torch.cuda.synchronize()
            num_epochs += 1
        return num_epochs * len(ready) / (time.perf_counter() - began)

    @memory.kept()
    def ours() -> float:
        return steps_per_second(lambda: trainer.epoch(fed))

    what, peer = f"{name} ({size}), {device}", "bare PyTorch loop"
    contestants = {
        what: ours,
        peer: lambda: steps_per_second(bare_epoch),
    }
    for contestant in contestants.values():
        contestant()
    return results.compared(what, peer, results.in_turn(contestants, repeats), unit="steps / s", target=0.95)


def batches(spec: Network, device: str) -> tuple[Batches, torch.Tensor, tuple[int, ...]]:
    """Batches of clips of noise, the classes of the examples, and the shape of a row."""
    rng = np.random.default_rng(0)
    made_by = front_end(spec.features[0])
    seconds = durations(rng, 64 if spec.unit == "clip" else 24)
    clips = [made_by(rng.standard_normal(round(one * made_by.sample_rate_hz)).astype(np.float32)) for one in seconds]
    while clips[0].ndim == 2 and sum(map(len, clips)) < LEAST_VECTORS and spec.unit == "row":
        clips += clips  # a step takes less than a millisecond: an epoch has many, as on a corpus
    values, offsets = end_to_end(clips)
    seen = examples(offsets, values.shape[1:], spec.unit, 100)
    everything = np.arange(len(seen.clip))
    fed = Batches(spec, torch.from_numpy(values).to(device), seen, everything, min(spec.training.batch_size, 32))
    classes = torch.from_numpy(rng.integers(0, NUM_LABELS, len(everything))).to(device)
    return fed, classes, values.shape[1:]


def durations(rng: np.random.Generator, number: int) -> np.ndarray:
    """Seconds of so many clips."""
    return _SHORTEST + rng.gamma(_SHAPE, _SCALE, number)


def waste(batch_size: int) -> dict[str, object]:
    """Per cent of the frames in batches of like length that are padding, beside random batches."""
    frames = (durations(np.random.default_rng(0), 480) * 100).astype(int)

    def wasted(order: np.ndarray) -> float:
        padded = 0
        for first in range(0, len(order), batch_size):
            batch = frames[order[first : first + batch_size]]
            padded += len(batch) * -(-batch.max() // 64) * 64
        return float(100 * (1 - frames.sum() / padded))

    random = [wasted(np.random.default_rng(seed).permutation(len(frames))) for seed in range(20)]
    return {
        "what": f"padding in batches of {batch_size} clips of like length, 64 frames as the least step",
        "value": round(wasted(np.argsort(frames, kind="stable")), 1),
        "unit": "% of frames",
        "peer": "random batches",
        "peer_value": round(float(np.median(random)), 1),
        "ratio": round(wasted(np.argsort(frames, kind="stable")) / float(np.median(random)), 3),
        "spread": [round(min(random), 1), round(max(random), 1)],
    }


if __name__ == "__main__":
    main()
