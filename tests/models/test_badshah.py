import functools

import pytest
import torch
from torch.nn import functional

from raysee.errors import ConfigurationError
from raysee.models.badshah import BADSHAH, BADSHAH_LITERAL, Badshah, MeanPicture, ResponseNorm
from raysee.models.network import Network

from .learning import learns_by_heart

torch.set_num_threads(1)

BOTH = pytest.mark.parametrize("network", [BADSHAH, BADSHAH_LITERAL], ids=["default", "literal"])


def pictures(num: int, size: int = 256, seed: int = 0) -> torch.Tensor:
    return torch.rand(num, size, size, 3, generator=torch.Generator().manual_seed(seed))


def debug(network: Network, num_labels: int = 4) -> torch.nn.Module:
    torch.manual_seed(0)
    return network.sizes["debug"]((256, 256, 3), num_labels)


def test_what_the_paper_says_of_training() -> None:
    training = BADSHAH.training
    assert (training.epochs, training.batch_size, training.learning_rate) == (30, 100, 0.01)
    rates = [
        training.learning_rate * training.lr_step_factor ** (epoch // training.lr_step_epochs) for epoch in (9, 10, 29)
    ]
    assert rates == pytest.approx([0.01, 0.001, 0.0001])
    assert (training.optimiser, training.momentum, training.weight_decay) == ("sgd", 0.9, 5e-4)
    assert BADSHAH_LITERAL.training == training


@pytest.mark.parametrize(
    ("network", "num_colours", "first_dense", "total"),
    [
        (BADSHAH, 3, 12_584_960, 18_492_711),  # 384 maps of 4 x 4
        (BADSHAH, 1, 12_584_960, 18_463_671),
        (BADSHAH_LITERAL, 3, 452_986_880, 458_894_631),  # 384 maps of 24 x 24
        (BADSHAH_LITERAL, 1, 452_986_880, 458_865_591),
    ],
)
def test_parameters_layer_by_layer(network: Network, num_colours: int, first_dense: int, total: int) -> None:
    with torch.device("meta"):
        model = network.sizes["published"]((256, 256, num_colours), 7)
    layers = [layer for layer in model.modules() if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear))]
    found = [sum(parameter.numel() for parameter in layer.parameters()) for layer in layers]
    first = 14_640 if num_colours == 1 else 43_680
    assert found == [first, 768_256, 885_120, first_dense, 4_196_352, 14_343]
    assert sum(parameter.numel() for parameter in model.parameters()) == total


@pytest.mark.parametrize(
    ("network", "sides"),
    [(BADSHAH, [62, 30, 26, 12, 10, 4]), (BADSHAH_LITERAL, [62, 30, 26, 24])],
    ids=["default", "literal"],
)
def test_maps_become_smaller_as_computed_by_hand(network: Network, sides: list[int]) -> None:
    model = debug(network)
    found = []
    with torch.no_grad():
        maps = pictures(1).permute(0, 3, 1, 2)
        for layer in model.get_submodule("features").children():
            maps = layer(maps)
            if isinstance(layer, (torch.nn.Conv2d, torch.nn.MaxPool2d)):
                found.append(maps.shape[2])
                assert maps.shape[2] == maps.shape[3]
    assert found == sides


@BOTH
def test_the_network_is_its_layers_in_a_row(network: Network) -> None:
    model = debug(network).eval()
    state, picture = model.state_dict(), pictures(2)
    convolutions = [name for name in state if name.startswith("features") and name.endswith("weight")]
    maps = 255 * (picture - state["mean_picture.mean"]).movedim(3, 1)
    for number, name in enumerate(convolutions):
        maps = functional.conv2d(maps, state[name], state[name.replace("weight", "bias")], 4 if number == 0 else 1)
        maps = maps.relu()
        if number < 2 and network is BADSHAH:
            maps = functional.local_response_norm(maps, 5, alpha=1e-4, beta=0.75, k=1)
        if number == 0 or network is BADSHAH:
            maps = functional.max_pool2d(maps, 3, 2)
    vector = maps.flatten(1)
    for number in (1, 4):
        vector = (vector @ state[f"classifier.{number}.weight"].T + state[f"classifier.{number}.bias"]).relu()
    expected = vector @ state["classifier.7.weight"].T + state["classifier.7.bias"]
    with torch.no_grad():
        logits = model(picture)
    torch.testing.assert_close(logits, expected)
    assert logits.shape == (2, 4)


