"""Training on some corpora and testing on others."""

import enum
from typing import Annotated

import typer

from raysee import emotions, schema, storage
from raysee.commands.options import Lake, adjusted, names
from raysee.config import Precision, RunConfig, Size
from raysee.console import counts, progress, say, say_stage


class Standardise(enum.StrEnum):
    """Whose own statistics features are standardised by, where it is not the training part's."""

    NONE = "none"
    CORPUS = "corpus"
    SPEAKER = "speaker"


_PROTOCOLS = {
    Standardise.NONE: "cross-corpus",
    Standardise.CORPUS: "cross-corpus-by-corpus",
    Standardise.SPEAKER: "cross-corpus-by-speaker",
}


def cross(
    to: Lake,
    train: Annotated[str, typer.Option(help="Corpora to train on together, comma-separated.")] = "",
    test: Annotated[str, typer.Option(help="Corpora to test that model on, each by itself.")] = "",
    leave_one_corpus_out: Annotated[str, typer.Option(help="Corpora: each is tested by a model of the others.")] = "",
    matrix: Annotated[str, typer.Option(help="Corpora: each is tested by a model of each other one.")] = "",
    scheme: Annotated[str, typer.Option(help=f"Classes: {', '.join(emotions.SCHEMES)}.")] = "big6+neutral",
    labels: Annotated[str, typer.Option(help="Only these classes of the scheme, comma-separated.")] = "",
    standardise: Annotated[
        Standardise,
        typer.Option(
            help="Each corpus or speaker by itself, tested ones too (unlabelled). none: all by the training part's "
            "statistics, and nothing of the tested corpus is seen."
        ),
    ] = Standardise.NONE,
    model: Annotated[str, typer.Option(help="A network or a classifier by name, e.g. aldeneh.")] = "aldeneh",
    features: Annotated[str, typer.Option(help="A front-end by name; by default the model's published one.")] = "",
    size: Annotated[Size, typer.Option(help="The network as published, or one that fits in seconds.")] = "published",
    epochs: Annotated[int, typer.Option(min=0, help="Passes over the training part; 0: as published.")] = 0,
    repeats: Annotated[int, typer.Option(min=1, help="Trainings with different seeds.")] = 1,
    seed: Annotated[int, typer.Option(help="All random choices follow from it.")] = 0,
    precision: Annotated[Precision, typer.Option(help="bfloat16: mixed precision.")] = "float32",
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="A setting of the training, NAME=VALUE, e.g. patience=5. balance=0: every clip weighs the same, and "
            "not every class of every corpus.",
        ),
    ] = None,
    gpus: Annotated[float, typer.Option(min=0, max=1, help="Of a GPU, for each training; 0: a CPU core.")] = 0,
) -> str:
    """Train on some corpora, test on others, and say what that costs beside training within the tested corpus.

    Trainings that are finished are not made again: the same command goes on where it was stopped.
    """
    from raysee.distributed import cross as crossing
    from raysee.models import published
    from raysee.report.cross import as_text, count

    plan = crossing.plan(names(train), names(test), names(leave_one_corpus_out), names(matrix))
    takes, training = published(model)
    config = RunConfig(
        corpora=plan.corpora,
        features=features or takes[0],
        model=model,
        size=size,
        protocol=_PROTOCOLS[standardise],
        scheme=scheme,
        labels=tuple(names(labels)),
        repeats=repeats,
        deliver=False,
        training=adjusted(training, seed=seed, precision=precision, epochs=epochs, given=setting),
    )
    for corpus, counted in count(to, plan.corpora, config).items():
        say(f"{corpus}: {counts(counted.classes)}; dropped {counts(counted.dropped) or 'nothing'}")
    with progress("trainings") as on_progress:
        stage = crossing.cross(to, plan, config, gpus=gpus, on_progress=on_progress)
    cells = storage.read_table(storage.join(stage.place, crossing.CELLS), schema.CROSSINGS)
    for line in as_text(cells):
        say(line)
    gap = stage.receipt.details["gap"]
    more = "no gap is known" if gap is None else f"out-of-corpus gap {100 * gap:+.1f} points of UAR, pooled"
    place = say_stage(stage, more)
    say(f"  {storage.join(place, crossing.PAGE)}")
    return place
