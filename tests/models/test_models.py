"""What holds for every network of MODELS, fed as in training."""

import inspect

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from raysee.config import TrainingConfig
from raysee.features import FEATURES
from raysee.models import CLASSIFIERS, MODELS
from raysee.models.network import Network
from raysee.training.batches import Batches, end_to_end
from raysee.training.clips import examples
from raysee.training.predict import logits, predict
from raysee.training.trainer import Trainer

torch.set_num_threads(1)

Array = npt.NDArray[np.float32]

#: What front-ends give has as many rows as there is to hear; this is one of them.
SHAPES: dict[str, tuple[int, ...]] = {
    "array180": (180,),
    "chunk26": (26,),
    "chunks64": (64, 64, 2),
    "hubert": (768,),
    "hubert-mean": (768,),
    "image256": (256, 256, 3),
    "is09": (384,),
    "logmel40": (40,),
    "logmel240": (240,),
    "mfcc": (FEATURES["mfcc"].num_columns,),
    "sliding227": (227, 3),
    "sliding227linear": (227, 3),
    "sliding227log": (227, 3),
    "spectrogram40": (40,),
    "spectrogram240": (240,),
    "summary180": (180,),
    "waveform": (1,),
    "wav2vec2": (768,),
    "wav2vec2-mean": (768,),
    "wavlm": (768,),
    "wavlm-mean": (768,),
}
#: Their own tests show that these learn sixteen examples by heart; it takes them many seconds.
SLOW = {"alexnet", "alexnet-fine-tuned", "badshah", "badshah-literal", "zhang", "zhao", "zhao-512"}
SLOW |= {name for name in MODELS if name.startswith("array-cnn")}
CLIPS = [name for name, network in MODELS.items() if network.unit == "clip"]


def clips(network: Network, features: str, num: int, shortest: int = 60) -> list[Array]:
    """Noise, coarse where it is a picture: what changes from pixel to pixel is the same to the kernels everywhere."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(num):
        num_rows = {"row": 1, "window": 227, "clip": shortest + 7 * number}[network.unit]
        if features == "waveform":
            num_rows *= 40
        elif features == "chunks64" and network.unit == "clip":
            num_rows = 1 + number % 5
        shape = (num_rows, *SHAPES[features])
        if "227" in features or "256" in features:
            array = rng.standard_normal([-(-size // 14) if size > 14 else size for size in shape])
            for axis, size in enumerate(shape):
                if size > 14:
                    array = array.repeat(14, axis=axis).take(range(size), axis=axis)
        else:
            array = rng.standard_normal(shape)
        made.append(array.astype(np.float32))
    return made


def fed(network: Network, arrays: list[Array], batch_size: int = 16) -> Batches:
    values, offsets = end_to_end(arrays)
    seen = examples(offsets, values.shape[1:], network.unit, 1_000)
    return Batches(network, torch.from_numpy(values), seen, np.arange(len(arrays)), batch_size)


def debug(network: Network, features: str, num_labels: int = 4) -> nn.Module:
    torch.manual_seed(0)
    return network.sizes["debug"](SHAPES[features], num_labels)


def test_shapes_are_those_of_the_front_ends() -> None:
    taken = {features for model in (*MODELS.values(), *CLASSIFIERS.values()) for features in model.features}
    assert taken == set(SHAPES)
    assert {name: FEATURES[name].num_columns for name in SHAPES} == {name: shape[-1] for name, shape in SHAPES.items()}


@pytest.mark.parametrize("name", MODELS)
def test_it_takes_each_of_its_front_ends_in_both_sizes(name: str) -> None:
    network = MODELS[name]
    assert set(network.sizes) == {"published", "debug"}
    for features in network.features:
        (batch,) = fed(network, clips(network, features, 2)).in_order()
        with torch.no_grad():
            answer = logits(debug(network, features, 5).eval(), network, batch)
        assert answer.shape == (2, 5)
        assert answer.isfinite().all()
        with torch.device("meta"):
            large = network.sizes["published"](SHAPES[features], 5)
        debugged = debug(network, features, 5).state_dict()
        assert list(large.state_dict()) == list(debugged) or name.startswith("mlp")  # the same layers, but wider
        assert sum(map(torch.numel, large.state_dict().values())) >= sum(map(torch.numel, debugged.values()))


@pytest.mark.parametrize("name", sorted(set(MODELS) - SLOW))
def test_it_learns_sixteen_examples_by_heart(name: str) -> None:
    network = MODELS[name]
    batches = fed(network, clips(network, network.features[0], 16))
    model, classes = debug(network, network.features[0]), torch.arange(16) % 4
    training = TrainingConfig(batch_size=16, learning_rate=1e-3)
    trainer = Trainer(model, network, training, classes, torch.ones(16))
    for _ in range(16):
        for _ in range(5):
            trainer.epoch(batches)
        if (predict(model, network, batches).argmax(axis=1) == classes.numpy()).all():
            return
    raise AssertionError("not learnt in 80 steps")


@pytest.mark.parametrize("name", CLIPS)
def test_padding_has_a_part_in_clips_where_the_network_says_so(name: str) -> None:
    network = MODELS[name]
    # Longer than what all are padded to, and of waveforms so long that they differ by a frame of a debug network.
    shortest = 200 if network.features[0] == "waveform" else max(60, network.min_length + 1)
    arrays = clips(network, network.features[0], 3, shortest)
    model = debug(network, network.features[0]).eval()
    (together,) = fed(network, arrays).in_order()
    with torch.no_grad():
        judged = logits(model, network, together)[together.positions.argsort()]
        alone = torch.cat([logits(model, network, next(fed(network, [array]).in_order())) for array in arrays])
    if network.masks or network.min_length == network.max_length:  # all clips are padded to one length
        torch.testing.assert_close(judged, alone, rtol=1e-5, atol=1e-5)
    else:
        assert not torch.allclose(judged, alone, rtol=1e-5, atol=1e-5)
    if not network.masks:
        said = f"{inspect.getdoc(type(model))} {inspect.getmodule(type(model)).__doc__}"
        assert "no mask" in said or "not masked" in said
