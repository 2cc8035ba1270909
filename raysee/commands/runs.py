"""Training runs."""

from typing import Annotated

import typer
from pydantic import ValidationError

from raysee.commands.options import Lake, Overwrite, adjusted, names, span
from raysee.config import Aggregation, Channel, Precision, RunConfig, Size
from raysee.console import figures, progress, say, say_stage
from raysee.errors import ConfigurationError

#: What may be given beside --config: where and how, nothing of what its file holds.
_BESIDE_CONFIG = {"config", "to", "workers", "checkpoint_epochs", "gpus", "overwrite"}


def train(
    context: typer.Context,
    to: Lake,
    corpus: Annotated[
        str, typer.Option(help="A corpus by name, or several, comma-separated: their clips together.")
    ] = "",
    config: Annotated[
        str, typer.Option(help="A file that says all of this, as `raysee tune` writes it; then no --corpus.")
    ] = "",
    model: Annotated[str, typer.Option(help="A network or a classifier by name, e.g. aldeneh.")] = "aldeneh",
    features: Annotated[str, typer.Option(help="A front-end by name; by default the model's published one.")] = "",
    protocol: Annotated[
        str,
        typer.Option(
            help="strict; paper or code, as Keesing et al. 2020; others are named after their document, and most leak: "
            "README has them all."
        ),
    ] = "strict",
    labels: Annotated[str, typer.Option(help="Only these of the corpus's labels, comma-separated.")] = "",
    size: Annotated[Size, typer.Option(help="The network as published, or one that fits in seconds.")] = "published",
    epochs: Annotated[int, typer.Option(min=0, help="Passes over the training part; 0: as published.")] = 0,
    repeats: Annotated[int, typer.Option(help="Cross-validations with different seeds.")] = 1,
    seed: Annotated[int, typer.Option(help="All random choices follow from it.")] = 0,
    precision: Annotated[Precision, typer.Option(help="bfloat16: mixed precision.")] = "float32",
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting of the training, NAME=VALUE, e.g. batch_size=64 or patience=5."),
    ] = None,
    aggregation: Annotated[
        Aggregation,
        typer.Option(help="From the windows of a clip to the clip, for networks that see windows; lstm: learned."),
    ] = "mean",
    hop_ms: Annotated[int, typer.Option(help="Between windows, for networks that slide.")] = 10,
    augmented: Annotated[str, typer.Option(help="Features of altered copies to train on too.")] = "",
    initial: Annotated[str, typer.Option(help="A safetensors file with weights to start from.")] = "",
    channel: Annotated[
        Channel, typer.Option(help="telephone: features through it, for a model of calls at 8 kHz.")
    ] = "clean",
    deliver: Annotated[bool, typer.Option(help="Fit a model on everything, to score with.")] = True,
    workers: Annotated[
        str,
        typer.Option(help="Fit one model over N workers, or AT_LEAST:AT_MOST, instead of cross-validating."),
    ] = "",
    checkpoint_epochs: Annotated[int, typer.Option(min=1, help="Between two checkpoints, with --workers.")] = 1,
    gpus: Annotated[
        float, typer.Option(min=0, max=1, help="Of a GPU, for each training, or 1 with --workers; 0: a CPU core.")
    ] = 0,
    overwrite: Overwrite = False,
) -> str:
    """Cross-validate a model without leaking a speaker, and fit the one that is delivered."""
    from raysee.distributed.large import train_large
    from raysee.distributed.train import train as run
    from raysee.models import published

    if not config and not corpus:
        raise ConfigurationError("Nothing says what to train on: give --corpus, or --config with a file that names it.")
    if config:
        wanted = _from_file(config, context)
    else:
        takes, training = published(model)
        wanted = RunConfig(
            corpora=tuple(names(corpus)),
            features=features or takes[0],
            model=model,
            size=size,
            protocol=protocol,
            labels=tuple(names(labels)),
            repeats=repeats,
            aggregation=aggregation,
            hop_ms=hop_ms,
            augmented=augmented,
            initial=initial,
            deliver=deliver,
            channel=channel,
            training=adjusted(training, seed=seed, precision=precision, epochs=epochs, given=setting),
        )
    if workers:
        if gpus not in (0, 1):
            raise ConfigurationError(f"A worker takes a whole GPU, not {gpus:g}: give --gpus 1, or 0 for CPU cores.")
        with progress("epochs") as on_progress:
            stage = train_large(
                to,
                wanted,
                workers=span(workers, "--workers"),
                gpus=bool(gpus),
                checkpoint_epochs=checkpoint_epochs,
                overwrite=overwrite,
                on_progress=on_progress,
            )
    else:
        with progress("trainings") as on_progress:
            stage = run(to, wanted, gpus=gpus, overwrite=overwrite, on_progress=on_progress)
    return say_stage(stage, figures(stage.receipt))