@pytest.mark.parametrize("num_maps", [1, 2, 7])
def test_responses_are_normalised_as_pytorch_does_it(num_maps: int) -> None:
    maps = 300 * torch.rand(2, num_maps, 3, 4, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1)(maps)
    assert not torch.allclose(maps, expected)
    norm = ResponseNorm(num_maps)
    torch.testing.assert_close(norm(maps), expected)
    assert not norm.state_dict(), "it has learned nothing"


def test_the_mean_picture_is_that_of_all_that_was_trained_on() -> None:
    centring, some = MeanPicture((8, 8, 3)), pictures(7, size=8)
    for batch in some.split(3):
        centring.train()(batch)
    centring.eval()(1 - some)
    torch.testing.assert_close(centring.mean, some.mean(dim=0))
    torch.testing.assert_close(centring(some), some - some.mean(dim=0))


def test_the_mean_picture_is_kept_with_the_weights() -> None:
    model = debug(BADSHAH).train()
    model(pictures(2))
    again = debug(BADSHAH)
    again.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(again.eval()(pictures(2, seed=1)), model.eval()(pictures(2, seed=1)))


def test_weights_start_as_those_of_alexnet_in_digits() -> None:
    torch.manual_seed(0)
    model = BADSHAH.sizes["published"]((256, 256, 3), 7)
    layers = [layer for layer in model.modules() if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear))]
    spreads = [layer.weight.std().item() for layer in layers]
    assert spreads == pytest.approx([0.01] * 3 + [0.005] * 2 + [0.01], rel=0.03)
    assert all(abs(layer.weight.mean().item()) < 3e-4 for layer in layers)
    biases = [layer.bias.unique().item() for layer in layers]
    assert biases == pytest.approx([0, 0.1, 0, 0.1, 0.1, 0])


def test_half_of_both_hidden_layers_is_dropped_in_training() -> None:
    rates = [layer.p for layer in debug(BADSHAH).modules() if isinstance(layer, torch.nn.Dropout)]
    assert rates == [0.5, 0.5]
    model, picture = debug(BADSHAH), pictures(1)
    with torch.no_grad():
        assert not torch.equal(model.train()(picture), model(picture))
        assert torch.equal(model.eval()(picture), model(picture))


def test_a_picture_is_judged_alone_as_in_a_batch() -> None:
    model, picture = debug(BADSHAH).eval(), pictures(3)
    with torch.no_grad():
        torch.testing.assert_close(model(picture[1:2])[0], model(picture)[1])


def test_rows_columns_and_colours_are_told_apart() -> None:
    model, picture = debug(BADSHAH).eval(), pictures(1)
    with torch.no_grad():
        logits = model(picture)
        for other in (picture.flip(1), picture.flip(2), picture.flip(3), picture.transpose(1, 2)):
            assert not torch.allclose(model(other), logits)


def test_pictures_may_be_wider_than_high() -> None:
    model = Badshah((160, 256, 3), 4, num_filters=(16, 16, 16), num_hidden=16)
    assert model(torch.rand(2, 160, 256, 3)).shape == (2, 4)


def test_pictures_that_are_too_small_are_refused() -> None:
    smallest = functools.partial(Badshah, num_labels=4, num_filters=(16, 16, 16), num_hidden=16)
    assert smallest((131, 131, 3))(torch.rand(1, 131, 131, 3)).shape == (1, 4)
    with pytest.raises(ConfigurationError, match=r"130 pixels.*image256"):
        smallest((131, 130, 3))


@BOTH
def test_it_learns_sixteen_pictures_by_heart(network: Network) -> None:
    # Spots of 32 x 32 pixels: finer noise is the same to the kernels everywhere.
    spots = pictures(16, size=8).repeat_interleave(32, dim=1).repeat_interleave(32, dim=2)
    assert learns_by_heart(debug(network), spots, 1e-3)
