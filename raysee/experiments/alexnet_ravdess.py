"""AlexNet on pictures of one second of RAVDESS: speakers and sentences that were trained on, and others."""

from collections.abc import Sequence

from raysee.experiments.experiment import Choice, Claim, Derived, Experiment, Run
from raysee.experiments.readings import CONDITIONS
from raysee.report.published import ALEXNET_NOTES, ALEXNET_RAVDESS

_PROTOCOLS = {"windows": "alexnet-ravdess", "repetitions": "conditions"}


def plan(corpora: Sequence[str], choice: Choice) -> list[Run | Derived]:
    """One run a way to test what was heard: windows of the same files, as the article does, or the other repetition."""
    runs: list[Run | Derived] = []
    for column in ALEXNET.wanted(choice):
        if choice.protocol not in ("", _PROTOCOLS[column]):
            continue
        claims = [
            Claim(
                f"{number}: {condition}, by {column}",
                f"example accuracy, {condition}",
                ALEXNET_RAVDESS.get(condition) if column == "windows" else None,
                ("windows", "only one figure", "scale"),
            )
            for number, condition in enumerate(CONDITIONS, start=1)
        ]
        config = choice.configure(model="alexnet-sliding", protocol=_PROTOCOLS[column], corpora=tuple(corpora))
        runs.append(Run(config, tuple(claims)))
    return runs


ALEXNET = Experiment(
    title="AlexNet, heard and unheard speakers and sentences: accuracy by window",
    source="de Gosson de Varennes & Starck, Sopra Steria",
    corpora=("ravdess",),
    columns=tuple(_PROTOCOLS),
    plan=plan,
    notes=ALEXNET_NOTES,
)
