"""What is heard of a call: its segments of speech, and what the model says of each."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import soxr

from raysee.audio import silero, speech, telephone
from raysee.audio.decode import Samples
from raysee.audio.dual_mono import DualMono
from raysee.audio.measure import level_dbfs
from raysee.audio.segments import FRAME_S, Segment, SegmentConfig, Segmenter
from raysee.audio.stream import Call
from raysee.config import ScoreConfig
from raysee.errors import AudioError, RayseeError
from raysee.scoring import summary
from raysee.scoring.roles import is_scored, roles
from raysee.scoring.scorer import Scorer
from raysee.scoring.stopwatch import Stopwatch
from raysee.scoring.summary import Scored
from raysee.training.clips import Array

ASK_AT = 256  # segments without an answer: enough to fill a GPU; their log-mels are 36 MiB at most
# Of a channel, while it is not certain that it may be heard. After half an hour of the same speech in both channels
# what comes then does not make them two people's any more.
MOST_WAITING = 2 * ASK_AT

UTTERANCE_S = 60.0  # of a recording that is said to be one utterance, at most: it is held in memory

_SHORTEST_S = 0.1  # of a segment; below it there is nothing to hear, and some front-ends have no frame
_FULL_SCALE = 0.999


class Unanswered(Exception):
    """The model broke, which says nothing of the recordings that it was asked about."""


class Channel:
    """The segments of a channel; where it is scored, their features until the model was asked, and its answers."""

    def __init__(self, role: str, wide: bool, scorer: Scorer, watch: Stopwatch) -> None:
        self.role, self.scored = role, is_scored(role, scorer.config)
        self.segments: list[Segment] = []
        self.rows: list[dict[str, Any]] = []  # of the segments, with what the model says as soon as it was asked
        self.num_clipped = 0
        self._levels: list[float] = []
        self._features: list[Array] = []
        self._scorer, self._watch = scorer, watch
        # Above 4 kHz a model of the telephone has learned from nothing but the noise of codecs (docs/decisions.md).
        self._through_line = wide and scorer.card.config.channel == "telephone"

    def add(self, segment: Segment, samples: Samples, heard: Samples) -> None:
        """A segment, its samples, and those that the model hears, with the pauses around it."""
        if segment.end_s - segment.start_s < _SHORTEST_S:
            return
        self.segments.append(segment)
        self._levels.append(float(level_dbfs(samples)))
        if self.scored:
            told = {"start_s": segment.start_s, "end_s": segment.end_s, "speech_s": segment.speech_s}
            self.rows.append({**told, "level_dbfs": self._levels[-1]})
            with self._watch.of("front-end"):
                if self._through_line:
                    heard = telephone.through(heard, self._scorer.front_end.sample_rate_hz, "mu-law")
                self._features.append(self._scorer.front_end(heard))

    @property
    def num_waiting(self) -> int:
        """How many segments the model was not asked for yet."""
        return len(self._features)

    @property
    def is_quiet(self) -> bool:
        return bool(self._levels) and float(np.median(self._levels)) < summary.QUIET_DBFS

    def leave_out(self) -> None:
        """Listen only, from now on and to what was said."""
        self.scored = False
        self._features.clear()
        self.rows.clear()

    def take(self) -> tuple[list[dict[str, Any]], list[Array]]:
        """The rows that have no answer yet, and their standardised features."""
        features, self._features = self._features, []
        return self.rows[len(self.rows) - len(features) :], self._scorer.standardised(features) if features else []


def ask(channels: Iterable[Channel], scorer: Scorer, watch: Stopwatch) -> None:
    """Let the model answer for all segments of these channels that it was not asked for, in common batches.

    Raises Unanswered from whatever the model raises, but for a RayseeError, which comes out as it is.
    """
    taken = [channel.take() for channel in channels]
    rows = [row for its_rows, _ in taken for row in its_rows]
    features = [one for _, its_features in taken for one in its_features]
    if not rows:
        return
    with watch.of("model"):
        try:
            answers = scorer.predict(features)
        except RayseeError:
            raise
        except Exception as error:
            raise Unanswered(f"{len(features)} segments") from error
    for row, probabilities in zip(rows, answers, strict=True):
        row["probabilities"] = probabilities
        row.update(summary.answer(scorer.card.labels, probabilities, scorer.config.abstain))


class Heard:
    """What was heard of a call so far; `told` are the roles of its channels, as far as a list says."""

    def __init__(self, call: Call, told: Sequence[str], scorer: Scorer, watch: Stopwatch) -> None:
        self._rate_hz, self._num_channels = call.sample_rate_hz, call.num_channels
        self._scorer, self._watch, self.num_samples = scorer, watch, 0
        wide = call.sample_rate_hz > telephone.RATE_HZ
        self.channels = [Channel(role, wide, scorer, watch) for role in roles(told, call.num_channels, scorer.config)]
        self._dual_mono = DualMono(scorer.front_end.sample_rate_hz) if call.num_channels == 2 else None
        self._is_dual_mono = False
        self._kept: int | None = None  # the channel that is, where this was decided before the call's end
        # Whether a recording of everybody in one channel is scored, as one sound in two channels would be.
        self._one_is_scored = is_scored(roles((), 1, scorer.config)[0], scorer.config)

    def read(self, call: Call) -> None:
        """Listen to all of the call. The model was asked only for what would take too much memory until now.

        Where two channels are the same sound, only one of them is kept, the scored one where there is one. Where
        nobody may be heard then, nothing is asked while they sound so, and what waits is dropped at MOST_WAITING.
        """
        stream: _Stream | _Utterance
        if self._scorer.config.detector == speech.NONE:
            stream = _Utterance(self.channels, self._scorer)
        else:
            stream = _Stream(self.channels, self._scorer, self._watch)
        for block in self._watch.each("decode", call.blocks):
            self._measure(block)
            stream.push(block)
            if self._sounds_like_one and not self._one_is_scored:
                if any(channel.num_waiting >= MOST_WAITING for channel in self.channels):
                    self._kept = self._to_keep()
                    for channel in self.channels:
                        channel.leave_out()
            elif not self._scorer.by_speaker:  # a speaker's features wait for all that he says
                ask([one for one in self.channels if one.num_waiting >= ASK_AT], self._scorer, self._watch)
        stream.finish()
        if self._kept is not None or self._sounds_like_one:
            self._keep_one()

    @property
    def _sounds_like_one(self) -> bool:
        return self._dual_mono is not None and self._dual_mono.verdict()

    def _measure(self, samples: Samples) -> None:
        self.num_samples += len(samples)
        for channel, count in zip(self.channels, np.count_nonzero(np.abs(samples) >= _FULL_SCALE, axis=0), strict=True):
            channel.num_clipped += int(count)
        if self._dual_mono is not None:
            with self._watch.of("dual mono"):
                self._dual_mono.feed(samples)

    def _to_keep(self) -> int:
        return next((number for number, channel in enumerate(self.channels) if channel.scored), 0)

    def _keep_one(self) -> None:
        """Of two channels that are one sound: a recording of everybody, as one with one channel is."""
        channel = self.channels[self._to_keep() if self._kept is None else self._kept]
        (channel.role,) = roles((), 1, self._scorer.config)
        if not self._one_is_scored:
            channel.leave_out()
        self.channels, self._is_dual_mono = [channel], True

    def answers(self) -> Iterator[tuple[list[dict[str, Any]], dict[str, Any]]]:
        """The rows of each channel for schema.SEGMENTS and schema.CALLS, but for the call's own identity."""
        labels, abstain = self._scorer.card.labels, self._scorer.config.abstain
        duration_s = self.num_samples / self._scorer.front_end.sample_rate_hz
        silence_s = summary.silence_s((channel.segments for channel in self.channels), duration_s)
        for number, channel in enumerate(self.channels):
            rows = channel.rows
            scored = Scored(
                start_s=np.array([row["start_s"] for row in rows]),
                end_s=np.array([row["end_s"] for row in rows]),
                speech_s=np.array([row["speech_s"] for row in rows]),
                probabilities=np.array([row["probabilities"] for row in rows]).reshape(len(rows), len(labels)),
            )
            whose = {"channel": number, "role": channel.role, "labels": labels}
            yield (
                [{**whose, **row} for row in rows],
                {
                    **whose,
                    "scored": channel.scored,
                    "num_channels": self._num_channels,
                    "sample_rate_hz": self._rate_hz,
                    "duration_s": duration_s,
                    "talk_s": sum(segment.speech_s for segment in channel.segments),
                    "silence_s": silence_s,
                    "num_segments": len(channel.segments),
                    "flags": list(self._flags(channel)),
                    **summary.summarise(scored, duration_s, labels, abstain),
                },
            )

    def _flags(self, channel: Channel) -> Iterator[str]:
        learned_hz = self._scorer.front_end.sample_rate_hz
        if self._scorer.card.config.channel == "telephone":
            learned_hz = telephone.RATE_HZ
        if self._rate_hz < learned_hz:
            yield summary.NARROW_BAND
        if self._rate_hz > telephone.RATE_HZ == learned_hz:
            yield summary.WIDE_BAND
        if self._is_dual_mono:
            yield summary.DUAL_MONO
        if channel.num_clipped > summary.CLIPPED_SHARE * self.num_samples:
            yield summary.CLIPPED
        if channel.is_quiet:
            yield summary.QUIET
        if not channel.segments:
            yield summary.NO_SPEECH


