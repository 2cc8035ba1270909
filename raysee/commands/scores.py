"""Archives of recordings, and pages of runs and nights."""

from typing import Annotated

import typer

from raysee import storage
from raysee.config import Precision, ScoreConfig
from raysee.console import counts, progress, say
from raysee.receipts import Stage

#: Exit codes of a night that was scored and that somebody has to look at.
MANY_REJECTS, DRIFT = 3, 4


def score(
    source: Annotated[
        str, typer.Argument(help="A prefix, a pattern (quote it), or a CSV or Parquet list with a column uri.")
    ],
    model: Annotated[str, typer.Option(help="The training run whose model is used.")],
    to: Annotated[str, typer.Option(help="Where the scores of all nights are.")],
    channels: Annotated[
        list[str] | None,
        typer.Option(
            help="Who speaks on which channel, e.g. agent,customer; once for each number of channels. "
            "Agents are not scored, nor who is unknown."
        ),
    ] = None,
    night: Annotated[str, typer.Option(help="Its date; by default the last one in SOURCE, else today's.")] = "",
    rescore: Annotated[
        bool, typer.Option("--rescore", help="Also what another model or configuration has scored.")
    ] = False,
    replay: Annotated[
        bool, typer.Option("--replay", help="Also what was rejected for good, as after an upgrade that reads more.")
    ] = False,
    score_agents: Annotated[
        bool, typer.Option("--score-agents", help="Also agents and who is unknown; the EU prohibits it at work.")
    ] = False,
    reason: Annotated[str, typer.Option(help="Why agents are scored, e.g. a medical or safety reason.")] = "",
    abstain: Annotated[
        float, typer.Option(help='The label of what is less probable than this is "unsure".')
    ] = ScoreConfig().abstain,
    detector: Annotated[
        str,
        typer.Option(
            help="Of speech, by name; by default the best that is installed. "
            "none: recordings are utterances already, as a corpus's clips, and each is heard whole, if it has 60 s "
            "at most."
        ),
    ] = "",
    max_s: Annotated[
        float, typer.Option(help="Of a segment; a longer one is cut at its pauses.")
    ] = ScoreConfig().max_s,
    room_s: Annotated[
        float,
        typer.Option(help="Of the pauses around a segment, heard with it; less where a corpus is cut tightly."),
    ] = ScoreConfig().room_s,
    precision: Annotated[
        Precision, typer.Option(help="bfloat16: mixed precision, faster on GPUs and on CPUs that have it.")
    ] = "float32",
    json_files: Annotated[
        bool, typer.Option("--json", help="Also a JSON file a call, in the shape of Amazon's Contact Lens.")
    ] = False,
    model_actors: Annotated[
        int, typer.Option(min=0, help="Models in processes of their own; by default each worker has one.")
    ] = 0,
    gpus: Annotated[float, typer.Option(min=0, max=1, help="Of a GPU, for each model; 0: none.")] = 0,
    max_rejects: Annotated[
        float, typer.Option(min=0, max=1, help=f"A higher share of rejects ends with exit code {MANY_REJECTS}.")
    ] = 0.05,
    max_drift: Annotated[
        float, typer.Option(min=0, max=1, help=f"A greater distance from earlier nights ends with exit code {DRIFT}.")
    ] = 0.25,
) -> str:
    """Score every recording of an archive that was not scored yet, by channel and segment of speech."""
    from raysee.distributed.pool import PoolConfig
    from raysee.distributed.score import score as run
    from raysee.scoring.roles import named
    from raysee.scoring.watch import Limits

    config = ScoreConfig(
        detector=detector,
        max_s=max_s,
        room_s=room_s,
        channels=tuple(tuple(named(one.split(","))) for one in channels or ()),
        score_agents=score_agents,
        abstain=abstain,
        precision=precision,
    )
    with progress("recordings") as on_progress:
        stages = run(
            source,
            model,
            to,
            config,
            date=night,
            rescore=rescore,
            replay=replay,
            reason=reason,
            json_files=json_files,
            models=PoolConfig(model_actors or int(gpus > 0), gpus),
            limits=Limits(max_rejects, max_drift),
            on_progress=on_progress,
        )
    for stage in stages:
        _say_night(stage)
    warned = {what for stage in stages for what in stage.receipt.details["warnings"]}
    if warned:
        raise typer.Exit(MANY_REJECTS if "rejects" in warned else DRIFT)
    return stages[-1].place


def _say_night(stage: Stage) -> None:
    """What a start would be asked about, in a few lines."""
    receipt = stage.receipt
    details, its = receipt.details, receipt.counts
    synthetic = " (synthetic)" if details["synthetic"] else ""
    how = "found finished" if stage.found else f"{receipt.wall_s:.1f} s"
    rejected = f"{its['rejected']} rejected ({counts(receipt.rejects)})" if receipt.rejects else "none rejected"
    say(f"score{synthetic}: night of {details['date']}, {how}")
    say(f"  {its['in']} calls = {its['out']} scored + {rejected} + {its['already']} already done")
    say(f"  {details['audio_s'] / 3600:.2f} hours of audio; channels: {counts(details.get('channels', {})) or 'none'}")
    if details.get("unscored"):
        say(f"  listened to, emotions not looked for: {counts(details['unscored'])}")
    if details.get("cut_short"):
        say(f"  cut short, and closed for this start: {details['cut_short']['left']} of its calls are left to it")
    for warning in details["warnings"].values():
        say(f"  warning: {warning}")
    say(f"  {stage.place}")


def forget(
    call_id: Annotated[str, typer.Argument(help="As the table of calls has it.")],
    to: Annotated[str, typer.Option(help="Where the scores are.")],
    uri: Annotated[str, typer.Option(help="Which recording is meant, where several have that name.")] = "",
    everywhere: Annotated[bool, typer.Option("--all", help="All recordings that have that name.")] = False,
) -> str:
    """Erase a call from the scores of all nights and from the ledger; its recording is not touched."""
    from raysee.scoring.forget import forget as run

    say(f"forgotten: {counts(run(to, call_id, uri, everywhere=everywhere))}")
    return storage.normalise(to)


def report(
    runs: Annotated[list[str], typer.Argument(help="Training runs, and places with scores.")],
    out: Annotated[str, typer.Option(help="The page; by default report.html in the first place.")] = "",
    price_per_core_hour: Annotated[
        float | None, typer.Option(min=0, help="Says what a night has cost; without GPUs and models in actors.")
    ] = None,
) -> str:
    """Draw one self-contained HTML page of training runs, and of the last nights of places with scores."""
    from raysee.report.page import write_report

    page = write_report(
        [storage.normalise(run) for run in runs], storage.normalise(out) if out else None, price_per_core_hour
    )
    say(page)
    return page
