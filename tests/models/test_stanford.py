import pytest
import torch
from torch import nn
from torch.nn import functional

from raysee.models.stanford import STANFORD, ConvPool

torch.set_num_threads(1)

SHAPE = (64, 64, 2)
CONVOLUTIONAL = [name for name in STANFORD if name.startswith("stanford-")]


def chunks(num: int, *shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(num, *(shape or SHAPE), generator=torch.Generator().manual_seed(seed))


def debug(name: str, num_labels: int = 4) -> nn.Module:
    torch.manual_seed(0)
    return STANFORD[name].sizes["debug"](SHAPE, num_labels).eval()


def count(part: nn.Module) -> int:
    return sum(parameter.numel() for parameter in part.parameters())


@pytest.mark.parametrize(
    ("name", "layers", "total"),
    [
        ("stanford-s1", [816, 1_048_640, 455], 1_049_911),
        ("stanford-s2", [1_632, 2_097_216, 455], 2_099_303),
        ("stanford-s3", [816, 12_832, 524_352, 455], 538_455),
        ("stanford-s4", [13_056, 33_554_560, 903], 33_568_519),
        ("stanford-r1", [656_384, 1_966_144, 455], 2_622_983),
        ("stanford-r2", [20_512, 61_504, 455], 82_471),
        ("stanford-r3", [10_256, 2_592, 26_688, 455], 39_991),
        ("stanford-r4", [163_968, 163_968, 73_792, 455], 402_183),
        ("stanford-r5", [1_311_744, 1_769_536, 455], 3_081_735),
        ("stanford-r6", [656_384, 1_966_144, 455], 2_622_983),
    ],
)
def test_parameters_layer_by_layer(name: str, layers: list[int], total: int) -> None:
    with torch.device("meta"):
        model = STANFORD[name].sizes["published"](SHAPE, 7)
    assert [count(layer) for layer in model.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))] == layers
    assert count(model) == total
    assert not list(model.buffers())


@pytest.mark.parametrize(("shape", "first"), [((26,), 1_728), (SHAPE, 524_352)])
@pytest.mark.parametrize(("name", "others"), [("fc2", [455]), ("fc3", [4_160, 455])])
def test_dense_networks_have_one_and_two_hidden_layers_over_26_features_or_a_spectrogram(
    name: str, others: list[int], shape: tuple[int, ...], first: int
) -> None:
    model, layers = STANFORD[name].sizes["published"](shape, 7), [first, *others]
    assert model(torch.zeros(2, *shape)).shape == (2, 7)
    assert [count(layer) for layer in model.modules() if isinstance(layer, nn.Linear)] == layers
    assert all(layer.p == 0 for layer in model.modules() if isinstance(layer, nn.Dropout))


def test_all_of_the_reports_networks_are_trained_for_400_epochs() -> None:
    systems = ["s1", "s2", "s3", "s4", "r1", "r2", "r3", "r4", "r5", "r6"]
    assert list(STANFORD) == ["fc2", "fc3", *(f"stanford-{name}" for name in systems)]
    for name, network in STANFORD.items():
        assert network.training.epochs == 400
        assert (network.unit, network.batching) == ("row", "shuffle")
        assert network.features == (("chunks64",) if name in CONVOLUTIONAL else ("chunk26", "chunks64"))


def by_hand(state: dict[str, torch.Tensor], chunk_HWS: torch.Tensor, leak: float) -> torch.Tensor:
    """Logits (C,) of one chunk, each value of a map being a sum over the piece of the picture below the filter."""
    map_SHW = chunk_HWS.permute(2, 0, 1).double()
    number = 0
    while f"convolutions.{number}.weight" in state:
        weight, bias = (state[f"convolutions.{number}.{name}"].double() for name in ("weight", "bias"))
        _, _, height, width = weight.shape
        if height == width:  # square: as large a map
            map_SHW = functional.pad(map_SHW, ((width - 1) // 2, width // 2, (height - 1) // 2, height // 2))
        pieces = map_SHW.unfold(1, height, 1).unfold(2, width, 1)
        map_SHW = torch.einsum("shwij,fsij->fhw", pieces, weight) + bias[:, None, None]
        map_SHW = torch.where(map_SHW > 0, map_SHW, leak * map_SHW)
        _, rows, columns = map_SHW.shape
        step = 1 if rows == 1 else 2
        map_SHW = map_SHW[:, : rows // step * step, : columns // 2 * 2]
        map_SHW = torch.stack([map_SHW[:, i::step, j::2] for i in range(step) for j in range(2)]).amax(dim=0)
        number += 3
    hidden = state["hidden.weight"].double() @ map_SHW.flatten() + state["hidden.bias"].double()
    hidden = torch.where(hidden > 0, hidden, leak * hidden)
    return state["output.weight"].double() @ hidden + state["output.bias"].double()


@pytest.mark.parametrize("name", ["stanford-s2", "stanford-s3", "stanford-r1", "stanford-r3", "stanford-r4"])
def test_the_network_is_its_layers_in_a_row(name: str) -> None:
    model, chunk = debug(name), chunks(2)
    with torch.no_grad():
        found = model(chunk)
    expected = torch.stack([by_hand(model.state_dict(), one, leak=0.0) for one in chunk])
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)


def test_r6_leaks_and_drops_half_of_the_hidden_layer_in_training() -> None:
    model, chunk = debug("stanford-r6"), chunks(3)
    expected = torch.stack([by_hand(model.state_dict(), one, leak=0.01) for one in chunk])
    with torch.no_grad():
        torch.testing.assert_close(model(chunk).double(), expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(model.output(model.features(chunk)), model(chunk))
        units = model.features(chunks(20))
        dropped = model.train().features(chunks(20))
    assert 0.4 < (dropped == 0).float().mean() < 0.6
    torch.testing.assert_close(dropped[dropped != 0], 2 * units[dropped != 0])


@pytest.mark.parametrize("name", [name for name in CONVOLUTIONAL if name != "stanford-r6"])
def test_the_others_drop_nothing_and_end_at_zero(name: str) -> None:
    model, chunk = debug(name), chunks(2)
    with torch.no_grad():
        torch.testing.assert_close(model.train()(chunk), model.eval()(chunk))
        assert (model.features(chunk) >= 0).all()


def test_rectangular_filters_move_along_time_alone() -> None:
    """A pattern that comes two frames later has its maxima one place later; higher up it is another pattern."""
    model, pattern = debug("stanford-r2"), chunks(1, 64, 8, 2)
    picture = torch.zeros(1, *SHAPE)
    picture[:, :, 20:28] = pattern
    with torch.no_grad():
        maps, later, higher = (
            model.convolutions(one.permute(0, 3, 1, 2)) for one in (picture, picture.roll(2, 2), picture.roll(2, 1))
        )
    assert maps.shape[2] == 1
    torch.testing.assert_close(later[..., 1:], maps[..., :-1])
    assert not torch.allclose(higher, maps)


def test_shapes_other_than_square_and_narrow_ones_are_reckoned_with() -> None:
    for full_height in (True, False):
        model = ConvPool((20, 33, 3), 5, num_filters=[4, 6], full_height=full_height)
        assert model(chunks(2, 20, 33, 3)).shape == (2, 5)


def test_a_chunk_is_judged_alone_as_in_a_batch() -> None:
    model, chunk = debug("stanford-s1"), chunks(3)
    with torch.no_grad():
        torch.testing.assert_close(model(chunk[1:2])[0], model(chunk)[1])
