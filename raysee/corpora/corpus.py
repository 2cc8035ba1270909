"""What is known of a corpus, and the check of what was found against it."""

import collections
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from raysee.emotions import Emotion, canonical
from raysee.errors import ConfigurationError, CorpusError

#: Names of files with sound in them, in lower case: the official ones and those of the usual mirrors.
AUDIO_ENDINGS = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".aiff", ".aif", ".m4a", ".avi")
#: The same at the end of a regular expression of names.
ENDING = r"\.(?i:wav|flac|mp3|ogg|opus|aiff?|m4a|avi)\Z"


class Clip(NamedTuple):
    """What a corpus says of a clip. `label` is the corpus's own category, in English."""

    clip_id: str
    speaker: str
    label: str
    gender: str | None = None
    session: str | None = None
    sentence: str | None = None
    intensity: str | None = None
    repetition: str | None = None
    language: str | None = None  # where it is not the corpus's
    start_s: float | None = None  # where the clip is a part of its file
    end_s: float | None = None


class LeftOut(NamedTuple):
    """A file of the corpus that the paper does not take, and why."""

    clip_id: str
    reason: str


#: What a path below the corpus's root is: its clips, something that is left out, or None for no file of this corpus.
Outcome = Clip | Sequence[Clip] | LeftOut | None


class Reading(NamedTuple):
    """A corpus, its annotation files read: what its paths mean, and which clips the annotations name.

    `named` is clip_id -> the path of the annotation file, for the clips that are taken; empty where names say it all.
    """

    parse: Callable[[str], Outcome]
    named: Mapping[str, str] = {}


class Tree:
    """What lies below a corpus's root, as paths relative to it, and the texts of its annotation files."""

    def __init__(self, paths: Iterable[str], read: Callable[[str], bytes]) -> None:
        self.paths = sorted(path for path in paths if not is_hidden(path))
        self._read = read

    def text(self, path: str, encoding: str = "utf-8") -> str:
        """A file as text with plain line ends and no byte-order mark; CorpusError where its encoding is another."""
        try:
            text = self._read(path).decode("utf-8-sig" if encoding == "utf-8" else encoding)
        except UnicodeDecodeError as error:
            raise CorpusError(
                f"{path} is not {encoding} text (byte {error.start}): take the file as it was published."
            ) from error
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def data(self, path: str) -> bytes:
        """A file's bytes."""
        return self._read(path)


def is_hidden(path: str) -> bool:
    """Whether a path, or a folder on its way, is hidden; AppleDouble files (`._name`) and `__MACOSX` are."""
    return any(part.startswith(".") or part == "__MACOSX" for part in path.split("/"))


@dataclass(frozen=True)
class Corpus:
    """One corpus: where from, under which terms, how it reads, how many clips there must be."""

    name: str
    title: str
    language: str  # BCP 47
    licence: str
    commercial: bool | None  # whether the licence allows commercial use; None: it does not say
    source: str  # where to get it
    counts: dict[Emotion, int]  # Keesing et al. 2020, Table 1
    num_speakers: int  # as the paper counts them
    labels: tuple[str, ...]  # the trained categories, in the order of the class indices
    layout: str  # the tree that is looked for, in words
    read: Callable[[Tree, Mapping[str, str]], Reading]  # with the value of every option
    expected_ids: Callable[[], frozenset[str]] = frozenset  # every clip_id, where a rule or a list gives them
    group: Literal["speaker", "session", "language"] = "speaker"  # what cross-validation holds out together
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # its choices; the first is the paper's
    voices: str = ""  # the corpus whose speakers and sentences these are too, by the same names

    @property
    def num_groups(self) -> int:
        """How many parts cross-validation can hold out; a session is a pair of speakers."""
        return self.num_speakers // 2 if self.group == "session" else self.num_speakers

    def choose(self, chosen: Mapping[str, str]) -> dict[str, str]:
        """The value of every option. ConfigurationError for an unknown option or value."""
        for name, value in chosen.items():
            if name not in self.options:
                known = ", ".join(self.options) or "none"
                raise ConfigurationError(f"{self.title} has no option {name!r}; its options: {known}.")
            if value not in self.options[name]:
                raise ConfigurationError(
                    f"{self.title} has no {name} {value!r}; choose one of: {', '.join(self.options[name])}."
                )
        return {name: chosen.get(name, values[0]) for name, values in self.options.items()}

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
        if expected and (extra := sorted(ids - expected)):
            lines.append(f"extra: {_some(extra)}")
        return lines


def by_name(parse: Callable[[str], Outcome]) -> Callable[[Tree, Mapping[str, str]], Reading]:
    """The `read` of a corpus whose paths say everything."""
    return lambda tree, options: Reading(parse)


def _some(names: list[str], most: int = 10) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