class _Stream:
    """A call while it is read: the last seconds of its sound, out of which segments are cut when they end."""

    def __init__(self, channels: Sequence[Channel], scorer: Scorer, watch: Stopwatch) -> None:
        self._channels, self._rate = channels, scorer.front_end.sample_rate_hz
        self._scorer, self._watch = scorer, watch
        config = segment_config(scorer.config)
        self._segmenters = [Segmenter(config) for _ in channels]
        self._detector = speech.listener(scorer.config.detector, len(channels))
        self._resampler = None
        if self._rate != silero.SAMPLE_RATE_HZ:
            self._resampler = soxr.ResampleStream(
                self._rate, silero.SAMPLE_RATE_HZ, len(channels), dtype="float32", quality="HQ"
            )
        # A short segment is widened to the left; and resampling lags behind by a second at most.
        self._keep = round((config.longest_wait_s + config.min_s + 1) * self._rate)
        self._kept = np.empty((0, len(channels)), np.float32)
        self._dropped = 0  # samples before those that are kept
        self._num_frames = 0  # that speech was looked for in

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
        with self._watch.of("speech"):
            # What resampling rounds up may not lie behind the recording's end.
            whole = int((self._dropped + len(self._kept)) / self._rate / FRAME_S + 1e-9) - self._num_frames
            probabilities = self._detector.push(np.ascontiguousarray(samples.T))[:, :whole]
            self._num_frames += probabilities.shape[1]
            found = [segmenter.push(its) for segmenter, its in zip(self._segmenters, probabilities, strict=True)]
        for channel, its_segments in enumerate(found):
            self._add(channel, its_segments)

    def _add(self, channel: int, found: Sequence[Segment]) -> None:
        for segment in found:
            samples = self._part(channel, segment.start_s, segment.end_s)
            heard = self._part(channel, segment.from_s, segment.to_s)
            self._channels[channel].add(segment, samples, heard)

    def _part(self, channel: int, start_s: float, end_s: float) -> Samples:
        """The samples between two times."""
        start, end = (round(at_s * self._rate) - self._dropped for at_s in (start_s, end_s))
        assert start >= 0, "the sound of a segment is kept until it ends"
        return self._kept[start:end, channel]


class _Utterance:
    """A recording that is one utterance: each of its channels is one segment."""

    def __init__(self, channels: Sequence[Channel], scorer: Scorer) -> None:
        self._channels, self._rate = channels, scorer.front_end.sample_rate_hz
        self._kept = np.empty((0, len(channels)), np.float32)

    def push(self, samples: Samples) -> None:
        self._kept = np.concatenate([self._kept, samples])
        if len(self._kept) > UTTERANCE_S * self._rate:
            raise AudioError(
                f"The recording is longer than {UTTERANCE_S:g} s, and detector none takes recordings that are one "
                "utterance each: score it with a detector of speech."
            )

    def finish(self) -> None:
        duration_s = len(self._kept) / self._rate
        whole = Segment(0.0, duration_s, duration_s, 0.0, duration_s)
        for number, channel in enumerate(self._channels):
            channel.add(whole, self._kept[:, number], self._kept[:, number])


def segment_config(config: ScoreConfig) -> SegmentConfig:
    """How the configuration has speech cut."""
    return SegmentConfig(pause_s=config.pause_s, min_s=config.min_s, max_s=config.max_s, room_s=config.room_s)
