"""The command line: each command parses its options and calls one function."""

import enum
import sys
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console

from raysee import __version__, storage
from raysee.config import RunConfig, ScoreConfig, TrainingConfig
from raysee.console import counts, figures, progress, say, say_stage
from raysee.errors import ConfigurationError, RayseeError, unknown

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


class Exchange(enum.StrEnum):
    """Formats of others."""

    AUDFORMAT = "audformat"
    LHOTSE = "lhotse"


class Precision(enum.StrEnum):
    """Arithmetic of training."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


@app.command()
def corpora() -> None:
    """Say which corpora there are, under which terms, and where to get them."""
    from raysee.corpora import CORPORA
    from raysee.evaluation.folds import num_folds

    say("name          language  speakers   clips  classes  folds  commercial use")
    for corpus in CORPORA.values():
        commercial = {True: "yes", False: "no", None: "not said"}[corpus.commercial]
        say(
            f"{corpus.name:14}{corpus.language:8}{corpus.num_speakers:10}{sum(corpus.counts.values()):8,}"
            f"{len(corpus.labels):9}{num_folds(corpus.num_groups):7}  {commercial}"
        )
        options = [f"--option {name}={'|'.join(values)}" for name, values in corpus.options.items()]
        say("; ".join([f"  {corpus.title}: {corpus.licence}", corpus.source, *options]))


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
    return say_stage(stage, f"{stage.receipt.details['num_speakers']} speakers; " + counts(labels))


@app.command()
def export(
    corpus: Annotated[str, typer.Argument(help="A corpus of the lake.")],
    kind: Annotated[Exchange, typer.Argument(help="Whose format.")],
    folder: Annotated[str, typer.Argument(help="A new folder of this machine.")],
    to: Lake,
) -> str:
    """Write a corpus's list of clips for audformat or Lhotse; `manifest` reads both."""
    from raysee.corpora import exchange
    from raysee.corpora.manifest import utterances_of

    clips = utterances_of(to, corpus)
    rejects = exchange.EXPORTS[kind.value](clips, folder)
    say(f"{clips.num_rows - rejects.num_rows} of {clips.num_rows} clips -> {folder}")
    for row in rejects.to_pylist():
        say(f"  {row['id']}: {row['message']}")
    return folder


@app.command()
def look(
    corpus: Annotated[str, typer.Argument(help="A corpus by name, e.g. emodb or ravdess.")],
    to: Lake,
    out: Annotated[str, typer.Option(help="The page; by default look.html beside the manifest.")] = "",
) -> str:
    """Draw one self-contained HTML page of what is in a corpus."""
    from raysee.report.look import look as draw

    with progress("clips") as on_progress:
        page = draw(to, corpus, out or None, on_progress=on_progress)
    say(page)
    return page


@app.command()
def extract(
    corpus: CorpusName,
    features: Annotated[str, typer.Option(help="Front-ends by name, comma-separated: each clip is decoded once.")],
    to: Lake,
    overwrite: Overwrite = False,
) -> str:
    """Make features of every clip of a corpus, of new and changed clips only where there are some."""
    from raysee.distributed.extract import extract as run

    with progress("clips") as on_progress:
        stages = run(to, corpus, _names(features), overwrite=overwrite, on_progress=on_progress)
    return [say_stage(stage, f"{stage.receipt.details['audio_s'] / 3600:.2f} hours of audio") for stage in stages][-1]


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
        labels=tuple(_names(labels)),
        repeats=repeats,
        training=TrainingConfig(
            epochs=epochs,
            batch_size=batch_size or network(model).batch_size,
            learning_rate=learning_rate,
            seed=seed,
            precision=precision.value,
        ),
    )
    with progress("trainings") as on_progress:
        stage = run(
            to,
            config,
            overwrite=overwrite,
            on_progress=on_progress,
        )
    return say_stage(stage, figures(stage.receipt))


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

    with progress("recordings") as on_progress:
        stage = run(
            source,
            model,
            to,
            ScoreConfig(window_s=window_s, hop_s=hop_s),
            overwrite=overwrite,
            on_progress=on_progress,
        )
    return say_stage(stage, f"{stage.receipt.details['audio_s'] / 3600:.2f} hours of audio")


@app.command()
def report(
    runs: Annotated[list[str], typer.Argument(help="Training and scoring runs.")],
    out: Annotated[str, typer.Option(help="The page; by default report.html in the first run.")] = "",
) -> str:
    """Draw one self-contained HTML page of runs."""
    from raysee.report.page import write_report

    page = write_report([storage.normalise(run) for run in runs], storage.normalise(out) if out else None)
    say(page)
    return page


@app.command()
def synthesise(
    what: Annotated[str, typer.Argument(help="A corpus by name, or calls.")],
    to: Annotated[str, typer.Argument(help="A folder of this machine.")],
    count: Annotated[int | None, typer.Option(min=1, help="How many speakers, all if not given; or calls.")] = None,
    seed: Annotated[int, typer.Option(help="Another seed, other voices.")] = 0,
) -> str:
    """Make a corpus in its official layout, or an archive of calls, with a synthetic voice."""
    from raysee.synthesis.calls import write_calls
    from raysee.synthesis.trees import TREES

    if what not in {*TREES, "calls"}:
        raise unknown("kind of synthetic audio", what, [*TREES, "calls"])
    folder = storage.local_folder(to)
    if what == "calls":
        number = len(write_calls(folder, calls=count or 10, seed=seed))
    else:
        number = TREES[what](folder, count, seed=seed)
    say(f"{number} synthetic files -> {to}")
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


def _pairs(options: list[str]) -> dict[str, str]:
    """NAME=VALUE options as a dict."""
    if wrong := [option for option in options if "=" not in option]:
        raise ConfigurationError(f"--option {wrong[0]!r} has no value: give NAME=VALUE, see `raysee corpora`.")
    return dict(option.split("=", 1) for option in options)


def _names(text: str) -> list[str]:
    """Comma-separated names."""
    return [name.strip() for name in text.split(",") if name.strip()]
