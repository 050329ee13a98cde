"""`cnn-pipeline predict`: classify image files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cnn_pipeline.base.quantities import percent
from cnn_pipeline.cli.json_output import print_json
from cnn_pipeline.cli.options import home_from, home_option, json_option, model_from
from cnn_pipeline.cli.output import clean_stdout, readable_fault
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of

if TYPE_CHECKING:
    from cnn_pipeline.champion.predict import Prediction

EPILOG = """\b
Examples:
  cnn-pipeline predict boot.png
  cnn-pipeline predict *.jpg --json
  cnn-pipeline predict bag.png --sweep filters-and-pooling-20260901-101500"""


@click.command("predict", cls=CollectingCommand, epilog=EPILOG)
@click.argument("images", metavar="IMAGE...", nargs=-1)
@click.option("--sweep", metavar="ID", help="Use the best model of this sweep.")
@click.option("--run", metavar="ID", help="Use the model of this run.")
@click.option(
    "--model",
    metavar="NAME",
    help="Registered model whose champion is used. (default that of the last sweep's data)",
)
@home_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    images: tuple[str, ...],
    sweep: str | None,
    run: str | None,
    model: str | None,
    home: str | None,
    as_json: bool,
) -> int:
    """Classify pictures of any size (PNG, JPEG, GIF, WebP, BMP, TIFF): the three most likely
    classes with their probabilities. Uses the champion for the data of the last sweep, or the best
    model of that sweep if there is no champion yet; --sweep, --run and --model choose another.
    """
    faults = faults_of(ctx)
    if not images:
        faults.items.append("IMAGE: give at least one picture file")
    faults.items += [fault for image in images if (fault := readable_fault("IMAGE", image))]
    if sweep is not None and run is not None:
        faults.items.append("--run: give --sweep or --run, not both")
    if model is not None and (sweep is not None or run is not None):
        faults.items.append("--model: give --model, or --sweep or --run, not both")
    name = faults.of(model_from, model)
    place = faults.of(home_from, home)
    faults.stop()
    assert place is not None

    from cnn_pipeline.champion.predict import Predictions, predict_files

    with clean_stdout():
        predictions = predict_files(
            [Path(image) for image in images], place, run_id=run, sweep_id=sweep, model=name
        )
    if as_json:
        print_json("predict", Predictions(tuple(predictions)))
    else:
        answered = f"model: {predictions[0].model}, {predictions[0].why}"
        click.echo("\n\n".join([*map(prediction_text, predictions), answered]))
    return 0


def prediction_text(prediction: Prediction) -> str:
    """The file, how its image was changed, and its classes."""
    return "\n".join(
        [
            str(prediction.file),
            *(f"  {note}" for note in prediction.notes),
            *(f"  {percent(share):>8}  {name}" for name, share in prediction.top),
        ]
    )
