"""The command line: each command parses its options and calls one function."""

import contextlib
import enum
import sys
from collections.abc import Iterator
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from raysee import __version__, storage
from raysee.config import RunConfig, ScoreConfig, TrainingConfig
from raysee.errors import ConfigurationError, RayseeError, unknown
from raysee.progress import OnProgress
from raysee.receipts import Receipt, Stage

app = typer.Typer(
    help="Speech emotion recognition at scale, on Ray. A lake holds the stages: manifest, extract, train; "
    "score and report use what came out. Places are s3://bucket/..., file:///... or paths.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

CorpusName = Annotated[str, typer.Option("--corpus", help="A corpus by name, e.g. emodb or ravdess.")]
Features = Annotated[str, typer.Option(help="A front-end by name, e.g. logmel40.")]
Lake = Annotated[str, typer.Option("--to", envvar="RAYSEE_LAKE", help="The lake: where all stages read and write.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Delete what an earlier start has written, then begin.")]


class Size(enum.StrEnum):
    """Sizes of a network."""

    PUBLISHED = "published"
    DEBUG = "debug"


class Precision(enum.StrEnum):
    """Arithmetic of training."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


@app.command()
def manifest(
    corpus: Annotated[str, typer.Argument(help="A corpus by name, e.g. emodb or ravdess.")],
    source: Annotated[str, typer.Argument(help="The corpus's root folder.")],
    to: Lake,
    option: Annotated[
        list[str] | None, typer.Option(help="A choice that the corpus leaves, NAME=VALUE; see `raysee corpora`.")
    ] = None,
    allow_count_mismatch: Annotated[
        bool, typer.Option("--allow-count-mismatch", help="Go on with an incomplete corpus.")
    ] = False,
    overwrite: Overwrite = False,
) -> str:
    """List a corpus: one row a clip, with speaker and emotion."""
    from raysee.corpora.manifest import manifest as build

    stage = build(
        to,
        corpus,
        source,
        options=_pairs(option or []),
        allow_count_mismatch=allow_count_mismatch,
        overwrite=overwrite,
    )
    labels = stage.receipt.details["labels"]
    return _say(stage, f"{stage.receipt.details['num_speakers']} speakers; " + _counts(labels))


@app.command()
def corpora() -> None:
    """Say which corpora there are, under which terms, and where to get them."""
    from raysee.corpora import CORPORA

    table = Table("name", "corpus", "language", "speakers", "clips", "classes", "commercial use", "licence", "source")
    for corpus in CORPORA.values():
        table.add_row(
            corpus.name,
            corpus.title,
            corpus.language,
            str(corpus.num_speakers),
            f"{sum(corpus.counts.values()):,}",
            str(len(corpus.labels)),
            {True: "yes", False: "no", None: "not said"}[corpus.commercial],
            corpus.licence,
            corpus.source,
        )
    _console().print(table)


@app.command()
def extract(corpus: CorpusName, features: Features, to: Lake, overwrite: Overwrite = False) -> str:
    """Make features of every clip of a corpus."""
    from raysee.distributed.extract import extract as run

    with _progress("clips") as on_progress:
        stage = run(
            to,
            corpus,
            features,
            overwrite=overwrite,
            on_progress=on_progress,
        )
    return _say(stage, f"{stage.receipt.details['audio_s'] / 3600:.2f} hours of audio")


@app.command()
def train(
    corpus: CorpusName,
    to: Lake,
    model: Annotated[str, typer.Option(help="A network by name, e.g. aldeneh.")] = "aldeneh",
    features: Features = "logmel40",
    protocol: Annotated[
        str, typer.Option(help="strict; paper or code, as Keesing et al. 2020; badshah2017 leaks.")
    ] = "strict",
    labels: Annotated[str, typer.Option(help="Only these of the corpus's labels, comma-separated.")] = "",
    size: Annotated[Size, typer.Option(help="The network as published, or one that fits in seconds.")] = Size.PUBLISHED,
    epochs: Annotated[int, typer.Option(help="Passes over the training part.")] = 50,
    repeats: Annotated[int, typer.Option(help="Cross-validations with different seeds.")] = 1,
    batch_size: Annotated[int, typer.Option(min=0, help="Clips in a batch; 0: as published.")] = 0,
    learning_rate: Annotated[float, typer.Option(help="Of Adam.")] = 1e-4,
    seed: Annotated[int, typer.Option(help="All random choices follow from it.")] = 0,
    precision: Annotated[Precision, typer.Option(help="bfloat16: mixed precision, faster.")] = Precision.FLOAT32,
    overwrite: Overwrite = False,
) -> str:
    """Cross-validate a network without leaking a speaker, and fit the one that is delivered."""
    from raysee.distributed.train import train as run
    from raysee.models import network

    config = RunConfig(
        corpus=corpus,
        features=features,
        model=model,
        size=size.value,
        protocol=protocol,
        labels=tuple(label.strip() for label in labels.split(",") if label.strip()),
        repeats=repeats,
        training=TrainingConfig(
            epochs=epochs,
            batch_size=batch_size or network(model).batch_size,
            learning_rate=learning_rate,
            seed=seed,
            precision=precision.value,
        ),
    )
    with _progress("trainings") as on_progress:
        stage = run(
            to,
            config,
            overwrite=overwrite,
            on_progress=on_progress,
        )
    return _say(stage, "; ".join(_figures(stage.receipt)))


@app.command()
def score(
    source: Annotated[str, typer.Argument(help="The prefix below which the recordings lie.")],
    model: Annotated[str, typer.Option(help="The training run whose model is used.")],
    to: Annotated[str, typer.Option(help="Where the scores are written.")],
    window_s: Annotated[float, typer.Option(help="Length of a window in seconds.")] = ScoreConfig().window_s,
    hop_s: Annotated[
        float, typer.Option(help="From one window's start to the next, in seconds.")
    ] = ScoreConfig().hop_s,
    overwrite: Overwrite = False,
) -> str:
    """Score every recording of an archive, by channel and over time."""
    from raysee.distributed.score import score as run

    with _progress("recordings") as on_progress:
        stage = run(
            source,
            model,
            to,
            ScoreConfig(window_s=window_s, hop_s=hop_s),
            overwrite=overwrite,
            on_progress=on_progress,
        )
    return _say(stage, f"{stage.receipt.details['audio_s'] / 3600:.2f} hours of audio")


@app.command()
def report(
    runs: Annotated[list[str], typer.Argument(help="Training and scoring runs.")],
    out: Annotated[str, typer.Option(help="The page; by default report.html in the first run.")] = "",
) -> str:
    """Draw one self-contained HTML page of runs."""
    from raysee.report.page import write_report

    page = write_report([storage.normalise(run) for run in runs], storage.normalise(out) if out else None)
    _console().print(page, soft_wrap=True)
    return page


@app.command()
def synthesise(
    what: Annotated[str, typer.Argument(help="A corpus by name, or calls.")],
    to: Annotated[str, typer.Argument(help="A folder of this machine.")],
    count: Annotated[int, typer.Option(min=1, help="How many speakers, or calls.")] = 10,
    seed: Annotated[int, typer.Option(help="Another seed, other voices.")] = 0,
) -> str:
    """Make a corpus in its official layout, or an archive of calls, with a synthetic voice."""
    from raysee.synthesis.calls import write_calls
    from raysee.synthesis.trees import TREES

    if what not in {*TREES, "calls"}:
        raise unknown("kind of synthetic audio", what, [*TREES, "calls"])
    folder = storage.local_folder(to)
    if what == "calls":
        number = len(write_calls(folder, calls=count, seed=seed))
    else:
        number = TREES[what](folder, count, seed=seed)
    _console().print(f"{number} synthetic files -> {to}", soft_wrap=True)
    return to


def main() -> None:
    """The entry point: a RayseeError becomes one sentence and exit code 1."""
    try:
        app()
    except RayseeError as error:
        _fail(str(error))
    except ValidationError as error:
        _fail("; ".join(f"{one['loc'][-1]}: {one['msg']}, not {one['input']!r}" for one in error.errors()) + ".")
    except SystemExit as leaving:
        if leaving.code == 130:  # Typer's, for Ctrl-C
            Console(stderr=True).print("Stopped. The same command goes on where it was.")
        raise


def _fail(message: str) -> NoReturn:
    Console(stderr=True).print(f"error: {' '.join(message.split())}", highlight=False, markup=False, soft_wrap=True)
    sys.exit(1)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say it and leave.")
    ] = False,
) -> None:
    pass


def _console() -> Console:
    return Console(highlight=False)


@contextlib.contextmanager
def _progress(unit: str) -> Iterator[OnProgress]:
    """A bar of so many `unit` on the standard error stream, where that is a screen."""
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit + ","),
        TimeElapsedColumn(),
        TextColumn("{task.fields[remark]}"),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(unit, total=None, remark="")
        yield lambda done, total, remark: progress.update(task, completed=done, total=total, remark=remark)


def _say(stage: Stage, more: str) -> str:
    """Print what a stage did, and return where it lies."""
    receipt = stage.receipt
    how = "found finished" if stage.found else f"{receipt.wall_s:.1f} s"
    synthetic = " (synthetic)" if receipt.details.get("synthetic") else ""
    rejected = f", rejected {receipt.counts['rejected']} ({_counts(receipt.rejects)})" if receipt.rejects else ""
    console = _console()
    done = f"{receipt.counts['out']} of {receipt.counts['in']}"
    console.print(f"{receipt.stage}{synthetic}: {done}{rejected}, {how}", soft_wrap=True)
    console.print(f"  {more}", markup=False, soft_wrap=True)
    console.print(f"  {stage.place}", markup=False, soft_wrap=True)
    return stage.place


def _pairs(options: list[str]) -> dict[str, str]:
    """NAME=VALUE options as a dict."""
    if wrong := [option for option in options if "=" not in option]:
        raise ConfigurationError(f"--option {wrong[0]!r} has no value: give NAME=VALUE, see `raysee corpora`.")
    return dict(option.split("=", 1) for option in options)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _figures(receipt: Receipt) -> list[str]:
    figures, protocol = receipt.details["metrics"], receipt.config["protocol"]
    leaks = f" (leaks {protocol['leaks']})" if protocol["leaks"] else ""
    return [
        f"protocol {protocol['name']}{leaks}: UAR {figures['uar_mean_of_folds']:.1%} (mean of folds), "
        f"{figures['uar_pooled']:.1%} (pooled)",
        f"accuracy {figures['accuracy']:.1%}",
        f"chance {figures['chance']:.1%}",
        f"{figures['num_speakers']} speakers",
    ]
