"""What a layout is made of: clips, files, and the arithmetic that deals the one out to the speakers."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TypeVar

from raysee.errors import ConfigurationError
from raysee.synthesis.voice import Gender

#: What macOS leaves beside a file of another file system: `._name`, with the magic number of AppleDouble.
APPLE_DOUBLE = b"\x00\x05\x16\x07\x00\x02\x00\x00" + b"Mac OS X        " + bytes(58)


@dataclasses.dataclass(frozen=True)
class Clip:
    """One utterance of a tree, before it is spoken."""

    path: str
    """Relative to the root of the tree"""
    speaker: str
    gender: Gender
    sentence: str
    emotion: str
    """As the voice knows it"""
    intensity: float = 1.0
    take: int = 0
    category: str | None = None
    """As the corpus knows it, in English; None where the voice's word is the corpus's"""
    left_out: bool = False
    """Whether the corpus has this clip and the paper does not take it"""
    span: tuple[int, int] | None = None
    """First sample and the one after the last, where the file holds several utterances"""

    @property
    def label(self) -> str:
        """The corpus's category."""
        return self.category or self.emotion


@dataclasses.dataclass(frozen=True)
class Layout:
    """A tree without its sound: every utterance, and the bytes of every other file by its path below the root."""

    clips: tuple[Clip, ...]
    files: Mapping[str, bytes] = dataclasses.field(default_factory=dict)

    @property
    def paths(self) -> list[str]:
        """Every path below the root, sorted, those with sound and those without."""
        return sorted({clip.path for clip in self.clips} | self.files.keys())


Name = TypeVar("Name", bound=str)


def mixed(counts: Mapping[Name, int]) -> list[Name]:
    """Every name as often as its count says, each spread evenly over the whole list."""
    places = [((turn + 0.5) / count, name) for name, count in counts.items() for turn in range(count)]
    return [name for _, name in sorted(places)]


def dealt(total: int, names: Sequence[Name]) -> list[Name]:
    """The names round and round, `total` of them."""
    return [names[turn % len(names)] for turn in range(total)]


def in_order(counts: Mapping[Name, int]) -> list[Name]:
    """Every name as often as its count says, one name after the other."""
    return [name for name, count in counts.items() for _ in range(count)]


def first(what: str, wanted: int, names: Sequence[Name]) -> Sequence[Name]:
    """The first so many of the names.

    Raises:
        ConfigurationError: for more than there are, or none.
    """
    if not 1 <= wanted <= len(names):
        raise ConfigurationError(f"There can be 1 to {len(names)} {what}, not {wanted}.")
    return names[:wanted]
