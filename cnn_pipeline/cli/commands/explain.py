"""`cnn-pipeline explain`: draw what a network does to an image."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import Path

import click

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.files import file_name, write_whole
from cnn_pipeline.base.startup import import_keras_quietly
from cnn_pipeline.cli.options import cache_from_environment, choice, home_from, home_option
from cnn_pipeline.cli.output import clean_stdout, require_writable
from cnn_pipeline.cli.parsing import CollectingCommand, Faults, faults_of
from cnn_pipeline.explain.part import PICTURES, Part

FOLDER = "explained"

EPILOG = """\b
Pictures of a run:
  journey   each layer's output for three test images, or for --image
  kernels   the weights of the first layer
  patches   the images, and the squares in them, that activate each filter most
  ablation  the accuracy lost without each filter; also as ablation.csv
  looks     where the network looks, for correct and for wrong answers

\b
Examples:
  cnn-pipeline explain
  cnn-pipeline explain f64-max --image 0
  cnn-pipeline explain f64-max-s0 --image boot.png --only journey,looks --open
  cnn-pipeline explain --output journey.png
  cnn-pipeline explain --convolution --pooling"""


@click.command("explain", cls=CollectingCommand, epilog=EPILOG)
@click.argument("runs", metavar="[RUN]", nargs=-1)
@click.option(
    "--image",
    metavar="FILE|N,...",
    help="A picture file, or indices of test images. (default three test images)",
)
@click.option("--only", metavar="NAME,...", help="Pictures to draw. (default all)")
@click.option("--convolution", is_flag=True, help="Show the arithmetic of a convolution.")
@click.option("--pooling", is_flag=True, help="Show the arithmetic of max-pooling.")
@click.option(
    "--output",
    metavar="FOLDER|FILE",
    help=f"Folder to write to, or a .png file for the first picture only. (default {FOLDER}/NAME)",
)
@click.option("--open", "show", is_flag=True, help="Open the pictures afterwards.")
@home_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    runs: tuple[str, ...],
    image: str | None,
    only: str | None,
    convolution: bool,
    pooling: bool,
    output: str | None,
    show: bool,
    home: str | None,
) -> int:
    """Draw what a trained network does to an image and what each part contributes. RUN is a run's
    id, or the name of a run or variant of the last sweep; its best run by default. --convolution
    and --pooling need no run: they show the arithmetic on one image, number by number.
    """
    from cnn_pipeline.explain.images import parse_images

    faults = faults_of(ctx)
    faults.items += [f"unexpected argument {word!r}: one run at a time" for word in runs[1:]]
    if convolution or pooling:
        faults.items += [f"unexpected argument {word!r}: no run is needed" for word in runs[:1]]
        faults.items += ["--only: needs a run; leave it out"] if only else []
    images = faults.of(parse_images, image) if image is not None else None
    names = _pictures(only, faults)
    target = faults.of(_target, output) if output is not None else None
    if target is not None or output is None:
        folder = target or Path(FOLDER)
        faults.of(require_writable, "--output", folder.parent if folder.suffix else folder)
    place = faults.of(home_from, home)
    cache = faults.of(cache_from_environment)
    faults.stop()
    assert place is not None and cache is not None

    with clean_stdout():
        if convolution or pooling:
            from cnn_pipeline.explain.convolution.tour import arithmetic_tour

            title = "arithmetic"
            parts: Iterable[Part] = arithmetic_tour(
                convolution=convolution, pooling=pooling, choice=images
            )
            notes: tuple[str, ...] = ()
        else:
            import_keras_quietly()
            from cnn_pipeline.champion.find_model import find_subject
            from cnn_pipeline.explain.drawing.fonts import legend
            from cnn_pipeline.explain.tour import run_tour

            subject = find_subject(runs[0] if runs else None, place, cache)
            numbers = legend(subject.dataset.class_names)
            title, notes = subject.name, (*subject.notes, *([numbers] if numbers else []))
            single = target is not None and target.suffix
            parts = run_tour(subject, names[:1] if single else names, images)
        # Whoever writes to the store can name a run.
        target = target or Path(FOLDER, file_name(title))
        written, blocks = _write(parts, target)
    click.echo("\n\n".join([*notes, *blocks]))
    click.echo("\n" + "\n".join(map(str, written)))
    if show:
        click.launch(str(written[0] if len(written) == 1 else target))
    return 0


def _pictures(only: str | None, faults: Faults) -> tuple[str, ...]:
    if only is None:
        return PICTURES
    words = list(dict.fromkeys(word.strip() for word in only.split(",")))
    return tuple(name for word in words if (name := faults.of(choice, "--only", word, PICTURES)))


def _target(text: str) -> Path:
    """The folder or .png file to write; a missing folder is created later."""
    path = Path(text).expanduser()
    if path.suffix.lower() == ".png" and not path.is_dir():
        if not path.parent.is_dir():
            folder = str(path.parent)
            raise InvalidInput([f"--output: folder {folder!r} does not exist; create it first"])
        return path
    if not text.strip() or (path.exists() and not path.is_dir()):
        raise InvalidInput([f"--output: must be a folder or a .png file, received {text!r}"])
    return path


def _wrapped(text: str) -> str:
    """A sentence in lines of at most 80 columns; text with line breaks is not changed."""
    return text if "\n" in text else textwrap.fill(text, 80, subsequent_indent="  ")


def _write(parts: Iterable[Part], target: Path) -> tuple[list[Path], list[str]]:
    """Write the files of each part as it comes; return their paths and the parts' captions."""
    written: list[Path] = []
    blocks: list[str] = []
    if target.suffix.lower() != ".png":
        target.mkdir(parents=True, exist_ok=True)
    for part in parts:
        if part.sentences:
            blocks.append("\n".join(map(_wrapped, part.sentences)))
        for name, content in part.files.items():
            alone = target.suffix.lower() == ".png"
            path = target if alone else target / name
            write_whole(path, content)
            written.append(path)
            click.echo(f"wrote {path}", err=True)
            if alone:
                return written, blocks
    return written, blocks
