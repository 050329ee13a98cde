"""Put the files of a catalog into a cache folder, complete and verified."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from cnn_pipeline.base.errors import DataError
from cnn_pipeline.base.events import Stage, emit
from cnn_pipeline.base.files import move_whole
from cnn_pipeline.data.catalog import FASHION_MNIST, Catalog, CatalogFile
from cnn_pipeline.data.fetching.payload import PayloadError, is_verified, unpack
from cnn_pipeline.data.fetching.sources import Source, SourceError, default_sources, scratch_lock

CACHE_SOURCE = "verified cache"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FetchedFile:
    """A verified payload at `path`, and the source that it came from in this call."""

    file: CatalogFile
    path: Path
    source: str


@dataclass(frozen=True)
class FetchedFiles:
    """The files of a catalog, in its order."""

    folder: Path
    files: tuple[FetchedFile, ...]

    @property
    def source(self) -> str:
        """Names of the sources that were used, in order, without duplicates."""
        return ", ".join(dict.fromkeys(fetched.source for fetched in self.files))


def fetch(
    cache: Path,
    catalog: Catalog = FASHION_MNIST,
    sources: Sequence[Source] | None = None,
    lock_seconds: float = 900.0,
) -> FetchedFiles:
    """Put the files of `catalog` into `cache/<name>/`, decompressed and verified.

    A second call only verifies the files. For a missing or damaged file, `sources` (default:
    `default_sources`) are tried in order until one delivers the correct payload. A file is written
    under a temporary name, verified, synced and renamed, so it is complete at any time. Processes
    that fetch at the same time wait for each other, at most `lock_seconds`.

    Raises:
        DataError: no source delivers a file, or the cache folder is not writable.
    """
    folder = cache / catalog.name
    scratch = folder / ".scratch"
    served = {
        file.name: CACHE_SOURCE for file in catalog.files if is_verified(folder / file.name, file)
    }
    missing = [file for file in catalog.files if file.name not in served]
    try:
        if missing:
            emit(Stage(f"fetching {catalog.name}"))
            folder.mkdir(parents=True, exist_ok=True)
            _check_space(folder, missing)
            asked = tuple(default_sources(catalog, folder) if sources is None else sources)
            unusable: dict[Source, str] = {}
            for file in missing:
                with _file_lock(folder, file, lock_seconds):
                    served[file.name] = _fetch_one(file, catalog, folder, scratch, asked, unusable)
        _remove_leftovers(folder, catalog)
    except Timeout as error:
        raise DataError(
            f"Waited {lock_seconds:g} s for another process that is fetching into {folder}. "
            "End that process, or wait until it is done."
        ) from error
    except OSError as error:
        raise DataError(
            f"The cache folder {folder} must be writable, received: {error.strerror or error}. "
            "Set CNN_PIPELINE_CACHE to a folder that is."
        ) from error
    files = tuple(FetchedFile(f, folder / f.name, served[f.name]) for f in catalog.files)
    for fetched in files:
        logger.info("%s: %s", fetched.file.name, fetched.source)
    return FetchedFiles(folder, files)


def _check_space(folder: Path, missing: Sequence[CatalogFile]) -> None:
    # The compressed file and the payload, and both again for a source that unpacks a package.
    needed = 4 * sum(file.payload_bytes for file in missing)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DataError(
            f"Fetching needs {needed:,} bytes of free space in {folder}, there are {free:,}. "
            "Free some, or set CNN_PIPELINE_CACHE to a folder on another disk."
        )


def _fetch_one(
    file: CatalogFile,
    catalog: Catalog,
    folder: Path,
    scratch: Path,
    sources: Sequence[Source],
    unusable: dict[Source, str],
) -> str:
    """Fetch `file` and return the name of its source. The caller holds the file's lock."""
    final = folder / file.name
    if is_verified(final, file):
        return CACHE_SOURCE
    if final.exists():
        logger.warning("%s is damaged and is fetched again", final)
    packed, part = _temporary(folder, file)
    for path in (final, packed, part):
        if path.is_dir():
            raise DataError(f"{path} must be a file, and is a folder. Delete it.")
    reasons = []
    try:
        for source in sources:
            if source in unusable:
                reasons.append(f"{source.name}: {unusable[source]}")
                continue
            try:
                # A new file each time: an abandoned download may still write to the old one.
                packed.unlink(missing_ok=True)
                part.unlink(missing_ok=True)
                with packed.open("w+b") as delivered, part.open("wb") as payload:
                    source.deliver(file, delivered, scratch)
                    delivered.seek(0)
                    unpack(delivered, payload, file)
            except (SourceError, PayloadError) as error:
                logger.info("%s: %s did not deliver it: %s", file.name, source.name, error)
                reasons.append(f"{source.name}: {error}")
                if isinstance(error, SourceError) and error.unusable:
                    unusable[source] = str(error)
                continue
            packed.unlink()  # first: a kill after the rename must leave nothing behind
            move_whole(part, final)
            return source.name
    finally:
        packed.unlink(missing_ok=True)
        part.unlink(missing_ok=True)
    raise DataError(_no_source(file, catalog, folder, reasons))


def _no_source(file: CatalogFile, catalog: Catalog, folder: Path, reasons: Sequence[str]) -> str:
    tried = "".join(f"\n  - {reason}" for reason in reasons)
    package = (
        f"  - on Debian or Ubuntu: sudo apt-get install {catalog.debian_package}\n"
        if catalog.debian_package
        else ""
    )
    return (
        f"No source delivered {file.name} of {catalog.name}:{tried}\n"
        "Do one of these, then run the command again:\n"
        "  - check the network;\n"
        f"{package}"
        f"  - put {', '.join(f'{f.name}.gz' for f in catalog.files)} into {folder}\n"
        "  - use your own data: --data PATH\n"
        "  - for a try without a network: --data fashion-mnist-sample"
    )


def _temporary(folder: Path, file: CatalogFile) -> tuple[Path, Path]:
    """What is delivered for a file, and the payload in it."""
    return folder / f".{file.name}.packed", folder / f".{file.name}.part"


def _remove_leftovers(folder: Path, catalog: Catalog) -> None:
    """Delete what killed processes left, unless another one uses it or the cache is read-only."""
    scratch = folder / ".scratch"
    if scratch.exists():
        with contextlib.suppress(OSError), scratch_lock(scratch).acquire(timeout=0):
            shutil.rmtree(scratch, ignore_errors=True)
    for file in catalog.files:
        left = [path for path in _temporary(folder, file) if path.exists()]
        if left:
            with contextlib.suppress(OSError), _file_lock(folder, file, 0):
                for path in left:
                    path.unlink(missing_ok=True)


def _file_lock(folder: Path, file: CatalogFile, seconds: float) -> FileLock:
    return FileLock(folder / f".{file.name}.lock", timeout=seconds)
