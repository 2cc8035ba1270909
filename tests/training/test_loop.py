import pathlib
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn
from torch.nn import functional

from raysee import storage
from raysee.config import TrainingConfig
from raysee.evaluation import standardise
from raysee.evaluation.moments import moments, statistics
from raysee.models import MODELS
from raysee.training import checkpoint
from raysee.training.batches import Batches
from raysee.training.checkpoint import Checkpoint
from raysee.training.clips import Array, Examples
from raysee.training.loop import Course, Epoch, Validation, run, weights_of
from raysee.training.store import seed_of, share_of
from raysee.training.trainer import Trainer

torch.set_num_threads(1)

NUM, SIZE, LABELS = 23, 6, ("anger", "fear", "neutral")
SPEC = MODELS["fc2"]
CLASSES = np.arange(NUM) % len(LABELS)
EVERYTHING = np.arange(NUM)


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(SIZE, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.ReLU(), nn.Linear(8, len(LABELS)))


def vectors() -> torch.Tensor:
    return torch.randn(NUM, SIZE, generator=torch.Generator().manual_seed(1))


def batches() -> Batches:
    rows = Examples(EVERYTHING, EVERYTHING, np.ones(NUM, np.int64))
    return Batches(SPEC, vectors(), rows, EVERYTHING, 8)


def trained(place: str, config: TrainingConfig, epochs: int) -> tuple[Course, dict[str, torch.Tensor], list[int]]:
    """Go on from the checkpoint below `place` for so many epochs, keeping one after each; which epochs these were."""
    model, course, done = net(), Course(), []
    trainer = Trainer(model, SPEC, config, torch.from_numpy(CLASSES), torch.ones(NUM))
    if (found := checkpoint.load(place)) is not None:
        course = found.course
        model.load_state_dict(found.weights)
        trainer.restore(found.state)

    def say() -> Array:
        model.eval()
        with torch.no_grad():
            said: Array = functional.softmax(model(vectors()), dim=1).numpy()
        return said

    def before(course: Course) -> None:
        if len(done) == epochs:
            raise KeyboardInterrupt
        torch.manual_seed(seed_of(5, len(course.curve) + 1, 0))

    def after(course: Course) -> None:
        done.append(len(course.curve))
        checkpoint.save(place, Checkpoint(course, weights_of(model), trainer.state()))

    validation = Validation(CLASSES, LABELS, say, selects=True)
    try:
        run("it", model, trainer, config, batches(), validation, course, before=before, after=after)
    except KeyboardInterrupt:
        return course, {}, done
    return course, weights_of(model), done


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"lr_step_epochs": 2, "lr_step_factor": 0.3, "weight_decay": 0.01},
        {"optimiser": "sgd", "lr_step_epochs": 2},
        {"optimiser": "sgd", "momentum": 0.0},
    ],
)
def test_a_training_in_three_pieces_is_one_training_to_the_last_bit(
    tmp_path: pathlib.Path, fields: dict[str, Any]
) -> None:
    config = TrainingConfig(epochs=6, learning_rate=0.03, batch_size=8, **fields)
    whole, expected, _ = trained(storage.normalise(tmp_path / "whole"), config, 99)
    place = storage.normalise(tmp_path / "pieces")
    pieces = [trained(place, config, epochs) for epochs in (1, 3, 99)]
    assert [done for _, _, done in pieces] == [[1], [2, 3, 4], [5, 6]]
    course, weights, _ = pieces[-1]
    assert course.curve == whole.curve
    assert course.chosen_epoch == whole.chosen_epoch
    assert all(torch.equal(weights[name], its) for name, its in expected.items())
    assert len({epoch.train_loss for epoch in whole.curve}) == 6, "something is learned"
    kept = {"checkpoint.json", "last-00006.safetensors", f"best-{whole.chosen_epoch:05d}.safetensors"}
    assert storage.names(place) == kept


def test_a_finished_training_is_not_trained_on_and_gives_its_best_weights(tmp_path: pathlib.Path) -> None:
    place, config = storage.normalise(tmp_path), TrainingConfig(epochs=3, learning_rate=0.03, batch_size=8)
    first, again = trained(place, config, 99), trained(place, config, 99)
    assert again[2] == []
    assert first[0].best is not None
    for one in (first, again):
        assert all(torch.equal(one[1][name], its) for name, its in first[0].best.weights.items())


