"""Archives of recordings, and pages of runs."""

from typing import Annotated

import typer

from raysee import storage
from raysee.commands.options import Overwrite
from raysee.config import ScoreConfig
from raysee.console import progress, say, say_stage


def score(
    source: Annotated[str, typer.Argument(help="The prefix below which the recordings lie.")],
    model: Annotated[str, typer.Option(help="The training run whose model is used.")],
    to: Annotated[str, typer.Option(help="Where the scores are written.")],
    detector: Annotated[str, typer.Option(help="Of speech, by name; by default the best that is installed.")] = "",
    max_s: Annotated[
        float, typer.Option(help="Of a segment; a longer one is cut at its pauses.")
    ] = ScoreConfig().max_s,
    overwrite: Overwrite = False,
) -> str:
    """Score every recording of an archive, by channel and segment of speech."""
    from raysee.distributed.score import score as run

    with progress("recordings") as on_progress:
        stage = run(
            source,
            model,
            to,
            ScoreConfig(detector=detector, max_s=max_s),
            overwrite=overwrite,
            on_progress=on_progress,
        )
    return say_stage(stage, f"{stage.receipt.details['audio_s'] / 3600:.2f} hours of audio")


def report(
    runs: Annotated[list[str], typer.Argument(help="Training and scoring runs.")],
    out: Annotated[str, typer.Option(help="The page; by default report.html in the first run.")] = "",
) -> str:
    """Draw one self-contained HTML page of runs."""
    from raysee.report.page import write_report

    page = write_report([storage.normalise(run) for run in runs], storage.normalise(out) if out else None)
    say(page)
    return page
