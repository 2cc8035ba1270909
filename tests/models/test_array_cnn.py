import numpy as np
import pytest
import torch
from torch.nn import functional

from raysee.models.array_cnn import ARRAY_CNN, ARRAY_CNN_BIG_FOUR, ARRAY_CNN_MEL, ARRAY_CNN_MFCC

from .learning import learns_by_heart

torch.set_num_threads(1)

NETWORKS = {"all": ARRAY_CNN, "big-four": ARRAY_CNN_BIG_FOUR, "mfcc": ARRAY_CNN_MFCC, "mel": ARRAY_CNN_MEL}
ALL = pytest.mark.parametrize("name", NETWORKS)


def arrays(num: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(num, 275, 180, generator=torch.Generator().manual_seed(seed))


def build(name: str, size: str = "debug", num_labels: int = 4) -> torch.nn.Module:
    torch.manual_seed(0)
    return NETWORKS[name].sizes[size]((180,), num_labels)


@pytest.mark.parametrize(
    ("name", "num_labels", "layers", "total"),
    [
        # 2160 = 16 maps of 9 x 15
        ("all", 7, [416, 4_112, 2_320, 1_040, 276_608, 8_256, 2_080, 231], 295_063),
        # 4752 = 16 maps of 9 x 33
        ("big-four", 4, [272, 2_320, 1_040, 608_384, 8_256, 2_080, 132], 622_484),
        # 52,224 = 32 maps of 12 x 136
        ("mfcc", 7, [320, 6_684_800, 8_256, 2_080, 231], 6_695_687),
        # 1536 = 16 maps of 3 x 32
        ("mel", 7, [160, 2_320, 2_320, 196_736, 8_256, 2_080, 231], 212_103),
    ],
)
def test_parameters_layer_by_layer(name: str, num_labels: int, layers: list[int], total: int) -> None:
    model = build(name, "published", num_labels)
    parts = [layer for layer in model.modules() if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear))]
    assert [sum(parameter.numel() for parameter in layer.parameters()) for layer in parts] == layers
    assert sum(parameter.numel() for parameter in model.parameters()) == total


@pytest.mark.parametrize(
    ("name", "batch_size", "epochs", "patience", "dropout"),
    [
        ("all", 256, 100, 5, 0.33),
        ("big-four", 256, 100, 4, 0.33),
        ("mfcc", 112, 50, 5, 0.25),
        ("mel", 256, 50, 5, 0.25),
    ],
)
def test_what_the_study_says_of_training(
    name: str, batch_size: int, epochs: int, patience: int, dropout: float
) -> None:
    training = NETWORKS[name].training
    assert (training.batch_size, training.epochs, training.patience) == (batch_size, epochs, patience)
    assert (training.optimiser, training.learning_rate, training.adam_eps) == ("adam", 1e-3, 1e-7)  # Keras's defaults
    rates = [layer.p for layer in build(name, "published").modules() if isinstance(layer, torch.nn.Dropout)]
    assert rates == [dropout, dropout]


BLOCKS = {
    "all": [(5, 2, 2), (4, 2, 2), (3, 2, 2), (2, 2, 2)],
    "big-four": [(4, 3, 2), (3, 3, 2), (2, 2, 2)],
    "mfcc": [(3, 3, 2)],
    "mel": [(3, 3, 2), (3, 3, 2), (3, 3, 2)],
}
ROWS = {"all": range(180), "big-four": range(180), "mfcc": range(40), "mel": range(52, 180)}


@ALL
def test_the_network_is_its_layers_in_a_row(name: str) -> None:
    model, array = build(name, "published").eval(), arrays(2)
    state = {key: weight.double() for key, weight in model.state_dict().items()}
    maps = array.double().permute(0, 2, 1)[:, None][:, :, list(ROWS[name])]  # features down, frames across
    for number, (kernel, down, across) in enumerate(BLOCKS[name]):
        weight = state[f"features.{3 * number}.weight"]
        assert weight.shape[2:] == (kernel, kernel)
        maps = functional.conv2d(maps, weight, state[f"features.{3 * number}.bias"]).relu()
        maps = functional.max_pool2d(maps, (down, across))
    vector = maps.flatten(1)
    for number in (1, 4, 7):
        vector = (vector @ state[f"classifier.{number}.weight"].T + state[f"classifier.{number}.bias"]).relu()
    expected = vector @ state["classifier.9.weight"].T + state["classifier.9.bias"]
    with torch.no_grad():
        logits = model(array)
    torch.testing.assert_close(logits, expected.float())
    assert logits.shape == (2, 4)


@pytest.mark.parametrize(
    ("name", "features", "num_frames"),
    [
        ("all", range(170), 266),
        ("big-four", range(180), 275),
        ("mfcc", range(38), 274),
        ("mel", range(52, 159), 270),
    ],
)
def test_what_a_maximum_has_no_room_for_at_the_far_edges_is_not_seen(
    name: str, features: range, num_frames: int
) -> None:
    """Keras leaves out what does not fill a maximum; by hand, of the mel bands, from the last maximum backwards:

    3 positions, of 9 (3 * 3), of 11 (+ 2), of 33, of 35, of 105, of 107: bands 0 to 106 of 128.
    """
    array = arrays(8).requires_grad_()
    build(name, "published").eval()(array).square().sum().backward()
    assert array.grad is not None
    seen_TF = (array.grad != 0).any(dim=0)
    assert seen_TF.any(dim=0).nonzero()[:, 0].tolist() == list(features)
    assert seen_TF.any(dim=1).nonzero()[:, 0].tolist() == list(range(num_frames))


@ALL
def test_it_starts_as_in_keras(name: str) -> None:
    for layer in build(name, "published").modules():
        if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear)):
            num_out, num_in, *kernel = layer.weight.shape
            limit = (6 / ((num_in + num_out) * np.prod(kernel, dtype=int))) ** 0.5  # Glorot's
            assert 0.9 * limit < layer.weight.abs().max() <= limit
            assert layer.bias is not None
            assert not layer.bias.any()


@ALL
def test_a_clip_is_judged_alone_as_in_a_batch(name: str) -> None:
    model, array = build(name).eval(), arrays(3)
    with torch.no_grad():
        torch.testing.assert_close(model(array[1:2])[0], model(array)[1])


def test_the_zeros_behind_a_short_clip_are_not_masked() -> None:
    """As in the study: an array that ends in zeros is another picture than one that ends in something else."""
    assert not ARRAY_CNN.masks
    model, array = build("all").eval(), arrays(1)
    array[:, 150:] = 0
    other = array.clone()
    other[:, 200:] = 1
    with torch.no_grad():
        assert not torch.allclose(model(array), model(other))


@ALL
def test_it_is_given_275_frames_and_refuses_others(name: str) -> None:
    assert (NETWORKS[name].min_length, NETWORKS[name].max_length) == (275, 275)
    with pytest.raises(RuntimeError, match=r"shapes cannot be multiplied"):
        build(name)(torch.zeros(1, 200, 180))


@ALL
def test_it_learns_sixteen_clips_by_heart(name: str) -> None:
    # Spots of 25 frames and 10 features: finer noise is the same to the kernels everywhere.
    spots = torch.randn(16, 11, 18, generator=torch.Generator().manual_seed(0))
    assert learns_by_heart(build(name), spots.repeat_interleave(25, dim=1).repeat_interleave(10, dim=2), 3e-3)