def _from_file(file: str, context: typer.Context) -> RunConfig:
    """The configuration in a file. ConfigurationError where it is none, or where an option would contradict it."""
    from raysee import storage

    for name in sorted(context.params.keys() - _BESIDE_CONFIG):
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = "--set" if name == "setting" else f"--{name.replace('_', '-')}"
            raise ConfigurationError(
                f"{option} was given, and {file} says it already: change it there, or leave --config out."
            )
    try:
        return RunConfig.model_validate_json(storage.read_bytes(storage.normalise(file)))
    except ValidationError as error:
        found = error.errors()[0]
        where = ".".join(str(part) for part in found["loc"])
        raise ConfigurationError(
            f"{file} is not the configuration of a run ({f'{where}: ' if where else ''}{found['msg']}): "
            "give config.json of `raysee tune`."
        ) from error


def reproduce(
    experiment: Annotated[str, typer.Argument(help="An experiment by name, e.g. keesing2020.")],
    to: Lake,
    corpora: Annotated[str, typer.Option(help="Only these corpora of the lake, comma-separated.")] = "",
    columns: Annotated[str, typer.Option(help="Only these columns of the experiment, comma-separated.")] = "",
    protocol: Annotated[str, typer.Option(help="Another protocol than the document's, or one of its several.")] = "",
    size: Annotated[Size, typer.Option(help="The networks as published, or such that fit in seconds.")] = "published",
    epochs: Annotated[int, typer.Option(min=0, help="Passes over the training part; 0: as published.")] = 0,
    repeats: Annotated[int, typer.Option(min=0, help="Cross-validations with different seeds; 0: as published.")] = 0,
    seed: Annotated[int, typer.Option(help="All random choices follow from it.")] = 0,
    precision: Annotated[Precision, typer.Option(help="bfloat16: mixed precision.")] = "float32",
    hop_ms: Annotated[int, typer.Option(min=0, help="Between windows that slide; 0: as published.")] = 0,
    initial: Annotated[str, typer.Option(help="A safetensors file of AlexNet's ImageNet weights.")] = "",
    folds: Annotated[int, typer.Option(min=0, help="Only the first so many of each cross-validation; 0: all.")] = 0,
    gpus: Annotated[float, typer.Option(min=0, max=1, help="Of a GPU, for each training; 0: a CPU core.")] = 0,
    plan: Annotated[bool, typer.Option("--plan", help="Say how long the trainings will take, and start none.")] = False,
    price: Annotated[float, typer.Option(min=0, help="Of an hour of a GPU or a core, to say what it costs.")] = 0,
    table_only: Annotated[bool, typer.Option("--table-only", help="Train nothing: show what there is so far.")] = False,
) -> str:
    """Run an experiment of the literature and print its figures beside the published ones."""
    from raysee import storage
    from raysee.distributed.plan import as_text as plan_as_text
    from raysee.distributed.reproduce import left_out, place_of_table, plan_experiment
    from raysee.distributed.reproduce import reproduce as run
    from raysee.experiments import Choice
    from raysee.experiments import experiment as named
    from raysee.experiments.table import as_text
    from raysee.report.experiment import write_experiment

    choice = Choice(
        columns=tuple(names(columns)),
        protocol=protocol,
        size=size,
        epochs=epochs,
        repeats=repeats,
        seed=seed,
        precision=precision,
        hop_ms=hop_ms,
        initial=initial,
    )
    missing = left_out(to, experiment, names(corpora))

    def with_missing(text: str) -> str:
        return "\n".join(filter(None, [text, missing]))

    if plan:
        planned = plan_experiment(to, experiment, choice, corpora=names(corpora), first_folds=folds or None, gpus=gpus)
        text = with_missing(plan_as_text(planned, gpus, price))
        say(text)
        return text
    with progress("trainings") as on_progress:
        lines = run(
            to,
            experiment,
            choice,
            corpora=names(corpora),
            train_missing=not table_only,
            first_folds=folds or None,
            gpus=gpus,
            on_progress=on_progress,
            on_planned=lambda planned: say(with_missing(plan_as_text(planned, gpus, price))),
        )
    say(f"{named(experiment).title} ({named(experiment).source})")
    say(with_missing(as_text(named(experiment), lines)))
    place = place_of_table(to, experiment)
    page = write_experiment(to, experiment, lines, storage.join(place, "report.html"), left_out=missing)
    say(f"  {page}")
    return page


def compare(
    first: Annotated[str, typer.Argument(help="A training run.")],
    second: Annotated[str, typer.Argument(help="Another one that tested the same clips.")],
) -> float:
    """Say whether a run is better than another on the same clips, with an interval and a test over speakers."""
    from raysee import schema, storage
    from raysee.evaluation.compare import compare as paired

    tables = [
        storage.read_table(storage.join(storage.normalise(run), "predictions.parquet"), schema.PREDICTIONS)
        for run in (first, second)
    ]
    found = paired(*tables)
    interval = f", 95 % {100 * found.interval[0]:+.1f} to {100 * found.interval[1]:+.1f}" if found.interval else ""
    say(f"UAR pooled {found.first_uar:.1%} and {found.second_uar:.1%}: {100 * found.difference:+.1f} points{interval}")
    say(f"p = {found.p_value:.3f} by flipping speakers; {found.num_speakers} speakers, {found.num_clips} clips")
    return found.difference
