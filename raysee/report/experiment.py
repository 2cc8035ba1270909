"""An experiment of the literature -> one HTML page: its table, what its runs have learnt, and where they came from."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from raysee import storage
from raysee.config import RunConfig
from raysee.evaluation.protocols import Protocol, protocol
from raysee.experiments import experiment
from raysee.experiments.table import Line
from raysee.models import CLASSIFIERS
from raysee.report.experiment_runs import ShownRun, otherwise, shown_runs
from raysee.report.published import KEESING_2020, KEESING_CLASSES_AND_FOLDS
from raysee.report.template import render

_TABLE_3 = "keesing2020"


@dataclass(frozen=True)
class Row:
    """A line of the table. Without a run its figure is owed."""

    line: Line
    protocol: Protocol
    run: ShownRun | None

    @property
    def synthetic(self) -> bool:
        return self.run is not None and self.run.synthetic

    @property
    def otherwise(self) -> list[str]:
        return otherwise(self.line.config)

    @property
    def comparable(self) -> bool:
        """Whether a published figure may be held against ours: not against those of a voice or network of raysee's own,
        nor of other corpora."""
        return self.run is not None and not self.run.synthetic and not self.line.incomparable

    @property
    def epochs(self) -> int | None:
        """None for classifiers, which have none."""
        return None if self.line.config.model in CLASSIFIERS else self.line.config.training.epochs

    @property
    def reason(self) -> str:
        """Why the figure is owed."""
        return self.line.remark.removeprefix("owed: ")


class Group(NamedTuple):
    """Rows of a chart that belong together, each with its name."""

    name: str
    bars: list[tuple[str, Row]]


class Cells(NamedTuple):
    """A corpus's row of Keesing et al. 2020, Table 3; shares are in [0, 1]."""

    corpus: str
    chance: float
    cells: list[Row | None]  # in the order of the columns
    human: float | None


def write_experiment(root: str, name: str, lines: Sequence[Line], uri: str, *, left_out: str = "") -> str:
    """Draw the experiment `name` as `lines` of runs of the lake `root` have it, and return the URI of the page, `uri`.

    `left_out` is a sentence about the corpora that are not in the lines, if any.
    Whether a run's sound is synthetic stands in its receipt, and before it is finished in those of its features.
    Raises ConfigurationError for an unknown experiment.
    """
    told, uri = experiment(name), storage.normalise(uri)
    table_3 = name == _TABLE_3
    # Table 3 whole has a hundred runs: with a picture of each first layer its page would be too heavy to read.
    runs = shown_runs(storage.normalise(root), lines, with_filters=not table_3)
    rows = [Row(line, protocol(line.config.protocol), runs.get(line.place)) for line in lines]
    page = render(
        "experiment.html",
        command=f"raysee reproduce {name}",
        experiment=told,
        left_out=left_out,
        rows=rows,
        trainings=[list(same) for _, same in itertools.groupby(rows, _training)],
        runs=list(runs.values()),
        notes=_notes(told.notes, rows, table_3),
        columns=list(dict.fromkeys(row.line.claim.what for row in rows)) if table_3 else [],
        matrix=_table_3(rows) if table_3 else [],
        groups=_groups(rows, _CHARTS[name]) if name in _CHARTS else [],
        provenance=_provenance(list(runs.values())),
    )
    storage.write_bytes(uri, page.encode())
    return uri


def _training(row: Row) -> tuple[RunConfig, str, int]:
    """Equal for figures that were read off the same trainings."""
    return row.line.config, row.line.place, row.line.num_trainings


def _notes(known: Mapping[str, str], rows: Sequence[Row], table_3: bool) -> dict[str, str]:
    """The footnotes that the page refers to, in the order of their numbers: the experiment's, then the protocols'."""
    keys = {key for row in rows for key in row.line.claim.notes}
    if table_3:
        keys |= {"human", *(row.line.config.corpus for row in rows)}
    of_protocols = {row.protocol.name: f"{row.protocol.name}: {row.protocol.note}" for row in rows if row.protocol.note}
    return {key: text.rstrip(".") for key, text in known.items() if key in keys} | of_protocols


def _table_3(rows: Sequence[Row]) -> list[Cells]:
    columns = list(dict.fromkeys(row.line.claim.what for row in rows))
    by_cell = {(row.line.config.corpus, row.line.claim.what): row for row in rows}
    return [
        Cells(
            corpus=corpus,
            chance=1 / KEESING_CLASSES_AND_FOLDS[corpus][0],
            cells=[by_cell.get((corpus, column)) for column in columns],
            human=KEESING_2020[corpus].get("Human"),
        )
        for corpus in dict.fromkeys(row.line.config.corpus for row in rows)
    ]


def _groups(rows: Sequence[Row], place: Callable[[Line], tuple[str, str] | None]) -> list[Group]:
    """What there is of each group, in the order of the table; `place` gives a line's group and its name in it."""
    groups: dict[str, Group] = {}
    for row in rows:
        if row.run is not None and (found := place(row.line)) is not None:
            groups.setdefault(found[0], Group(found[0], [])).bars.append((found[1], row))
    return list(groups.values())


def _by_condition(line: Line) -> tuple[str, str] | None:
    """Each condition, whichever way its test clips were found."""
    return line.claim.figure.removeprefix("example accuracy, "), line.claim.what.rpartition(", ")[2]


def _by_split(line: Line) -> tuple[str, str] | None:
    """The test accuracy of each network, of files and of speakers that it did not hear."""
    network, _, rest = line.claim.what.partition(", ")
    return (network, rest.partition(":")[0]) if line.claim.figure == "accuracy" else None


_CHARTS: dict[str, Callable[[Line], tuple[str, str] | None]] = {
    "alexnet-ravdess": _by_condition,
    "mlp-vs-cnn": _by_split,
}


def _provenance(runs: Sequence[ShownRun]) -> list[tuple[str, str]]:
    """What the finished runs have in common, or each of what they differ in."""
    finished = [run.receipt for run in runs if run.receipt is not None]
    versions = [", ".join(f"{name} {version}" for name, version in one.versions.items()) for one in finished]
    seen = {"versions": versions, "machine": [one.machine for one in finished]}
    return [(name, value) for name, values in seen.items() for value in dict.fromkeys(values)]
