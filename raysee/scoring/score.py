"""Recordings -> segments, calls and rejects."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import soxr
from torch import nn

from raysee import schema
from raysee.audio import silero, speech
from raysee.audio.decode import Samples
from raysee.audio.dual_mono import DualMono
from raysee.audio.headers import File
from raysee.audio.segments import Segment, SegmentConfig, Segmenter, cut
from raysee.audio.speech import level_dbfs
from raysee.audio.stream import Call, open_call
from raysee.config import ScoreConfig
from raysee.errors import AudioError, MissingError
from raysee.evaluation import standardise
from raysee.features import FrontEnd
from raysee.features.table import reject
from raysee.models import network
from raysee.storage import FileInfo
from raysee.training.card import Card
from raysee.training.clips import Array
from raysee.training.predict import predict_clips

#: Opens each file in turn, or gives the error that says that it is not there.
OpenEach = Callable[[Sequence[FileInfo]], Iterator[File | MissingError]]

_SHORTEST_S = 0.1  # of a segment; below it there is nothing to hear, and some front-ends have no frame
_HELD = 16 * 2**20  # samples, 64 MiB: calls that have no more together are listened to side by side


@dataclass(frozen=True)
class Scorer:
    """A model in evaluation mode with all that its card says of how to feed it."""

    model: nn.Module
    card: Card
    front_end: FrontEnd
    config: ScoreConfig

    @property
    def by_speaker(self) -> bool:
        """Whether features are standardised by all that a speaker says, and so at the end of a call."""
        return network(self.card.config.model).standardise and self.card.statistics is None

    def probabilities(self, features: Sequence[Array]) -> Array:
        """Class probabilities (num_segments, num_labels) of the features of segments, each (num_rows, *shape).

        Where the model was trained on features standardised by speaker, these segments are that speaker.
        """
        config = self.card.config
        spec = network(config.model)
        if spec.standardise:
            statistics = self.card.statistics or standardise.fit(features)
            features = [statistics.apply(one) for one in features]
        return predict_clips(
            self.model,
            spec,
            features,
            batch_size=self.config.batch_size,
            hop_ms=config.hop_ms,
            aggregation=config.aggregation,
        )


class Scores(NamedTuple):
    """Tables of schema.SEGMENTS, schema.CALLS and schema.REJECTS, and the seconds of audio behind them."""

    segments: pa.Table
    calls: pa.Table
    rejects: pa.Table
    audio_s: float


def score(plan: pa.Table, scorer: Scorer, open_each: OpenEach) -> Scores:
    """Score every recording of `plan` (schema.CALL_PLAN) by channel; one that cannot be read is a row of rejects.

    The samples of a call of any length take 64 MiB, and copies of them: what is longer than 8 minutes of two channels
    (at 16 kHz) is worked on while it is read. A model that standardises by speaker keeps the features of a call too, 60
    MiB an hour of speech in log-mels.
    """
    tables: dict[str, list[dict[str, Any]]] = {"segments": [], "calls": [], "rejects": []}
    audio_s = 0.0
    rows = plan.select(["call_id", "uri", "size_bytes", "etag"]).to_pylist()
    for row, heard in _hear(rows, scorer, open_each):
        if isinstance(heard, Exception):
            tables["rejects"].append(reject(row["call_id"], row["uri"], "score", heard))
            continue
        audio_s += heard.num_samples / scorer.front_end.sample_rate_hz
        for its_segments, call in heard.answers():
            tables["segments"] += [{"call_id": row["call_id"], **segment} for segment in its_segments]
            tables["calls"].append({"call_id": row["call_id"], "uri": row["uri"], **call})
    return Scores(
        pa.Table.from_pylist(tables["segments"], schema=schema.SEGMENTS),
        pa.Table.from_pylist(tables["calls"], schema=schema.CALLS),
        pa.Table.from_pylist(tables["rejects"], schema=schema.REJECTS),
        audio_s,
    )


def _hear(
    rows: Sequence[dict[str, Any]], scorer: Scorer, open_each: OpenEach
) -> Iterator[tuple[dict[str, Any], "_Heard | AudioError | MissingError"]]:
    """Each call with what was heard of it; short ones side by side, because a detector is faster so."""
    group: list[tuple[dict[str, Any], _Heard, Samples]] = []
    held = 0
    files = open_each([FileInfo(row["uri"], row["size_bytes"], row["etag"]) for row in rows])
    for row, file in zip(rows, files, strict=True):
        try:
            if isinstance(file, MissingError):
                raise file
            with open_call(file, scorer.front_end.sample_rate_hz, name=row["uri"]) as call:
                heard = _Heard(call, scorer)
                samples = heard.read(call)
        except (AudioError, MissingError) as error:
            yield row, error
            continue
        if samples is None:
            yield row, heard
            continue
        group.append((row, heard, samples))
        held += samples.size
        if held > _HELD:
            yield from _listen(group, scorer)
            group, held = [], 0
    yield from _listen(group, scorer)


def _listen(
    group: list[tuple[dict[str, Any], "_Heard", Samples]], scorer: Scorer
) -> Iterator[tuple[dict[str, Any], "_Heard"]]:
    rate, config = scorer.front_end.sample_rate_hz, segment_config(scorer.config)
    channels = [samples[:, channel] for _, _, samples in group for channel in range(samples.shape[1])]
    found = iter(speech.probabilities(channels, rate, scorer.config.detector) if channels else [])
    for row, heard, samples in group:
        for channel, answers in enumerate(heard.channels):
            for segment in cut(next(found), config):
                answers.add(segment, _part(samples[:, channel], segment, rate, 0))
        yield row, heard


class _Heard:
    """What was heard of a call so far."""

    def __init__(self, call: Call, scorer: Scorer) -> None:
        self._info, self._scorer = call.info, scorer
        self.num_samples = 0
        self.channels = [_Channel(scorer) for _ in range(call.info.num_channels)]
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
            if self.num_samples * len(self.channels) > _HELD:
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


class _Channel:
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

    def __init__(self, channels: Sequence[_Channel], scorer: Scorer) -> None:
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
            self._channels[channel].add(segment, _part(self._kept[:, channel], segment, self._rate, self._dropped))


def segment_config(config: ScoreConfig) -> SegmentConfig:
    """How the configuration has speech cut."""
    return SegmentConfig(pause_s=config.pause_s, min_s=config.min_s, max_s=config.max_s)


def _part(samples: Samples, segment: Segment, rate: int, dropped: int) -> Samples:
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
