"""The command line."""

import sys
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console

from raysee import __version__
from raysee.commands import cross, data, runs, scores, submit, tune
from raysee.errors import RayseeError

app = typer.Typer(
    help="Speech emotion recognition at scale, on Ray. A lake holds the stages: manifest, extract, train; "
    "score and report use what came out. Places are s3://bucket/..., file:///... or paths.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

for command in (
    *(data.corpora, data.manifest, data.look, data.audit, data.extract, data.export, data.synthesise),
    *(runs.train, cross.cross, tune.tune, runs.reproduce, runs.compare, scores.score, scores.forget, scores.report),
):
    app.command()(command)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(submit.submit)


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
