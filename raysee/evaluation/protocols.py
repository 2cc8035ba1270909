"""The protocols by name. Every number carries the name of the one it was made under.

`paper` is what Keesing et al. 2020 describe (section 4.2), `code` what their published code does. Of the support
vector machine the paper says only that it is tuned by cross-validation over speakers (section 5); the code does that on
what is reported, and `paper` has it so, `paper-nested` is `paper` without that. `strict` is raysee's own: nothing of
the test speakers is seen, and the epoch is chosen on validation speakers. The others are splits of the other documents;
most of them leak, and `leaks` says what the test part shares with the training part.
"""

from typing import Literal

from pydantic import Field

from raysee.config import Config
from raysee.errors import unknown


class Protocol(Config):
    """How clips are split, what standardisation sees, and which epoch's weights are kept.

    `split` says what is held out together: speakers (in folds of like size, in random ones, or in five), files,
    examples (the windows or rows of a clip, each by itself), corpora, or, for `conditions`, some speakers and half of
    the sentences, so that the test part has both heard and unheard ones of each.
    """

    name: str
    split: Literal[
        "speaker-balanced",
        "speaker-random",
        "speaker-five",
        "file",
        "example",
        "conditions-file",
        "conditions-example",
        "corpus",
    ]
    test_share: float | None = Field(None, gt=0, lt=1)  # one random split; None: folds
    validation: Literal["none", "next-fold", "share", "test", "speakers"]
    validation_share: float = Field(0.0, ge=0, lt=1)  # of everything, with validation="share"
    standardise: Literal["train", "speaker", "corpus"]  # by statistics of the training part, or of a clip's own ...
    #: Clips are counted in the training part, in each corpus of it by itself, or in the whole corpus.
    class_weights: Literal["train", "train-by-corpus", "corpus", "none"]
    select: Literal["last", "validation"]  # the last epoch, or the best on the validation part
    tune: Literal["inner-folds", "test-folds"] = "inner-folds"  # where a classifier's parameters are searched
    leaks: str = ""  # what the test part shares with the training part, in words
    note: str = ""  # what a reader must know beside the number


PROTOCOLS: dict[str, Protocol] = {
    "strict": Protocol(
        name="strict",
        split="speaker-balanced",
        validation="next-fold",
        standardise="train",
        class_weights="train",
        select="validation",
    ),
    **{
        name: Protocol(
            name=name,
            split="speaker-random",
            validation="none",
            standardise="speaker",
            class_weights="train",
            select="last",
            tune=tune,
            note="standardised by each speaker's own unlabelled clips, the test speaker's too (transductive); "
            f"a support vector machine is tuned on {on}",
        )
        for name, tune, on in (
            ("paper", "test-folds", "the reported folds"),
            ("paper-nested", "inner-folds", "the training speakers alone"),
        )
    },
    "code": Protocol(
        name="code",
        split="speaker-balanced",
        validation="none",
        standardise="speaker",
        class_weights="corpus",
        select="last",
        tune="test-folds",
        note="standardised by each speaker's own unlabelled clips, the test speaker's too (transductive); "
        "class weights count the test clips; a support vector machine is tuned on the reported folds",
    ),
    **{
        name: Protocol(
            name=name,
            split="corpus",
            validation="speakers",
            standardise=standardise,
            class_weights="train-by-corpus",
            select="validation",
            note=note,
        )
        for name, standardise, note in (
            ("cross-corpus", "train", "nothing of the tested corpus is seen"),
            ("cross-corpus-by-corpus", "corpus", "each corpus is standardised by itself, the tested one too"),
            ("cross-corpus-by-speaker", "speaker", "each speaker is standardised by himself, the tested ones too"),
        )
    },
    **{
        name: Protocol(
            name=name,
            split=split,
            validation="none",
            standardise="train",
            class_weights="none",
            select="last",
            leaks=leaks,
            note=f"five folds by {what}",
        )
        for name, split, leaks, what in (
            (
                "badshah2017",
                "file",
                "speakers and sentences",
                "file, one reading of Badshah et al. 2017: the test speakers are trained on",
            ),
            (
                "badshah2017-spectrogram",
                "example",
                "speakers, sentences and files",
                "spectrogram, another reading of Badshah et al. 2017: pieces of one file are on both sides",
            ),
            ("badshah2017-speaker", "speaker-five", "", "speaker, as Badshah et al. 2017 but for what leaks there"),
        )
    },
    "mlp-vs-cnn": Protocol(
        name="mlp-vs-cnn",
        split="file",
        test_share=0.25,
        validation="test",
        standardise="train",
        class_weights="none",
        select="last",
        leaks="speakers and sentences",
        note="a random quarter of the files is tested, and stops the training where it stops early",
    ),
    **{
        name: Protocol(
            name=name,
            split=split,
            test_share=0.2,
            validation="share",
            validation_share=0.2,
            standardise="train",
            class_weights="none",
            select="validation",
            leaks=leaks,
            note=note,
        )
        for name, split, leaks, note in (
            (
                "stanford2015",
                "example",
                "speakers, sentences and files",
                "chunks of half a second are shuffled and divided 60/20/20: pieces of one file are in all parts",
            ),
            (
                "stanford2015-file",
                "file",
                "speakers and sentences",
                "files are shuffled and divided 60/20/20, for networks over all chunks of a file",
            ),
        )
    },
    "alexnet-ravdess": Protocol(
        name="alexnet-ravdess",
        split="conditions-example",
        validation="none",
        standardise="train",
        class_weights="none",
        select="last",
        leaks="speakers, sentences and files, each where its condition says so",
        note="trained on three quarters of the speakers and half of the sentences; the fifth of their windows that is "
        "tested overlaps with what is trained on",
    ),
    "conditions": Protocol(
        name="conditions",
        split="conditions-file",
        validation="none",
        standardise="train",
        class_weights="none",
        select="last",
        leaks="speakers and sentences, each where its condition says so",
        note="trained on three quarters of the speakers and half of the sentences; of these another repetition is "
        "tested, or a fifth of the files",
    ),
}


def protocol(name: str) -> Protocol:
    """The protocol of that name; ConfigurationError that lists the known ones otherwise."""
    if name not in PROTOCOLS:
        raise unknown("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]
