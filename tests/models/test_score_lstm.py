import numpy as np
import pytest
import torch

from raysee.models.score_lstm import ScoreLstm

torch.set_num_threads(1)


def scores(*lengths: int, num_labels: int = 3, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(length, num_labels, generator=generator).log_softmax(dim=1) for length in lengths]


def fitted(num_labels: int = 3) -> ScoreLstm:
    """One that has something to add."""
    torch.manual_seed(0)
    lstm = ScoreLstm(num_labels)
    torch.nn.init.normal_(lstm.output.weight)
    return lstm


def test_parameters_layer_by_layer() -> None:
    lstm = ScoreLstm(7)
    counts = [sum(one.numel() for one in part.parameters()) for part in (lstm.lstm, lstm.output)]
    assert counts == [4 * 32 * (7 + 32 + 2), 7 * 33]


def test_what_is_not_fitted_answers_as_the_mean() -> None:
    heard = scores(5, 1, 3)
    with torch.no_grad():
        found = ScoreLstm(3)(heard).softmax(dim=1)
    np.testing.assert_allclose(found, torch.stack([one.exp().mean(dim=0) for one in heard]), atol=1e-6)


def test_order_and_length_count() -> None:
    lstm, (clip,) = fitted(), scores(4)
    with torch.no_grad():
        forwards, backwards, twice = lstm([clip, clip.flip(0), clip.repeat(2, 1)])
    assert not torch.allclose(forwards, backwards, atol=1e-2)
    assert not torch.allclose(forwards, twice, atol=1e-2)


def test_a_clip_alone_and_among_others_is_answered_alike() -> None:
    lstm, heard = fitted(), scores(2, 9, 1, 30)
    with torch.no_grad():
        together = lstm(heard)
        alone = torch.cat([lstm([one]) for one in heard])
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("enabled", [True, False])
def test_it_answers_in_float32_whatever_the_network_does(enabled: bool) -> None:
    lstm, heard = fitted(), scores(4, 2)
    with torch.no_grad():
        expected = lstm(heard)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            assert torch.equal(lstm(heard), expected)
