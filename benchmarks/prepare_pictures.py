"""How long does it take to prepare 10,000 photographs?

    .venv/bin/python -m benchmarks.prepare_pictures            # about a minute

The photographs are smooth shapes with a sensor's noise: JPEG files of 640x480 pixels and about
120 kB. Fifty are drawn; the others are copies with a few bytes more, so all are hashed and decoded.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from cnn_pipeline.base.machine import available_cores
from cnn_pipeline.data.formats.image_files import Pictures, read_pictures
from cnn_pipeline.settings.trial import DataSettings

_DRAWN = 50


def photograph(seed: int) -> bytes:
    """A JPEG file of 640x480 pixels."""
    rng = np.random.default_rng(seed)
    shapes = Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8))
    smooth = np.asarray(shapes.resize((640, 480), Image.Resampling.BICUBIC), dtype=np.float64)
    noisy = smooth + rng.normal(0, 6, (480, 640, 1))
    file = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=88)
    return file.getvalue()


def main() -> None:
    """Write the photographs, prepare them, and read them from the cache."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--image-size", default="64x64")
    options = parser.parse_args()
    drawn = [photograph(seed) for seed in range(_DRAWN)]
    with tempfile.TemporaryDirectory() as name:
        paths = [Path(name) / f"{at:06}.jpg" for at in range(options.pictures)]
        for at, path in enumerate(paths):
            # Bytes after the end of a JPEG file are not decoded.
            path.write_bytes(drawn[at % _DRAWN] + at.to_bytes(4, "big"))
        size = sum(path.stat().st_size for path in paths) / 1e6
        print(f"{len(paths):,} photographs of 640x480, {size:,.0f} MB, {available_cores()} cores")
        settings = DataSettings(source=name, image_size=options.image_size)
        for what in ("prepared", "from the cache"):
            began, used = time.perf_counter(), os.times()
            found = read_pictures(paths, settings, Path(name) / "cache")
            assert isinstance(found, Pictures), found[:3]
            spent = os.times()
            processor = spent.user + spent.system - used.user - used.system
            wall = time.perf_counter() - began
            print(f"{what}: {wall:.1f} s, of which the processor worked {processor:.1f} s")


if __name__ == "__main__":
    main()
