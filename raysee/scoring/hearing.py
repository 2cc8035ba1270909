"""What is heard of a call: its segments of speech, and what the model says of each."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import soxr

from raysee.audio import silero, speech
from raysee.audio.decode import Samples
from raysee.audio.dual_mono import DualMono
from raysee.audio.segments import Segment, SegmentConfig, Segmenter
from raysee.audio.speech import level_dbfs
from raysee.audio.stream import Call
from raysee.config import ScoreConfig
from raysee.scoring.scorer import Scorer
from raysee.training.clips import Array

HELD = 16 * 2**20  # samples, 64 MiB: calls that have no more together are listened to side by side

_SHORTEST_S = 0.1  # of a segment; below it there is nothing to hear, and some front-ends have no frame


class Heard:
    """What was heard of a call so far."""

    def __init__(self, call: Call, scorer: Scorer) -> None:
        self._info, self._scorer = call.info, scorer
        self.num_samples = 0
        self.channels = [Channel(scorer) for _ in range(call.info.num_channels)]
        self._dual_mono = DualMono(scorer.front_end.sample_rate_hz) if call.info.num_channels == 2 else None

    def read(self, call: Call) -> Samples | None:
        """All samples (num_samples, num_channels) of a short call; None for a long one, which has been listened to.

        Where two channels are the same sound, the second one is passed over.
        """
        blocks: list[Samples] = []
        stream: _Stream | None = None
        for block in call.blocks:
            self.num_samples += len(block.samples)
            if self._dual_mono is not None:
                self._dual_mono.feed(block.samples)
            if stream is not None:
                stream.push(block.samples)
                continue
            blocks.append(block.samples)
            if self.num_samples * len(self.channels) > HELD:
                stream = _Stream(self.channels, self._scorer)
                for one in blocks:
                    stream.push(one)
        if stream is not None:
            stream.finish()
        if self._is_dual_mono:
            self.channels = self.channels[:1]
        return None if stream is not None else np.concatenate(blocks)[:, : len(self.channels)]

    @property
    def _is_dual_mono(self) -> bool:
        return self._dual_mono is not None and self._dual_mono.verdict()

    def answers(self) -> Iterator[tuple[list[dict[str, Any]], dict[str, Any]]]:
        """The rows of each channel for schema.SEGMENTS and schema.CALLS, but for the call's own identity.

        The channel's probabilities are the mean of its segments', weighted by their speech (duration-weighted mean
        prediction; Badshah et al. 2017 weigh pictures of one length alike), null where nobody speaks.
        """
        rate, labels = self._scorer.front_end.sample_rate_hz, self._scorer.card.labels
        for number, channel in enumerate(self.channels):
            rows = channel.finish()
            mean = None
            if rows:
                weights = [row["speech_s"] for row in rows]
                mean = np.average([row["probabilities"] for row in rows], axis=0, weights=weights)
            yield (
                [{"channel": number, **row} for row in rows],
                {
                    "channel": number,
                    "num_channels": self._info.num_channels,
                    "dual_mono": self._is_dual_mono,
                    "sample_rate_hz": self._info.sample_rate_hz,
                    "duration_s": self.num_samples / rate,
                    "speech_s": sum(row["speech_s"] for row in rows),
                    "num_segments": len(rows),
                    **_answer(labels, mean),
                },
            )


class Channel:
    """The segments of a channel: their features, and, a batch at a time, what the model says of them."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._rows: list[dict[str, Any]] = []
        self._features: list[Array] = []

    def add(self, segment: Segment, samples: Samples) -> None:
        if segment.end_s - segment.start_s < _SHORTEST_S:
            return
        self._rows.append({**segment._asdict(), "level_dbfs": float(level_dbfs(samples))})
        self._features.append(self._scorer.front_end(samples))
        if len(self._features) == self._scorer.config.batch_size and not self._scorer.by_speaker:
            self._ask()

    def finish(self) -> list[dict[str, Any]]:
        if self._features:
            self._ask()
        return self._rows

    def _ask(self) -> None:
        answered = self._rows[-len(self._features) :]
        for row, probabilities in zip(answered, self._scorer.probabilities(self._features), strict=True):
            row.update(_answer(self._scorer.card.labels, probabilities))
        self._features = []


class _Stream:
    """A long call while it is read: the last seconds of its sound, out of which segments are cut when they end."""

    def __init__(self, channels: Sequence[Channel], scorer: Scorer) -> None:
        self._channels, self._rate = channels, scorer.front_end.sample_rate_hz
        config = segment_config(scorer.config)
        self._segmenters = [Segmenter(config) for _ in channels]
        self._detector = speech.listener(scorer.config.detector, len(channels))
        self._resampler = None
        if self._rate != silero.SAMPLE_RATE_HZ:
            self._resampler = soxr.ResampleStream(
                self._rate, silero.SAMPLE_RATE_HZ, len(channels), dtype="float32", quality="HQ"
            )
        # From the beginning of a segment until it comes out, see Segmenter; and a second, which resampling lags behind.
        self._keep = round((config.max_s + 2 * config.min_s + 2 * config.pause_s + 1) * self._rate)
        self._kept = np.empty((0, len(channels)), np.float32)
        self._dropped = 0  # samples before those that are kept

    def push(self, samples: Samples) -> None:
        self._kept = np.concatenate([self._kept, samples])
        self._hear(samples if self._resampler is None else self._resampler.resample_chunk(samples))
        spare = max(len(self._kept) - self._keep, 0)
        self._kept, self._dropped = self._kept[spare:].copy(), self._dropped + spare

    def finish(self) -> None:
        if self._resampler is not None:
            self._hear(self._resampler.resample_chunk(self._kept[:0], last=True))
        for channel, segmenter in enumerate(self._segmenters):
            self._add(channel, segmenter.finish())

    def _hear(self, samples: Samples) -> None:
        for channel, found_F in enumerate(self._detector.push(np.ascontiguousarray(samples.T))):
            self._add(channel, self._segmenters[channel].push(found_F))

    def _add(self, channel: int, found: Sequence[Segment]) -> None:
        for segment in found:
            self._channels[channel].add(segment, part(self._kept[:, channel], segment, self._rate, self._dropped))


def segment_config(config: ScoreConfig) -> SegmentConfig:
    """How the configuration has speech cut."""
    return SegmentConfig(pause_s=config.pause_s, min_s=config.min_s, max_s=config.max_s)


def part(samples: Samples, segment: Segment, rate: int, dropped: int) -> Samples:
    start = round(segment.start_s * rate) - dropped
    assert start >= 0, "the sound of a segment is kept until it ends"
    return samples[start : round(segment.end_s * rate) - dropped]


def _answer(labels: list[str], probabilities: Array | None) -> dict[str, Any]:
    if probabilities is None:
        return {"labels": labels, "probabilities": None, "label": None, "confidence": None}
    best = int(np.argmax(probabilities))
    return {
        "labels": labels,
        "probabilities": probabilities,
        "label": labels[best],
        "confidence": float(probabilities[best]),
    }
