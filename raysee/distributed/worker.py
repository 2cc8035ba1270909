"""What each worker of a large training does: PyTorch's DistributedDataParallel makes them step as one."""

import time
from typing import Any

import numpy as np
import ray
import ray.train
import ray.train.torch
import safetensors.torch
import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from raysee.distributed.feed import Blocks, Feed, prepare_worker
from raysee.errors import RayseeError, StorageError
from raysee.evaluation.folds import FINAL
from raysee.evaluation.protocols import protocol
from raysee.models import build, network
from raysee.models.alexnet import load_pretrained
from raysee.training import checkpoint
from raysee.training.checkpoint import Checkpoint
from raysee.training.clips import Array
from raysee.training.fit import derive_seed
from raysee.training.loop import Course, Validation, check_result, example_weights, run, weights_of
from raysee.training.predict import predict
from raysee.training.store import Store, seed_of
from raysee.training.trainer import Trainer


def work(given: dict[str, Any]) -> dict[str, Any]:
    """What each worker does; what the first one returns is the result.

    An error that all workers meet at once is returned, because Ray Train would try again after one that is raised.
    """
    prepare_worker()
    try:
        return _train(given, ray.get(given["store"]), given["blocks"])
    except StorageError:
        raise
    except RayseeError as error:
        return {"error": str(error)}


def _train(given: dict[str, Any], store: Store, blocks: Blocks) -> dict[str, Any]:
    began = time.perf_counter()
    config, clips, labels = store.work.config, store.work.clips, store.work.labels
    spec, rules, training = network(config.model), protocol(config.protocol), config.training
    context = ray.train.get_context()
    rank, num_workers = context.get_world_rank(), context.get_world_size()
    device = ray.train.torch.get_device()
    on_cpu = device.type == "cpu"
    if on_cpu:
        torch.set_num_threads(1)  # the order of additions must not depend on the machine
    seed = derive_seed(config, FINAL, 0)
    torch.manual_seed(seed)
    model = build(config, clips.shape, len(labels))
    if given["initial"] is not None:
        load_pretrained(model, given["initial"])
    drawn = torch.Generator().set_state(torch.get_rng_state())
    found = checkpoint.load(given["place"])
    if found is not None:
        model.load_state_dict(found.weights)
    model.to(device)
    # On CPUs gradients are not put into other buckets after the first step: they would be added up in another order
    # before than after, and so a training that goes on would not be the one that was never disturbed.
    together = DistributedDataParallel(model, find_unused_parameters=on_cpu) if num_workers > 1 else model
    classes = np.array([labels.index(label) for label in clips.labels])[store.seen.clip]
    weights = example_weights(rules, clips, store.seen, classes, store.fold.train) ** training.balance
    trainer = Trainer(together, spec, training, torch.from_numpy(classes).to(device), weights.to(device))
    if found is not None:
        trainer.restore(found.state)
    course = found.course if found is not None else Course()
    earlier_s = course.wall_s
    feed = Feed(store, blocks, rank, num_workers, drawn, device)
    held = store.fold.validation

    def say() -> Array:
        if num_workers > 1:
            for buffer in model.buffers():  # batch norm's: those that are kept, the first worker's, are validated
                distributed.broadcast(buffer, 0)
        said = torch.zeros(len(held), len(labels))
        if len(mine := feed.positions()):
            said[np.searchsorted(held, mine)] = torch.from_numpy(predict(model, spec, feed))
        if num_workers > 1:
            said = said.to(device)
            distributed.all_reduce(said)  # the others have zeros where this one has answers
        return said.cpu().numpy()

    def before(course: Course) -> None:
        feed.epoch = len(course.curve) + 1
        torch.manual_seed(seed_of(seed, feed.epoch, rank))

    def after(course: Course) -> None:
        done, every = len(course.curve), given["checkpoint_epochs"]
        course.wall_s = earlier_s + time.perf_counter() - began
        # Every worker asks Ray Train whether a node is about to be taken away: it answers when all have.
        due = done % every == 0 or course.finished(training) or ray.train.get_preemption_info() is not None
        if rank == 0:
            if due:
                checkpoint.save(given["place"], Checkpoint(course, weights_of(model), trainer.state()))
            uar = course.curve[-1].validation_uar
            remark = f"loss {course.curve[-1].train_loss:.3f}" if uar is None else f"UAR of validation: {uar:.1%}"
            given["board"].note.remote(done, remark)

    if rank == 0:
        given["board"].note.remote(len(course.curve), f"{num_workers} workers")
    validation = Validation(classes[held], labels, say, rules.select == "validation") if len(held) else None
    run("the model", model, trainer, training, feed, validation, course, before=before, after=after)
    kept = weights_of(model)
    probabilities = say() if len(held) else np.empty((0, 0), np.float32)
    check_result("the model", training, kept, probabilities)
    return {
        "error": "",
        "seed": seed,
        "workers": num_workers,
        "chosen_epoch": course.chosen_epoch,
        "curve": course.curve,
        "probabilities": probabilities,
        "weights": safetensors.torch.save(kept),
        "wall_s": earlier_s + time.perf_counter() - began,
    }
