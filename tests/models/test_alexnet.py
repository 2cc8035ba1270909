import io
import pathlib
import pickle
from typing import Any

import pytest
import safetensors.torch
import torch
from torch.nn import functional

from raysee.errors import ConfigurationError
from raysee.models.alexnet import ALEXNET_FINE_TUNED, ALEXNET_IMAGE, ALEXNET_SLIDING, AlexNet, load_pretrained
from raysee.models.badshah import BADSHAH
from raysee.models.network import Network

from .learning import learns_by_heart

torch.set_num_threads(1)

# The state_dict() of torchvision.models.alexnet().
TORCHVISION = {
    "features.0.weight": (64, 3, 11, 11),
    "features.0.bias": (64,),
    "features.3.weight": (192, 64, 5, 5),
    "features.3.bias": (192,),
    "features.6.weight": (384, 192, 3, 3),
    "features.6.bias": (384,),
    "features.8.weight": (256, 384, 3, 3),
    "features.8.bias": (256,),
    "features.10.weight": (256, 256, 3, 3),
    "features.10.bias": (256,),
    "classifier.1.weight": (4096, 9216),
    "classifier.1.bias": (4096,),
    "classifier.4.weight": (4096, 4096),
    "classifier.4.bias": (4096,),
    "classifier.6.weight": (1000, 4096),
    "classifier.6.bias": (1000,),
}
ALL = pytest.mark.parametrize(
    "network", [ALEXNET_IMAGE, ALEXNET_FINE_TUNED, ALEXNET_SLIDING], ids=["image", "fine-tuned", "sliding"]
)


def pictures(num: int, height: int = 227, width: int = 227, seed: int = 0) -> torch.Tensor:
    return torch.rand(num, height, width, 3, generator=torch.Generator().manual_seed(seed))


def debug(network: Network, num_labels: int = 4, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return network.sizes["debug"]((227, 227, 3), num_labels)


def trained() -> tuple[dict[str, torch.Tensor], bytes]:
    """Weights for 1000 classes in the debug size, and their file."""
    weights = debug(ALEXNET_FINE_TUNED, num_labels=1000, seed=1).state_dict()
    return weights, safetensors.torch.save(weights)


@ALL
def test_names_and_shapes_are_torchvisions(network: Network) -> None:
    with torch.device("meta"):
        model = network.sizes["published"]((227, 227, 3), 1000)
    assert {name: tuple(weight.shape) for name, weight in model.state_dict().items()} == TORCHVISION
    assert sum(parameter.numel() for parameter in model.parameters()) == 61_100_840  # as torchvision documents it


@pytest.mark.parametrize(
    ("num_labels", "last", "total"), [(7, 28_679, 57_032_519), (8, 32_776, 57_036_616)], ids=["emodb", "ravdess"]
)
def test_parameters_layer_by_layer(num_labels: int, last: int, total: int) -> None:
    with torch.device("meta"):
        model = ALEXNET_IMAGE.sizes["published"]((256, 256, 3), num_labels)
    layers = [layer for layer in model.modules() if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear))]
    found = [sum(parameter.numel() for parameter in layer.parameters()) for layer in layers]
    assert found == [23_296, 307_392, 663_936, 884_992, 590_080, 37_752_832, 16_781_312, last]
    assert sum(parameter.numel() for parameter in model.parameters()) == total


def test_what_the_sources_say_of_training() -> None:
    assert ALEXNET_IMAGE.training == BADSHAH.training
    fine_tuned = ALEXNET_FINE_TUNED.training
    assert fine_tuned.learning_rate == pytest.approx(BADSHAH.training.learning_rate / 10)
    assert fine_tuned.model_copy(update={"learning_rate": 0.01}) == BADSHAH.training
    assert ALEXNET_SLIDING.training.epochs == 15


def test_maps_of_a_window_become_smaller_as_computed_by_hand() -> None:
    model, found = debug(ALEXNET_IMAGE), []
    with torch.no_grad():
        maps = pictures(1).movedim(3, 1)
        for layer in model.get_submodule("features").children():
            maps = layer(maps)
            if not isinstance(layer, torch.nn.ReLU):
                found.append(tuple(maps.shape[2:]))
    assert found == [(side, side) for side in (56, 27, 27, 13, 13, 13, 13, 6)]


def by_hand(state: dict[str, torch.Tensor], picture: torch.Tensor) -> torch.Tensor:
    """Logits of upright pictures (B, 227, 227, 3), of which 6 x 6 positions are left without averaging."""
    colours = [(picture[..., 0] - 0.485) / 0.229, (picture[..., 1] - 0.456) / 0.224, (picture[..., 2] - 0.406) / 0.225]
    maps = torch.stack(colours, dim=1)
    for number, stride, padding, pooled in [(0, 4, 2, True), (3, 1, 2, True), (6, 1, 1, False), (8, 1, 1, False)]:
        name = f"features.{number}"
        maps = functional.conv2d(maps, state[f"{name}.weight"], state[f"{name}.bias"], stride, padding).relu()
        maps = functional.max_pool2d(maps, 3, 2) if pooled else maps
    maps = functional.conv2d(maps, state["features.10.weight"], state["features.10.bias"], padding=1).relu()
    vector = functional.max_pool2d(maps, 3, 2).flatten(1)
    for number in (1, 4):
        vector = (vector @ state[f"classifier.{number}.weight"].T + state[f"classifier.{number}.bias"]).relu()
    return vector @ state["classifier.6.weight"].T + state["classifier.6.bias"]


