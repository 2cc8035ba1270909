import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from raysee.errors import RayseeError
from raysee.models.chunk_lstm import CHUNK_LSTM, CNN_BLSTM, CNN_LSTM, ChunkLstm
from raysee.models.network import Network

torch.set_num_threads(1)

SHAPE = (64, 64, 2)
ALL = pytest.mark.parametrize("network", [CHUNK_LSTM, CNN_LSTM, CNN_BLSTM])
FORWARD = pytest.mark.parametrize("network", [CHUNK_LSTM, CNN_LSTM])


def chunks(*leading: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*leading, *SHAPE, generator=torch.Generator().manual_seed(seed))


def debug(network: Network, num_labels: int = 4) -> ChunkLstm:
    torch.manual_seed(0)
    model = network.sizes["debug"](SHAPE, num_labels)
    assert isinstance(model, ChunkLstm)
    return model


def count(part: nn.Module) -> int:
    return sum(parameter.numel() for parameter in part.parameters())


@pytest.mark.parametrize(
    ("network", "encoder", "lstm", "output"),
    [
        (CHUNK_LSTM, 0, 4_260_864, 903),
        (CNN_LSTM, 82_048 + 245_824, 99_328, 903),
        (CNN_BLSTM, 82_048 + 245_824, 198_656, 1_799),
    ],
)
def test_parameters_layer_by_layer(network: Network, encoder: int, lstm: int, output: int) -> None:
    model = network.sizes["published"](SHAPE, 7)
    assert [count(part) for part in (model.encoder, model.lstm, model.output)] == [encoder, lstm, output]
    assert count(model) == encoder + lstm + output


@ALL
def test_what_the_report_says_of_training(network: Network) -> None:
    assert network.training.epochs == 50
    assert (network.features, network.unit, network.masks) == (("chunks64",), "clip", True)


def last_state(state: dict[str, torch.Tensor], steps_TD: torch.Tensor, suffix: str) -> npt.NDArray[np.float64]:
    """An LSTM's last state, gate by gate."""

    def sigmoid(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return 1 / (1 + np.exp(-values))

    names = "weight_ih", "weight_hh", "bias_ih", "bias_hh"
    inputs, recurrent, one, other = (state[f"lstm.{name}_l0{suffix}"].double().numpy() for name in names)
    hidden, cell = np.zeros(recurrent.shape[1]), np.zeros(recurrent.shape[1])
    for step in steps_TD.double().numpy():
        enters, forgets, new, leaves = np.split(inputs @ step + recurrent @ hidden + one + other, 4)
        cell = sigmoid(forgets) * cell + sigmoid(enters) * np.tanh(new)
        hidden = sigmoid(leaves) * np.tanh(cell)
    return hidden


@ALL
def test_the_network_is_its_encoder_and_the_last_state_of_each_direction(network: Network) -> None:
    model, clips, lengths = debug(network), chunks(3, 5), torch.tensor([2, 5, 1])
    state = model.state_dict()
    with torch.no_grad():
        found = model(clips, lengths).double().numpy()
        for clip, (chunks_THWS, length) in enumerate(zip(clips, lengths.tolist(), strict=True)):
            steps_TD = model.encoder(chunks_THWS[:length])
            last = [last_state(state, steps_TD, "")]
            if network is CNN_BLSTM:
                last.append(last_state(state, steps_TD.flip(0), "_reverse"))
            weight, bias = (state[f"output.{name}"].double().numpy() for name in ("weight", "bias"))
            np.testing.assert_allclose(found[clip], weight @ np.concatenate(last) + bias, rtol=1e-4, atol=1e-5)


def test_the_plain_lstm_is_fed_the_chunks_themselves() -> None:
    chunk = chunks(2)
    assert torch.equal(debug(CHUNK_LSTM).encoder(chunk), chunk.flatten(1))


@ALL
def test_what_pads_a_clip_has_no_part_in_it(network: Network) -> None:
    model, clips = debug(network), chunks(4, 6)
    lengths = torch.tensor([3, 6, 1, 4])
    with torch.no_grad():
        together = model(clips, lengths)
        for clip, length in enumerate(lengths.tolist()):
            alone = model(clips[clip : clip + 1, :length], lengths[clip : clip + 1])[0]
            torch.testing.assert_close(together[clip], alone, rtol=1e-5, atol=1e-5)
        clips[0, 3:] = 1e4
        torch.testing.assert_close(model(clips, lengths), together, rtol=1e-5, atol=1e-5)
        clips[0, 2] = 0
        assert not torch.allclose(model(clips, lengths)[0], together[0], atol=1e-5)


@FORWARD
def test_chunk_by_chunk_it_says_what_it_says_of_the_clip_so_far(network: Network) -> None:
    model, clips = debug(network), chunks(2, 4)
    state = None
    with torch.no_grad():
        for number in range(4):
            logits, state = model.step(clips[:, number], state)
            whole = model(clips[:, : number + 1], torch.full((2,), number + 1))
            torch.testing.assert_close(logits, whole, rtol=1e-5, atol=1e-5)


def test_a_network_of_both_directions_cannot_be_used_online() -> None:
    with pytest.raises(RayseeError, match=r"take cnn-lstm"):
        debug(CNN_BLSTM).step(chunks(2))


@ALL
def test_mixed_precision_gives_about_the_same_and_gradients_everywhere(network: Network) -> None:
    model, clips, lengths = debug(network), chunks(3, 3), torch.tensor([3, 1, 2])
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(clips, lengths)
    torch.testing.assert_close(logits.float(), model(clips, lengths), rtol=0.1, atol=0.05)
    logits.float().square().sum().backward()
    assert all(parameter.grad.any() for parameter in model.parameters())
