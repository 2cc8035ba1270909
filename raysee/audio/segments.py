"""Probabilities of speech -> segments of 1 to 8 s that end at pauses, as they come in.

F: frames of 32 ms, the step of Silero's detector.
"""

import itertools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from raysee.errors import ConfigurationError

FRAME_S = 0.032
_PAD_FRAMES = 1  # a detector is sure of speech only within it: Silero's helper widens by 30 ms, too

Probabilities = npt.NDArray[np.float32]


class Segment(NamedTuple):
    """A part of a recording to score, how much of it is speech (the rest are pauses), and what is heard with it."""

    start_s: float
    end_s: float
    speech_s: float
    from_s: float  # with the pauses around it, up to `room_s` of each, and nobody's speech
    to_s: float


@dataclass(frozen=True)
class SegmentConfig:
    """How speech is cut. The first four are the defaults of Silero's `get_speech_timestamps`.

    An utterance is all speech between two pauses of `pause_s`. One that is too long is cut at its longest pause, or
    where it has none, where speech is least probable; one that is too short is widened into the pauses around it. That
    these have the room for it is why `pause_s` may not be less than `min_s - min_speech_s`. After a dip below `end`,
    probabilities between `end` and `begin` for `max_s` are a pause too; the helper would wait for what comes then.

    Of the pauses before and after a segment up to `room_s` are heard with it: a corpus's clips begin and end so, and a
    network of them says less of speech alone (docs/decisions.md).
    """

    begin: float = 0.5  # probability from which on somebody speaks
    end: float = 0.35  # probability below which somebody who spoke is silent
    min_silence_s: float = 0.1  # a shorter silence is a part of speech, such as the closure of a stop
    min_speech_s: float = 0.25  # an utterance with less at `begin` or above is a click or a cough
    pause_s: float = 0.75
    min_s: float = 1.0
    max_s: float = 8.0
    room_s: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.end <= self.begin <= 1:
            raise ConfigurationError(f"end is {self.end} and begin {self.begin}: choose 0 < end <= begin <= 1.")
        if not 0 < self.min_silence_s <= self.pause_s:
            raise ConfigurationError(
                f"min_silence_s is {self.min_silence_s} and pause_s {self.pause_s}: "
                "choose 0 < min_silence_s <= pause_s."
            )
        if not 0 < self.min_speech_s <= self.min_s or self.pause_s < self.min_s - self.min_speech_s:
            raise ConfigurationError(
                f"min_speech_s is {self.min_speech_s}, min_s {self.min_s} and pause_s {self.pause_s}: "
                "choose 0 < min_speech_s <= min_s <= min_speech_s + pause_s."
            )
        lowest_max_s = 2 * (self.min_s + FRAME_S)
        if self.max_s < lowest_max_s:
            raise ConfigurationError(
                f"max_s is {self.max_s} and min_s {self.min_s}: what is cut must leave two segments, "
                f"so choose at least {lowest_max_s:.3f} for max_s."
            )

    @property
    def longest_wait_s(self) -> float:
        """From where a segment is heard until it is known where it ends: also what has to be kept of the sound."""
        return 2 * self.max_s + self.min_s + 2 * self.pause_s + self.room_s + 6 * FRAME_S  # each is rounded to frames


def cut(probabilities_F: Probabilities, config: SegmentConfig) -> list[Segment]:
    """The segments of a whole recording, in order and without overlap; talk time is the sum of their speech_s.

    Each has from `min_s` to `max_s`, but for a last one that the recording's end and what is before leave no room.
    """
    segmenter = Segmenter(config)
    return segmenter.push(probabilities_F) + segmenter.finish()


