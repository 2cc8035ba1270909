import pytest
import torch

from raysee.models.mlp import MLP

from .learning import learns_by_heart

torch.set_num_threads(1)


def vectors(num: int, size: int = 180, seed: int = 0) -> torch.Tensor:
    return torch.randn(num, size, generator=torch.Generator().manual_seed(seed))


def build(size: str, num_features: int = 180, num_labels: int = 7) -> torch.nn.Module:
    torch.manual_seed(0)
    return MLP.sizes[size]((num_features,), num_labels)


@pytest.mark.parametrize(
    ("num_features", "first", "total"), [(180, 92_672, 267_879), (384, 197_120, 372_327), (26, 13_824, 189_031)]
)
def test_parameters_layer_by_layer(num_features: int, first: int, total: int) -> None:
    model = build("published", num_features)
    layers = [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear)]
    found = [sum(parameter.numel() for parameter in layer.parameters()) for layer in layers]
    assert found == [first, 131_328, 32_896, 8_256, 2_080, 528, 119]
    assert sum(parameter.numel() for parameter in model.parameters()) == total


def test_what_the_study_says_of_training() -> None:
    training = MLP.training
    assert (training.epochs, training.batch_size, training.patience) == (250, 32, 0)
    assert (training.optimiser, training.learning_rate, training.adam_eps) == ("adam", 1e-3, 1e-7)  # Keras's defaults


def test_the_network_is_its_layers_in_a_row() -> None:
    model, vector = build("published").eval(), vectors(5)
    state = model.state_dict()
    hidden = vector
    for number in range(0, 18, 3):
        hidden = (hidden @ state[f"hidden.{number}.weight"].T + state[f"hidden.{number}.bias"]).relu()
    expected = hidden @ state["output.weight"].T + state["output.bias"]
    torch.testing.assert_close(model(vector), expected)
    assert expected.shape == (5, 7)


def test_a_quarter_of_each_hidden_layer_is_dropped_in_training() -> None:
    model = build("published")
    assert [layer.p for layer in model.modules() if isinstance(layer, torch.nn.Dropout)] == [0.25] * 6
    assert isinstance(model.get_submodule("hidden.17"), torch.nn.Dropout)


def test_it_starts_as_in_keras() -> None:
    for layer in build("published").modules():
        if isinstance(layer, torch.nn.Linear):
            limit = (6 / (layer.in_features + layer.out_features)) ** 0.5
            assert 0.9 * limit < layer.weight.abs().max() <= limit  # Glorot's
            assert not layer.bias.any()


def test_a_vector_is_judged_alone_as_in_a_batch() -> None:
    model, vector = build("debug").eval(), vectors(6)
    together = model(vector)
    for example in range(6):
        torch.testing.assert_close(model(vector[example : example + 1])[0], together[example])


def test_other_vectors_than_it_was_built_for_are_refused() -> None:
    with pytest.raises(RuntimeError, match=r"shapes cannot be multiplied"):
        build("debug")(vectors(1, 179))


def test_it_learns_sixteen_vectors_by_heart() -> None:
    assert learns_by_heart(build("debug", num_labels=4), vectors(16), 1e-2)
