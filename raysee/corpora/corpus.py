"""What is known of a corpus, and the check of what was found against it."""

import collections
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from raysee.emotions import Emotion, canonical

#: Names of sound files, in lower case: the official ones and those of the usual mirrors.
AUDIO_ENDINGS = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".aiff", ".aif", ".m4a")
#: The same at the end of a regular expression of names.
ENDING = r"\.(?i:wav|flac|mp3|ogg|opus|aiff?|m4a)\Z"


class Clip(NamedTuple):
    """What a file's name says of its clip. `label` is the corpus's own category, in English."""

    clip_id: str
    speaker: str
    label: str
    gender: str | None = None
    session: str | None = None
    sentence: str | None = None
    intensity: str | None = None
    repetition: str | None = None


@dataclass(frozen=True)
class Corpus:
    """One corpus: where from, under which terms, how its names read, how many clips there must be."""

    name: str
    title: str
    language: str  # BCP 47
    licence: str
    source: str  # where to get it
    counts: dict[Emotion, int]  # Keesing et al. 2020, Table 1
    labels: tuple[str, ...]  # the trained categories, in the order of the class indices
    layout: str  # the tree that is looked for, in words
    parse: Callable[[str], Clip | None]  # a path below the root -> its clip; None: not a clip of this corpus
    expected_ids: Callable[[], frozenset[str]]  # every clip_id of the complete corpus

    def missing_and_extra(self, found: Iterable[Clip]) -> list[str]:
        """How what was found differs from Table 1, a line a difference; empty where it does not."""
        clips = list(found)
        counted = collections.Counter(canonical(clip.label) for clip in clips)
        lines = [
            f"{emotion}: {counted[emotion]} clips, Table 1 has {self.counts.get(emotion, 0)}"
            for emotion in sorted(counted.keys() | self.counts.keys())
            if counted[emotion] != self.counts.get(emotion, 0)
        ]
        ids, expected = {clip.clip_id for clip in clips}, self.expected_ids()
        if missing := sorted(expected - ids):
            lines.append(f"missing: {_some(missing)}")
        if extra := sorted(ids - expected):
            lines.append(f"extra: {_some(extra)}")
        return lines


def _some(names: list[str], most: int = 10) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
