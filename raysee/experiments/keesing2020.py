"""Table 3 of Keesing et al. 2020: six networks and a support vector machine on fifteen corpora."""

from collections.abc import Sequence

from raysee.experiments.experiment import Choice, Cited, Claim, Derived, Experiment, Run
from raysee.report.published import COLUMNS, KEESING_2020, KEESING_NOTES

_NOTES = {"SVM": ("tuning",), "N": ("repeats",)}
_REPEATS = {"N": 1, "SVM": 1}  # Zhang's network is slow, section 4.2; a support vector machine has no chance in it


def plan(corpora: Sequence[str], choice: Choice) -> list[Run | Derived]:
    """One run a corpus and column."""
    columns = KEESING.wanted(choice)

    def claim(corpus: str, column: str) -> Claim:
        of_corpus = (corpus,) if corpus in KEESING_NOTES else ()
        notes = ("standardised", *_NOTES.get(column, ()), *of_corpus)
        return Claim(column, "UAR", KEESING_2020[corpus].get(column), notes)

    return [
        Run(
            choice.configure(
                model=COLUMNS[column][0],
                features=COLUMNS[column][1],
                corpora=(corpus,),
                protocol=choice.protocol or "paper",
                repeats=_REPEATS.get(column, 3),
            ),
            (claim(corpus, column),),
        )
        for corpus in corpora
        for column in columns
    ]


KEESING = Experiment(
    title="Table 3: UAR of six networks and a support vector machine",
    source="Keesing et al. 2020, ALTA",
    corpora=tuple(KEESING_2020),
    columns=tuple(COLUMNS),
    plan=plan,
    notes=KEESING_NOTES,
    cited=tuple(
        Cited(corpus, Claim("Human", "accuracy", row["Human"], ("human",)))
        for corpus, row in KEESING_2020.items()
        if "Human" in row
    ),
)
