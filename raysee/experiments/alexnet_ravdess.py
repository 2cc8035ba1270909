"""AlexNet on pictures of one second of RAVDESS: speakers and sentences that were trained on, and others."""

from collections.abc import Sequence

from raysee.experiments.experiment import Choice, Claim, Derived, Experiment, Run
from raysee.experiments.readings import CONDITIONS
from raysee.report.published import ALEXNET_NOTES

_PROTOCOLS = {"windows": "alexnet-ravdess", "repetitions": "conditions"}
_HEARD = 0.996  # the accuracy on windows of the training part's own files


def plan(corpora: Sequence[str], choice: Choice) -> list[Run | Derived]:
    """One run a way to test what was heard: windows of the same files, as the article does, or the other repetition."""
    runs: list[Run | Derived] = []
    for column in ALEXNET.wanted(choice):
        claims = [
            Claim(
                f"{number}: {condition}, by {column}",
                f"example accuracy, {condition}",
                _HEARD if (number, column) == (1, "windows") else None,
                ("windows", "only one figure"),
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
