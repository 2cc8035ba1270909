"""The model fed as Silero's own code feeds it, and what is found in calls as Silero's own helper finds it."""

import pathlib
import pickle
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from raysee.audio import silero
from raysee.audio.decode import Samples, decode
from raysee.audio.resample import resample
from raysee.audio.segments import FRAME_S, Segment, SegmentConfig, cut
from raysee.audio.silero import Silero
from raysee.synthesis.calls import call

pytestmark = pytest.mark.skipif(not silero.is_installed(), reason="silero-vad is not installed")

RATE_HZ = silero.SAMPLE_RATE_HZ
STRETCHES = SegmentConfig(pause_s=0.1, min_s=FRAME_S, min_speech_s=FRAME_S, max_s=1e6)
Mask = npt.NDArray[np.bool_]


@pytest.fixture(scope="module")
def samples_BT() -> Samples:
    """Both channels of a made call, (2, num_samples); the last frame is not full."""
    return np.ascontiguousarray(call("a", seconds=12.01, sample_rate_hz=RATE_HZ)[0].T)


@pytest.fixture(scope="module")
def theirs() -> Iterator[Any]:
    """Silero's package, which sets PyTorch's number of threads for the process where it is imported."""
    import torch

    threads = torch.get_num_threads()
    import silero_vad

    yield silero_vad
    torch.set_num_threads(threads)


@pytest.mark.parametrize("onnx", [False, True])
def test_probabilities_are_those_of_sileros_own_models(onnx: bool, samples_BT: Samples, theirs: Any) -> None:
    """Which go frame by frame; the package's ONNX model needs onnxruntime."""
    import torch

    if onnx:
        pytest.importorskip("onnxruntime")
    found_BF = Silero(2).push(samples_BT)
    assert found_BF.shape == (2, 375)
    model = theirs.load_silero_vad(onnx=onnx)
    for samples_T, found_F in zip(samples_BT, found_BF, strict=True):
        expected_F = model.audio_forward(torch.from_numpy(samples_T[None]), RATE_HZ)[0].numpy()
        np.testing.assert_allclose(found_F, expected_F[:375], atol=1e-5)
    assert found_BF.max() > 0.9 > 0.1 > found_BF.min()


def test_blocks_of_odd_sizes_are_as_the_whole_and_the_state_can_be_pickled(samples_BT: Samples) -> None:
    part_BT = samples_BT[:, : 4 * RATE_HZ]
    listener, found, at = Silero(2), [], 0
    for size in (1, 511, 2, 0, 4_097, 33, 20_000, 575, part_BT.shape[1]):
        found.append(listener.push(part_BT[:, at : at + size]))
        listener = pickle.loads(pickle.dumps(listener))
        at += size
    np.testing.assert_allclose(np.concatenate(found, axis=1), Silero(2).push(part_BT), atol=1e-5)


def test_hysteresis_is_sileros(theirs: Any) -> None:
    """Random walks of probability, which end in silence: at the end of a recording Silero counts it as speech."""
    from silero_vad.utils_vad import get_speech_timestamps_from_probs

    rng, num_stretches = np.random.default_rng(0), 0
    for _ in range(20):
        logit_F = np.convolve(rng.normal(0, 2, 1_000), np.ones(3) / 1.5, mode="same")
        logit_F[-20:] = -5
        probabilities_F = (1 / (1 + np.exp(-logit_F))).astype(np.float32)
        expected = get_speech_timestamps_from_probs(
            probabilities_F.tolist(), sampling_rate=16_000, min_speech_duration_ms=0, speech_pad_ms=32
        )
        found = [
            (round(start_s * 16_000), round(end_s * 16_000)) for start_s, end_s, *_ in cut(probabilities_F, STRETCHES)
        ]
        assert found == [(stretch["start"], stretch["end"]) for stretch in expected]
        num_stretches += len(found)
    assert num_stretches > 500


def test_nothing_of_silero_is_imported_but_its_weights() -> None:
    """Its package sets how many threads PyTorch uses."""
    code = """
import sys, numpy as np
from raysee.audio import silero, speech
print(silero.is_installed(), silero.name() == speech.detector())
silero.Silero(1).push(np.zeros((1, 512), np.float32))
print(*sorted({"onnxruntime", "silero_vad"} & set(sys.modules)))
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "True True\n\n"
    assert not told.stderr


def test_the_name_has_the_version_and_the_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    major, weights = silero.name().removeprefix("silero-v").split("-")
    assert int(major) >= 6
    assert len(weights) == 8
    (tmp_path / "other.jit").write_bytes(b"other weights")
    monkeypatch.setattr(silero, "_file", lambda: tmp_path / "other.jit")
    silero.name.cache_clear()
    assert silero.name().startswith(f"silero-v{major}-")
    assert silero.name() != f"silero-v{major}-{weights}"
    silero.name.cache_clear()


# By the model's part for 8 kHz the last of these talks for 31 s.
@pytest.mark.parametrize(
    ("name", "agent_s", "caller_s"), [("auto_repairs_40", 42.5, 24.7), ("auto_repairs_49", 49.2, 36.7)]
)
def test_speech_in_real_calls_is_what_sileros_helper_finds(
    real_data: pathlib.Path, theirs: Any, name: str, agent_s: float, caller_s: float
) -> None:
    import torch

    audio = decode((real_data / "calls" / f"{name}.wav").read_bytes())
    channels = audio.part(60.0, 150.0).samples.T
    samples_BT = np.stack([resample(channel, audio.sample_rate_hz, RATE_HZ) for channel in channels])
    model, masks = theirs.load_silero_vad(), []
    for samples_T, probabilities_F in zip(samples_BT, Silero(2).push(samples_BT), strict=True):
        expected = theirs.get_speech_timestamps(torch.from_numpy(samples_T), model)
        helpers = covered([(stretch["start"], stretch["end"]) for stretch in expected], len(samples_T))
        ours = covered(in_samples(cut(probabilities_F, STRETCHES)), len(samples_T))
        assert (ours == helpers).mean() > 0.99
        assert covered(in_samples(cut(probabilities_F, SegmentConfig())), len(samples_T))[helpers].mean() > 0.98
        masks.append(ours)
    agent, caller = masks
    assert agent.sum() / RATE_HZ == pytest.approx(agent_s, abs=2)
    assert caller.sum() / RATE_HZ == pytest.approx(caller_s, abs=2)
    assert (agent & caller).mean() < 0.1


def in_samples(found: list[Segment]) -> list[tuple[int, int]]:
    return [(round(segment.start_s * RATE_HZ), round(segment.end_s * RATE_HZ)) for segment in found]


def covered(spans: list[tuple[int, int]], num_samples: int) -> Mask:
    mask = np.zeros(num_samples, np.bool_)
    for start, end in spans:
        mask[start:end] = True
    return mask
