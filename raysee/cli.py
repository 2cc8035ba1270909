"""The command line."""

import shlex
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console

from raysee import __version__, storage
from raysee.commands import cross, data, runs, scores, submit, tune
from raysee.errors import ConfigurationError, RayseeError

app = typer.Typer(
    help="Speech emotion recognition at scale, on Ray. A lake holds the stages: manifest, extract, train; "
    "score and report use what came out. Places are s3://bucket/..., file:///... or paths. "
    "@PLACE stands for the options in that file.",
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
    """The entry point: a RayseeError becomes one sentence and exit code 1.

    A word `@PLACE` stands for the words of that file, which may be on S3: the options of a job in one place.
    """
    try:
        app(args=list(_words(sys.argv[1:])))
    except RayseeError as error:
        _fail(str(error))
    except ValidationError as error:
        _fail("; ".join(f"{one['loc'][-1]}: {one['msg']}, not {one['input']!r}" for one in error.errors()) + ".")
    except SystemExit as leaving:
        if leaving.code == 130:  # Typer's, for Ctrl-C
            Console(stderr=True).print("Stopped. The same command goes on where it was.")
        raise


def _words(given: Sequence[str]) -> Iterator[str]:
    """The words of the command line, those of files in their place; after `--` a word is what it is."""
    remaining = iter(given)
    for word in remaining:
        if word.startswith("@"):
            text = storage.read_bytes(storage.normalise(word[1:])).decode(errors="replace")
            try:
                yield from shlex.split(text, comments=True)
            except ValueError as error:
                raise ConfigurationError(
                    f"{word[1:]} holds no words that can be read ({error}): write options as in a shell."
                ) from error
        else:
            yield word
        if word == "--":
            yield from remaining


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