@pytest.mark.parametrize("network", [ALEXNET_IMAGE, ALEXNET_FINE_TUNED], ids=["image", "fine-tuned"])
def test_the_network_is_its_layers_in_a_row_over_colours_as_on_imagenet(network: Network) -> None:
    model, picture = debug(network).eval(), pictures(2)
    with torch.no_grad():
        torch.testing.assert_close(model(picture), by_hand(model.state_dict(), picture))


def test_windows_are_turned_upright() -> None:
    model, window = debug(ALEXNET_SLIDING).eval(), pictures(2)
    with torch.no_grad():
        logits = model(window)
    torch.testing.assert_close(logits, by_hand(model.state_dict(), window.transpose(1, 2)))
    assert not torch.allclose(logits, by_hand(model.state_dict(), window))


@pytest.mark.parametrize(("height", "width"), [(63, 63), (256, 256), (227, 400)])
def test_pictures_of_any_size_from_63_pixels_on(height: int, width: int) -> None:
    logits = debug(ALEXNET_IMAGE).eval()(pictures(2, height, width))
    assert logits.shape == (2, 4)
    assert torch.isfinite(logits).all()


def test_smaller_pictures_are_refused() -> None:
    with pytest.raises(RuntimeError, match=r"size is too small"):
        debug(ALEXNET_IMAGE)(pictures(1, 62, 62))


def test_half_of_what_both_hidden_layers_see_is_dropped_in_training() -> None:
    model, picture = debug(ALEXNET_IMAGE), pictures(1)
    assert [layer.p for layer in model.modules() if isinstance(layer, torch.nn.Dropout)] == [0.5, 0.5]
    with torch.no_grad():
        assert not torch.equal(model.train()(picture), model(picture))
        assert torch.equal(model.eval()(picture), model(picture))


@ALL
def test_a_picture_is_judged_alone_as_in_a_batch(network: Network) -> None:
    model, picture = debug(network).eval(), pictures(3)
    with torch.no_grad():
        torch.testing.assert_close(model(picture[1:2])[0], model(picture)[1])


@ALL
def test_it_learns_sixteen_pictures_by_heart(network: Network) -> None:
    # Spots of 14 x 14 pixels: finer noise is the same to the kernels everywhere.
    spots = pictures(16, 8, 8).repeat_interleave(14, dim=1).repeat_interleave(14, dim=2)
    assert learns_by_heart(debug(network), spots, 3e-3)


def test_trained_weights_are_taken_but_those_of_their_classes() -> None:
    model = debug(ALEXNET_FINE_TUNED, num_labels=7)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    weights, data = trained()
    load_pretrained(model, data)
    after = model.state_dict()
    last = {"classifier.6.weight", "classifier.6.bias"}
    assert all(torch.equal(after[name], before[name]) for name in last)
    assert all(torch.equal(after[name], weights[name]) for name in weights.keys() - last)
    assert not any(torch.equal(after[name], before[name]) for name in weights.keys() - last)


def test_a_file_without_the_last_layer_is_as_good() -> None:
    model = debug(ALEXNET_FINE_TUNED)
    weights, _ = trained()
    load_pretrained(
        model, safetensors.torch.save({name: weights[name] for name in weights if "classifier.6" not in name})
    )
    assert torch.equal(model.state_dict()["features.0.weight"], weights["features.0.weight"])


def test_the_lstm_over_the_windows_of_another_training_is_left_out() -> None:
    model = debug(ALEXNET_FINE_TUNED)
    weights, _ = trained()
    load_pretrained(model, safetensors.torch.save({**weights, "aggregation.output.bias": torch.zeros(4)}))
    assert torch.equal(model.state_dict()["features.0.weight"], weights["features.0.weight"])


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return pathlib.Path.mkdir, (self.folder,)


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_a_pickle_is_not_opened_and_the_answer_says_how_to_convert_it(form: str, tmp_path: pathlib.Path) -> None:
    folder, file = tmp_path / "sprung", io.BytesIO()
    if form == "pickle":
        pickle.dump(Trap(folder), file)
    else:
        torch.save({"weight": Trap(folder)}, file, _use_new_zipfile_serialization=form == "zip")
    model = debug(ALEXNET_FINE_TUNED)
    with pytest.raises(ConfigurationError, match=r"no safetensors file.*\.pth.*save_file.*weights_only=True"):
        load_pretrained(model, file.getvalue())
    assert not folder.exists()


def test_other_names_are_refused() -> None:
    model = debug(ALEXNET_FINE_TUNED)
    weights, _ = trained()
    weights["conv1.weight"] = weights.pop("features.0.weight")
    before = model.state_dict()["features.3.weight"].clone()
    with pytest.raises(ConfigurationError, match=r"lack features\.0\.weight of.*have conv1\.weight that"):
        load_pretrained(model, safetensors.torch.save(weights))
    assert torch.equal(model.state_dict()["features.3.weight"], before)


def test_other_shapes_are_refused() -> None:
    model = AlexNet((227, 227, 3), 4, num_filters=(16, 16, 32, 16, 16), num_hidden=64)
    before = model.state_dict()["features.0.weight"].clone()
    with pytest.raises(ConfigurationError, match=r"classifier\.\d\.\w+ are \(128.*network's are \(64.*--size"):
        load_pretrained(model, trained()[1])
    assert torch.equal(model.state_dict()["features.0.weight"], before)
