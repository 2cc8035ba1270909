"""Corpora, their features, and what is in them."""

from typing import Annotated, Literal

import typer

from raysee import storage
from raysee.commands.options import Lake, Overwrite, names, pairs
from raysee.config import Channel
from raysee.console import counts, progress, say, say_stage
from raysee.errors import unknown


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


def manifest(
    corpus: Annotated[str, typer.Argument(help="A corpus by name, e.g. emodb, or a name for one of your own.")],
    source: Annotated[
        str, typer.Argument(help="Its root folder; of your own a table (CSV, Parquet), an audformat or Lhotse folder.")
    ],
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
        options=pairs(option or [], "--option"),
        allow_count_mismatch=allow_count_mismatch,
        overwrite=overwrite,
    )
    labels = stage.receipt.details["labels"]
    return say_stage(stage, f"{stage.receipt.details['num_speakers']} speakers; " + counts(labels))


def export(
    corpus: Annotated[str, typer.Argument(help="A corpus of the lake.")],
    kind: Annotated[Literal["audformat", "lhotse"], typer.Argument(help="Whose format.")],
    folder: Annotated[str, typer.Argument(help="A new folder of this machine.")],
    to: Lake,
) -> str:
    """Write a corpus's list of clips for audformat or Lhotse; `manifest` reads both."""
    from raysee.corpora import exchange
    from raysee.corpora.manifest import utterances_of

    clips = utterances_of(to, corpus)
    rejects = exchange.EXPORTS[kind](clips, folder)
    say(f"{clips.num_rows - rejects.num_rows} of {clips.num_rows} clips -> {folder}")
    for row in rejects.to_pylist():
        say(f"  {row['id']}: {row['message']}")
    return folder


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


def audit(
    what: Annotated[str, typer.Argument(help="A corpus of the lake, or the place of a training run.")],
    to: Annotated[str, typer.Option("--to", envvar="RAYSEE_LAKE", help="The lake, for a corpus.")] = "",
    out: Annotated[str, typer.Option(help="The page; by default audit.html beside the manifest or in the run.")] = "",
) -> str:
    """Draw one self-contained HTML page of what a split leaks, and of clips of the same sound."""
    from raysee.report.audit import audit as draw

    page = draw(what, to, out)
    say(page)
    return page


def extract(
    corpus: Annotated[str, typer.Option("--corpus", help="A corpus by name, e.g. emodb or ravdess.")],
    features: Annotated[str, typer.Option(help="Front-ends by name, comma-separated: each clip is decoded once.")],
    to: Lake,
    channel: Annotated[
        Channel, typer.Option(help="telephone: its band, 8 kHz, and one of its codecs by chance for each clip.")
    ] = "clean",
    overwrite: Overwrite = False,
) -> str:
    """Make features of every clip of a corpus, of new and changed clips only where there are some."""
    from raysee.distributed.extract import extract as run

    with progress("clips") as on_progress:
        stages = run(to, corpus, names(features), channel=channel, overwrite=overwrite, on_progress=on_progress)
    return [say_stage(stage, f"{stage.receipt.details['audio_s'] / 3600:.2f} hours of audio") for stage in stages][-1]


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