class Segmenter:
    """One pass over a recording, whose segments are the same however its frames are divided into blocks.

    A segment comes out at most `longest_wait_s` after it began; no more than that is held.
    """

    def __init__(self, config: SegmentConfig) -> None:
        self._config = config
        self._silence = _at_least(config.min_silence_s)
        self._min_speech = _at_least(config.min_speech_s)
        self._pause = _at_least(config.pause_s)
        self._min = _at_least(config.min_s)
        self._max = int(config.max_s / FRAME_S + 1e-9)
        self._room = int(config.room_s / FRAME_S + 1e-9)
        self._num_frames = 0
        self._held: list[float] = []  # the last probabilities, from the start of the utterance or later
        self._free = 0  # the end of the last segment
        self._start: int | None = None  # of the utterance
        self._stretches: list[tuple[int, int]] = []  # speech of the utterance, but for that which goes on
        self._speaks_from: int | None = None
        self._quiet_from: int | None = None

    def push(self, probabilities_F: Probabilities) -> list[Segment]:
        """Go on by these frames; the segments that they decide."""
        found: list[Segment] = []
        for probability in probabilities_F.tolist():
            self._held.append(probability)
            self._hear(probability)
            self._num_frames += 1
            if self._start is None:
                self._held.clear()
                continue
            end = self._speech_end()
            if self._speaks_from is not None and self._num_frames - end > self._max:
                self._stop(end)
            if self._speaks_from is None and self._num_frames - end >= self._pause:
                found += self._close()
            elif end - self._start >= self._max + self._pause + self._min:
                found += self._cut(end)
        return found

    def finish(self) -> list[Segment]:
        """The segments of what is left where the recording ends."""
        if self._start is None:
            return []
        if self._speaks_from is not None:
            self._stop(self._speech_end())
        return self._close()

    def _hear(self, probability: float) -> None:
        """Silero's hysteresis."""
        now = self._num_frames
        if probability >= self._config.begin:
            self._quiet_from = None
            if self._speaks_from is None:
                self._speaks_from = max(now - _PAD_FRAMES, self._free)
                if self._start is None:
                    self._start = self._speaks_from
        elif probability < self._config.end and self._speaks_from is not None:
            if self._quiet_from is None:
                self._quiet_from = now
            if now - self._quiet_from >= self._silence:
                self._stop(self._quiet_from + _PAD_FRAMES)

    def _stop(self, end: int) -> None:
        assert self._speaks_from is not None
        self._stretches.append((self._speaks_from, end))
        self._speaks_from = self._quiet_from = None

    def _speech_end(self) -> int:
        """Where the speech heard so far ends."""
        if self._speaks_from is None:
            return self._stretches[-1][1]
        return self._num_frames if self._quiet_from is None else min(self._quiet_from + _PAD_FRAMES, self._num_frames)

    def _close(self) -> list[Segment]:
        """The utterance is over: the segments of what is left of it."""
        found: list[Segment] = []
        end = self._stretches[-1][1]
        assert self._start is not None
        while end - self._start > self._max:
            found += self._cut(end)
        start = self._start
        need = max(self._min - (end - start), 0)
        left = min(need // 2, start - self._free)
        right = min(need - left, self._num_frames - end)
        left = min(need - right, start - self._free)
        found += self._segment(start - left, end + right, self._num_frames)
        self._start = None
        self._stretches.clear()
        self._held.clear()
        return found

    def _cut(self, end: int) -> list[Segment]:
        """Cut a segment off the beginning of an utterance that is known up to `end` and too long."""
        assert self._start is not None
        start, stretches = self._start, list(self._stretches)
        if self._speaks_from is not None:
            stretches.append((self._speaks_from, end))
        pauses = [
            (before, after)
            for (_, before), (after, _) in itertools.pairwise(stretches)
            if start + self._min <= before <= start + self._max and end - after >= self._min
        ]
        if pauses:
            before, after = max(pauses, key=lambda pause: pause[1] - pause[0])
        else:
            first, last = start + self._min, min(start + self._max, end - self._min)
            before = after = min(range(first, last + 1), key=lambda frame: self._held[frame - self._first_held])
        found = self._segment(start, before, after)
        del self._held[: after - self._first_held]
        self._start = after
        self._stretches = [stretch for stretch in self._stretches if stretch[1] > after]
        return found

    @property
    def _first_held(self) -> int:
        return self._num_frames - len(self._held)

    def _segment(self, start: int, end: int, silent_until: int) -> list[Segment]:
        """The segment, or nothing where it holds too little speech."""
        held = self._held[max(start - self._first_held, 0) : end - self._first_held]
        if sum(probability >= self._config.begin for probability in held) < self._min_speech:
            return []
        around = (max(start - self._room, self._free), min(end + self._room, silent_until))
        self._free = end
        stretches = self._stretches + ([] if self._speaks_from is None else [(self._speaks_from, end)])
        speech = sum(max(min(to, end) - max(from_, start), 0) for from_, to in stretches)
        return [Segment(*(frame * FRAME_S for frame in (start, end, speech, *around)))]


def _at_least(seconds: float) -> int:
    """Frames that last so long or longer."""
    return math.ceil(seconds / FRAME_S - 1e-9)