def test_a_kill_between_the_files_of_a_checkpoint_leaves_the_one_before(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, config = storage.normalise(tmp_path), TrainingConfig(epochs=5, learning_rate=0.03, batch_size=8)
    trained(place, config, 2)
    write = storage.write_bytes

    def dying(uri: str, data: bytes) -> None:
        if uri.endswith(".json"):
            raise RuntimeError("killed")
        write(uri, data)

    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_bytes", dying)
        with pytest.raises(RuntimeError, match="killed"):
            trained(place, config, 1)
    found = checkpoint.load(place)
    assert found is not None
    assert [epoch.epoch for epoch in found.course.curve] == [1, 2]
    assert trained(place, config, 99)[2] == [3, 4, 5]


def test_a_checkpoint_knows_the_seconds_of_the_starts_before(tmp_path: pathlib.Path) -> None:
    place, course = storage.normalise(tmp_path), Course([Epoch(1, 0.5, 0.5, None, None)], wall_s=3.5)
    checkpoint.save(place, Checkpoint(course, {"layer": torch.zeros(2)}, {"rate": torch.zeros(1)}))
    found = checkpoint.load(place)
    assert found is not None
    assert found.course.wall_s == 3.5


def test_the_best_weights_of_a_start_that_was_killed_are_not_taken_for_those_of_the_next(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The epoch may be the best again, with other numbers: on another machine, or with another number of workers."""
    place, config = storage.normalise(tmp_path), TrainingConfig(epochs=4, learning_rate=0.03, batch_size=8)
    whole, expected, _ = trained(storage.normalise(tmp_path / "whole"), config, 99)
    assert whole.best is not None
    stale = storage.join(place, f"best-{whole.best.epoch:05d}.safetensors")
    zeros = {f"weights/{name}": torch.zeros_like(tensor) for name, tensor in expected.items()}
    storage.write_bytes(stale, safetensors.torch.save(zeros))
    for epochs in (whole.best.epoch, 99):
        _, found, _ = trained(place, config, epochs)
    assert all(torch.equal(found[name], its) for name, its in expected.items())


def test_it_stops_where_the_validation_loss_stalls() -> None:
    def course(losses: list[float | None]) -> Course:
        return Course([Epoch(number, 1.0, 0.5, loss, 0.5) for number, loss in enumerate(losses, start=1)])

    config = TrainingConfig(epochs=9, patience=2)
    assert not course([3.0, 2.0, 2.5]).finished(config)
    assert course([3.0, 2.0, 2.5, 2.0]).finished(config)
    assert not course([3.0, 2.0, 2.5, 1.9]).finished(config)
    assert not course([None] * 8).finished(config)
    assert course([None] * 9).finished(config)


@pytest.mark.parametrize("num_workers", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("size", [1, 4, 8, 23])
def test_the_mean_of_the_workers_gradients_is_that_of_the_batch(num_workers: int, size: int) -> None:
    model = nn.Linear(SIZE, len(LABELS))
    positions = np.random.default_rng(0).permutation(NUM)[:size]
    weights, classes = torch.linspace(0.5, 2.0, NUM), torch.from_numpy(CLASSES)

    def gradient(its: Any, share: float) -> torch.Tensor:
        model.zero_grad()
        losses = functional.cross_entropy(model(vectors()[its]), classes[its], reduction="none")
        (share * (weights[its] * losses).mean()).backward()
        assert model.weight.grad is not None
        return model.weight.grad.clone()

    shares = [share_of(positions, 1, rank, num_workers) for rank in range(num_workers)]
    counted = np.concatenate([share.positions for share in shares if share.share])
    assert sorted(counted.tolist()) == sorted(positions.tolist())
    assert all(len(share.positions) for share in shares)
    mean = torch.stack([gradient(share.positions, share.share) for share in shares]).mean(dim=0)
    torch.testing.assert_close(mean, gradient(positions, 1.0))


def test_another_seed_for_each_epoch_and_worker() -> None:
    seeds = {seed_of(seed, epoch, rank) for seed in range(3) for epoch in range(5) for rank in range(4)}
    assert len(seeds) == 60


def test_statistics_of_pieces_are_those_of_the_whole() -> None:
    rng = np.random.default_rng(0)
    clips = [(rng.standard_normal((int(rng.integers(1, 50)), 4)) * 3 + 1000).astype(np.float32) for _ in range(20)]
    for clip in clips:
        clip[:, 2] = 0.1
        clip[:, 3] = 0.0
    found, expected = statistics(map(moments, clips)), standardise.fit(clips)
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-12)
    np.testing.assert_allclose(found.std, expected.std, rtol=1e-9)
    assert found.std[2:].tolist() == [1.0, 1.0]
