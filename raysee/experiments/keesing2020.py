"""Table 3 of Keesing et al. 2020: four networks on six inputs and a support vector machine, on fifteen corpora."""

from collections.abc import Sequence

from raysee.experiments.experiment import Choice, Cited, Claim, Derived, Experiment, Run
from raysee.report.published import COLUMNS, KEESING_2020, KEESING_NOTES

#: Column of ours -> the paper's, and the protocol: the second machine shows what tuning on the reported folds is worth.
_COLUMNS = {**{column: (column, "paper") for column in COLUMNS}, "SVM-nested": ("SVM", "paper-nested")}
_NOTES = {"SVM": ("tuning",), "N": ("repeats",)}
_REPEATS = {"N": 1, "SVM": 1}  # Zhang's network is slow, section 4.2; a support vector machine has no chance in it


def plan(corpora: Sequence[str], choice: Choice) -> list[Run | Derived]:
    """One run a corpus and column."""
    runs: list[Run | Derived] = []
    for corpus in corpora:
        of_corpus = (corpus,) if corpus in KEESING_NOTES else ()
        for column in KEESING.wanted(choice):
            theirs, protocol = _COLUMNS[column]
            model, features = COLUMNS[theirs]
            config = choice.configure(
                model=model,
                features=features,
                corpora=(corpus,),
                protocol=choice.protocol or protocol,
                repeats=_REPEATS.get(theirs, 3),
            )
            notes = ("standardised", *_NOTES.get(theirs, ()), *of_corpus)
            runs.append(Run(config, (Claim(column, "UAR", KEESING_2020[corpus].get(theirs), notes),)))
    return runs


KEESING = Experiment(
    title="Table 3: UAR of four networks on six inputs, and of a support vector machine",
    source="Keesing et al. 2020, ALTA",
    corpora=tuple(KEESING_2020),
    columns=tuple(_COLUMNS),
    plan=plan,
    notes=KEESING_NOTES,
    cited=tuple(
        Cited(corpus, Claim("Human", "accuracy", row["Human"], ("human",)))
        for corpus, row in KEESING_2020.items()
        if "Human" in row
    ),
)
