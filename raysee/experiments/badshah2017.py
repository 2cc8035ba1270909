"""Badshah et al. 2017: a network over pictures of spectrograms on EMO-DB, fresh and fine-tuned."""

from collections.abc import Sequence

from raysee.evaluation.protocols import PROTOCOLS
from raysee.experiments.experiment import Choice, Claim, Derived, Experiment, Run
from raysee.report.published import BADSHAH_2017, BADSHAH_NOTES

_MODELS = {"fresh": "badshah", "literal": "badshah-literal", "alexnet": "alexnet", "fine-tuned": "alexnet-fine-tuned"}
_WEIGHTS = "it starts from ImageNet weights: give torchvision's of AlexNet as a safetensors file by --initial."
_SPLITS = {
    "badshah2017-spectrogram": "by spectrogram",
    "badshah2017": "by file",
    "badshah2017-speaker": "by speaker",
}


def plan(corpora: Sequence[str], choice: Choice) -> list[Run | Derived]:
    """One run a network and split; the fine-tuned one lacks the weights that it starts from until they are given."""
    runs: list[Run | Derived] = []
    for column in BADSHAH.wanted(choice):
        lacks = _WEIGHTS if column == "fine-tuned" and not choice.initial else ""
        for protocol, split in _SPLITS.items():
            if choice.protocol not in ("", protocol):
                continue
            leaky = column == "fresh" and PROTOCOLS[protocol].leaks
            config = choice.configure(
                model=_MODELS[column],
                protocol=protocol,
                corpora=tuple(corpora),
                initial=choice.initial if column == "fine-tuned" else "",
            )
            notes = (
                "split",
                "speakers",
                "classes",
                "accuracy",
                "epoch",
                *(["fine-tuned"] if column == "fine-tuned" else []),
            )
            claims = (
                Claim(
                    f"{column}, {split}: spectrograms",
                    "example accuracy",
                    BADSHAH_2017["spectrograms"] if leaky else None,
                    notes,
                ),
                Claim(
                    f"{column}, {split}: files", "accuracy", BADSHAH_2017["files"] if leaky else None, (*notes, "files")
                ),
                Claim(f"{column}, {split}: files, UAR", "UAR"),
            )
            runs.append(Run(config, claims, lacks))
    return runs


BADSHAH = Experiment(
    title="A network over pictures of spectrograms",
    source="Badshah et al. 2017, PlatCon",
    corpora=("emodb",),
    columns=tuple(_MODELS),
    plan=plan,
    notes=BADSHAH_NOTES,
)
