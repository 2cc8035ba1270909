"""The protocols by name. Every number carries the name of the one it was made under.

`paper` is what Keesing et al. 2020 describe (section 4.2), `code` what their published code does, `strict` is raysee's
own: nothing of the test speakers is seen, and the epoch is chosen on validation speakers. A protocol whose split leaks
exists only under its document's name, and `leaks` says what it leaks.
"""

from typing import Literal

from raysee.config import Config
from raysee.errors import unknown


class Protocol(Config):
    """How clips are split, what standardisation sees, and which epoch's weights are kept."""

    name: str
    split: Literal["speaker-balanced", "speaker-random", "file"]
    standardise: Literal["train", "speaker"]  # by statistics of the training part, or of each clip's own speaker
    class_weights: Literal["train", "corpus"]  # clips counted in the training part, or in the whole corpus
    select: Literal["last", "validation"]  # the last epoch, or the best on the validation part
    leaks: str = ""  # what the test part shares with the training part, in words
    note: str = ""  # what a reader must know beside the number


PROTOCOLS: dict[str, Protocol] = {
    "strict": Protocol(
        name="strict",
        split="speaker-balanced",
        standardise="train",
        class_weights="train",
        select="validation",
    ),
    "paper": Protocol(
        name="paper",
        split="speaker-random",
        standardise="speaker",
        class_weights="train",
        select="last",
        note="standardised by each speaker's own unlabelled clips, the test speaker's too (transductive)",
    ),
    "code": Protocol(
        name="code",
        split="speaker-balanced",
        standardise="speaker",
        class_weights="corpus",
        select="last",
        note="standardised by each speaker's own unlabelled clips, the test speaker's too (transductive); "
        "class weights count the test clips",
    ),
    "badshah2017": Protocol(
        name="badshah2017",
        split="file",
        standardise="train",
        class_weights="train",
        select="validation",
        leaks="speakers and sentences",
        note="five folds by file, as Badshah et al. 2017: the test speakers are trained on",
    ),
}


def protocol(name: str) -> Protocol:
    """The protocol of that name; ConfigurationError that lists the known ones otherwise."""
    if name not in PROTOCOLS:
        raise unknown("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]
