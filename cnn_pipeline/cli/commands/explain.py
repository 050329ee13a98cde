"""`cnn-pipeline explain`: what a network does to an image, and what each part is good for."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import Path

import click

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.startup import lean_imports
from cnn_pipeline.cli.options import cache_from_environment, choice, home_from, home_option
from cnn_pipeline.cli.output import clean_stdout, write_whole
from cnn_pipeline.cli.parsing import CollectingCommand, Faults, faults_of
from cnn_pipeline.explain.part import PICTURES, Part

FOLDER = "explained"

EPILOG = """\b
Pictures of a run:
  journey   what each layer makes of three test images, or of --image
  kernels   the weights of the first layer
  patches   which images, and which squares in them, excite each filter most
  ablation  what accuracy loses without each filter; also as ablation.csv
  looks     where the network looks, for right and for wrong answers

\b
Examples:
  cnn-pipeline explain
  cnn-pipeline explain f64-max --image 0
  cnn-pipeline explain f64-max-s0 --image boot.png --only journey,looks --open
  cnn-pipeline explain --output journey.png
  cnn-pipeline explain --convolution --pooling"""


@click.command(
    "explain",
    cls=CollectingCommand,
    help="Draw what a trained network does to an image and what its parts are good for. RUN is a "
    "run's id, or the name of a run or variant of the last sweep; by default the best of it. With "
    "--convolution or --pooling no run is needed: the arithmetic is worked out on one image, "
    "number by number.",
    epilog=EPILOG,
)
@click.argument("runs", metavar="[RUN]", nargs=-1)
@click.option(
    "--image",
    metavar="FILE|N,...",
    help="A PNG or JPEG file, or the numbers of test images. (default three test images)",
)
@click.option("--only", metavar="NAME,...", help="Pictures to draw. (default all)")
@click.option("--convolution", is_flag=True, help="Work out a convolution on one image.")
@click.option("--pooling", is_flag=True, help="Work out a max-pooling on one image.")
@click.option(
    "--output",
    metavar="FOLDER|FILE",
    help="Where to write: a folder, or a .png file for the first picture alone. "
    f"(default {FOLDER}/NAME in this folder)",
)
@click.option("--open", "show", is_flag=True, help="Open the pictures when they are drawn.")
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
    """Draw, write, and say what is seen."""
    from cnn_pipeline.explain.images import parse_images

    faults = faults_of(ctx)
    faults.items += [f"unexpected argument {word!r}: one run at a time" for word in runs[1:]]
    if convolution or pooling:
        faults.items += [f"unexpected argument {word!r}: no run is needed" for word in runs[:1]]
        faults.items += ["--only: names pictures of a run; leave it out"] if only else []
    images = faults.of(parse_images, image) if image is not None else None
    names = _pictures(only, faults)
    target = faults.of(_target, output) if output is not None else None
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
            with lean_imports():
                from cnn_pipeline.explain.tour import run_tour
            from cnn_pipeline.champion.find_model import find_subject

            subject = find_subject(runs[0] if runs else None, place, cache)
            title, notes = subject.name, subject.notes
            single = target is not None and target.suffix
            parts = run_tour(subject, names[:1] if single else names, images)
        target = target or Path(FOLDER, title)
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
    """The folder or .png file to write; a folder that is missing will be made."""
    path = Path(text).expanduser()
    if path.suffix.lower() == ".png" and not path.is_dir():
        if not path.parent.is_dir():
            folder = str(path.parent)
            raise InvalidInput([f"--output: folder {folder!r} does not exist; make it first"])
        return path
    if not text.strip() or (path.exists() and not path.is_dir()):
        raise InvalidInput([f"--output: must be a folder or a .png file, received {text!r}"])
    return path


def _wrapped(text: str) -> str:
    """A sentence in lines of at most 80 columns; what has lines already keeps them."""
    return text if "\n" in text else textwrap.fill(text, 80, subsequent_indent="  ")


def _write(parts: Iterable[Part], target: Path) -> tuple[list[Path], list[str]]:
    """Write each part as it comes; paths written, and its sentences as a block each."""
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
