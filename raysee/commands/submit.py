"""Commands as jobs of a Ray cluster."""

from collections.abc import Callable
from typing import Annotated, Literal

import typer

from raysee import storage
from raysee.commands import cross, data, runs, scores, tune
from raysee.console import say
from raysee.errors import RayseeError

#: What runs for long enough to be a job, or must run where the lake and the archive can be reached.
Command = Literal["manifest", "extract", "train", "cross", "reproduce", "tune", "score"]

_COMMANDS: dict[Command, Callable[..., object]] = {
    "manifest": data.manifest,
    "extract": data.extract,
    "train": runs.train,
    "cross": cross.cross,
    "reproduce": runs.reproduce,
    "tune": tune.tune,
    "score": scores.score,
}


def submit(
    context: typer.Context,
    command: Annotated[Command, typer.Argument(help="The command; its own options follow.")],
    address: Annotated[
        str, typer.Option(envvar="RAY_API_SERVER_ADDRESS", help="Of the cluster's job server, http://host:8265.")
    ],
    working_dir: Annotated[
        str, typer.Option(help="A folder with raysee in it, to send there; by default it is installed there.")
    ] = "",
    retries: Annotated[int, typer.Option(min=0, help="How often a job that was killed is submitted again.")] = 2,
) -> str:
    """Run a command as a job of a Ray cluster, follow it, and end as it ends; what runs already is followed.

    A night has succeeded when its receipt is there.
    """
    from raysee.distributed.submit import Job, Server
    from raysee.distributed.submit import submit as run

    words, options = _parsed(command, context.args)
    night = str(options.get("night") or "")
    job = Job(command, words, night)
    say(f"job {job.submission_id}")
    say(f"  log: {address}/#/jobs/{job.submission_id}")
    code = run(
        job, Server(address, working_dir), retries=retries, on_log=lambda lines: print(lines, end="", flush=True)
    )
    if code:
        raise typer.Exit(code)
    to = storage.normalise(str(options["to"]))
    if command == "score":
        from raysee.scoring import batches

        finished = [night_of for night_of in batches.nights(to, 1) if not night or night_of.details["date"] == night]
        if not finished:
            raise RayseeError(
                f"The job {job.submission_id} has succeeded and {to} holds no receipt of its night: see its log."
            )
    say(f"  results: {to}")
    return to


def _parsed(command: Command, words: list[str]) -> tuple[list[str], dict[str, object]]:
    """The words to send and the options that they are, as the command itself will take them.

    What is wrong is said here, and not by the cluster; a place that a variable of this machine says is sent as a word.
    """
    alone = typer.Typer(add_completion=False)
    alone.command()(_COMMANDS[command])
    parser = typer.main.get_command(alone)
    with parser.make_context(f"raysee submit {command}", list(words)) as parsed:
        source = parsed.get_parameter_source("to")
        if source and source.name == "ENVIRONMENT":
            words = ["--to", parsed.params["to"], *words]
        return words, dict(parsed.params)
