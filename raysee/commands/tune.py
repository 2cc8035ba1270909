"""Searching for a configuration."""

from typing import Annotated

import typer

from raysee.commands.options import Lake, Overwrite, names, settings
from raysee.config import RunConfig, Size
from raysee.console import progress, say
from raysee.errors import ConfigurationError, RayseeError
from raysee.receipts import Stage


def tune(
    to: Lake,
    corpus: Annotated[
        str, typer.Option(help="A corpus by name, or several, comma-separated: their clips together.")
    ] = "",
    corpora: Annotated[
        str, typer.Option(help="Corpora, each by itself, comma-separated, or all: those of the lake.")
    ] = "",
    model: Annotated[str, typer.Option(help="A network by name, e.g. aldeneh.")] = "aldeneh",
    trials: Annotated[int, typer.Option(min=1, help="In each search: one an outer fold, and one over everybody.")] = 50,
    hours: Annotated[float, typer.Option(min=0, help="For all searches of a corpus together; 0: no limit.")] = 0,
    outer: Annotated[int, typer.Option(min=2, help="Folds whose speakers no search sees.")] = 3,
    features: Annotated[
        str, typer.Option(help="Front-ends to choose from, comma-separated; by default those of the model's space.")
    ] = "",
    labels: Annotated[str, typer.Option(help="Only these of the corpus's labels, comma-separated.")] = "",
    size: Annotated[Size, typer.Option(help="The network as published, or one that fits in seconds.")] = "published",
    seed: Annotated[
        int, typer.Option(help="Of trainings and proposals; these also follow the order in which trials end.")
    ] = 0,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting of the training that is fixed, NAME=VALUE, e.g. epochs=20."),
    ] = None,
    initial: Annotated[str, typer.Option(help="A safetensors file with weights to start from.")] = "",
    gpus: Annotated[float, typer.Option(min=0, max=1, help="Of a GPU, for each trial; 0: a CPU core.")] = 0,
    overwrite: Overwrite = False,
) -> str:
    """Search for a better configuration on training speakers, and say what it is worth on others."""
    from optuna.distributions import CategoricalDistribution

    from raysee.distributed.tune import corpora_of, tune_each
    from raysee.models import published
    from raysee.models.spaces import space_of

    if bool(corpus) == bool(corpora):
        raise ConfigurationError("Give --corpus for one search of all that it names, or --corpora for one of each.")
    space = space_of(model, size)
    takes, training = published(model)
    fixed = settings(setting)
    for name in fixed:
        space.pop(f"training.{name}", None)
    chosen = names(features)
    if chosen:
        space.pop("features", None)
    if len(chosen) > 1:
        space["features"] = CategoricalDistribution(chosen)
    if corpus:
        together = [tuple(names(corpus))]
    else:
        together = [(name,) for name in (corpora_of(to) if corpora == "all" else names(corpora))]
    configs = [
        RunConfig(
            corpora=its,
            features=chosen[0] if chosen else takes[0],
            model=model,
            size=size,
            labels=tuple(names(labels)),
            initial=initial,
            training=training.model_validate({**training.model_dump(), "seed": seed, **fixed}),
        )
        for its in together
    ]
    with progress("trials") as on_progress:
        found = tune_each(
            to,
            configs,
            space,
            trials=trials,
            hours=hours,
            outer=outer,
            gpus=gpus,
            overwrite=overwrite,
            on_progress=on_progress,
        )
    failed = {name: stage for name, stage in found.items() if isinstance(stage, RayseeError)}
    if len(failed) == len(found) == 1:
        raise next(iter(failed.values()))
    for name, stage in found.items():
        say(f"{name}: {stage if isinstance(stage, RayseeError) else _figures(stage)}")
    if failed:
        raise RayseeError(f"{len(failed)} of {len(found)} corpora could not be tuned: {', '.join(failed)}; see above.")
    return next(stage.place for stage in found.values() if isinstance(stage, Stage))


def _figures(stage: Stage) -> str:
    """What the outer folds say, in a few lines."""
    receipt, found = stage.receipt, stage.receipt.details["comparison"]
    interval = found["interval"]
    width = f", 95 % {100 * interval[0]:+.1f} to {100 * interval[1]:+.1f}" if interval else ""
    how = "found finished" if stage.found else f"{receipt.wall_s:.1f} s"
    synthetic = " (synthetic)" if receipt.details["synthetic"] else ""
    return (
        f"UAR pooled {found['second_uar']:.1%} tuned, {found['first_uar']:.1%} untuned{synthetic}: "
        f"{100 * found['difference']:+.1f} points{width}; p = {found['p_value']:.3f}; "
        f"{found['num_speakers']} unheard speakers; {how}\n"
        f"  {stage.place}/config.json\n  {stage.place}/report.html"
    )
