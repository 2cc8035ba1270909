"""Recordings -> segments, calls and rejects."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from torch import nn

from raysee import schema
from raysee.audio.decode import Audio, Samples, decode
from raysee.audio.resample import resample
from raysee.audio.speech import FRAME_S, find_speech, level_dbfs, windows
from raysee.config import ScoreConfig
from raysee.errors import AudioError, MissingError
from raysee.evaluation import standardise
from raysee.features import FrontEnd
from raysee.features.table import ReadEach, reject
from raysee.models import network
from raysee.training.card import Card
from raysee.training.clips import Array
from raysee.training.predict import predict_clips

_SHORTEST_S = 0.1  # of a whole recording; below it there is nothing to hear, and some front-ends have no frame


@dataclass(frozen=True)
class Scorer:
    """A model in evaluation mode with all that its card says of how to feed it."""

    model: nn.Module
    card: Card
    front_end: FrontEnd
    config: ScoreConfig

    def probabilities(self, segments: Sequence[Samples]) -> Array:
        """Class probabilities (num_segments, num_labels) of the segments of one speaker, each (num_samples,).

        Where the model was trained on features standardised by speaker, these segments are that speaker.
        """
        features = [self.front_end(segment) for segment in segments]
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


def score(plan: pa.Table, scorer: Scorer, read_each: ReadEach) -> Scores:
    """Score every recording of `plan` (schema.CALL_PLAN) by channel; one that cannot be read is a row of rejects."""
    segments: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    rejects: list[dict[str, str]] = []
    audio_s = 0.0
    rows = plan.select(["call_id", "uri"]).to_pylist()
    for row, data in zip(rows, read_each([row["uri"] for row in rows]), strict=True):
        try:
            if isinstance(data, MissingError):
                raise data
            audio = decode(data)
            scored = [score_channel(audio, channel, scorer) for channel in range(audio.samples.shape[1])]
        except (AudioError, MissingError) as error:
            rejects.append(reject(row["call_id"], row["uri"], "score", error))
            continue
        audio_s += audio.duration_s
        for its_segments, call in scored:
            segments.extend({"call_id": row["call_id"], **segment} for segment in its_segments)
            calls.append({**row, **call})
    return Scores(
        pa.Table.from_pylist(segments, schema=schema.SEGMENTS),
        pa.Table.from_pylist(calls, schema=schema.CALLS),
        pa.Table.from_pylist(rejects, schema=schema.REJECTS),
        audio_s,
    )


def score_channel(audio: Audio, channel: int, scorer: Scorer) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows of one channel for schema.SEGMENTS and schema.CALLS, but for the call's own identity.

    The channel's probabilities are the mean of its segments' (S003's mean prediction), null where nobody speaks.
    """
    rate, labels, config = scorer.front_end.sample_rate_hz, scorer.card.labels, scorer.config
    samples = resample(audio.samples[:, channel], audio.sample_rate_hz, rate)
    is_speech = find_speech(samples, rate)
    spans = windows(is_speech, window_s=config.window_s, hop_s=config.hop_s, min_speech=config.min_speech)
    spans = [(start, end) for start, end in spans if end - start >= _SHORTEST_S]
    cuts = [samples[round(start * rate) : round(end * rate)] for start, end in spans]
    probabilities = scorer.probabilities(cuts) if cuts else None
    segments = [
        {
            "channel": channel,
            "start_s": start,
            "end_s": end,
            "level_dbfs": float(level_dbfs(cut)),
            **_answer(labels, row),
        }
        for (start, end), cut, row in zip(spans, cuts, [] if probabilities is None else probabilities, strict=True)
    ]
    call = {
        "channel": channel,
        "num_channels": audio.samples.shape[1],
        "sample_rate_hz": audio.sample_rate_hz,
        "duration_s": audio.duration_s,
        "speech_s": float(is_speech.sum() * FRAME_S),
        "num_segments": len(segments),
        **_answer(labels, None if probabilities is None else probabilities.mean(axis=0)),
    }
    return segments, call


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
