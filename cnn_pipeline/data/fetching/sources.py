"""Sources of a catalog's files. A source delivers bytes and does not verify them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from filelock import FileLock

from cnn_pipeline.base.events import DownloadProgress, Stage, emit
from cnn_pipeline.base.files import open_file
from cnn_pipeline.data.catalog import Catalog, CatalogFile
from cnn_pipeline.data.fetching.download import DownloadError, Limits, download


class SourceError(Exception):
    """The source did not deliver. `unusable`: do not try it for other files."""

    def __init__(self, reason: str, *, unusable: bool) -> None:
        self.unusable = unusable
        super().__init__(reason)


class Source(Protocol):
    """A place to get files from."""

    @property
    def name(self) -> str:
        """Name in logs and messages."""

    def deliver(self, file: CatalogFile, target: BinaryIO, scratch: Path) -> None:
        """Write `file`, gzip or plain, to `target`.

        `scratch` is a folder for temporary files, which may not exist yet. Processes share it
        under `scratch_lock(scratch)`; it is deleted at the end of a fetch.

        Raises:
            SourceError: this source does not have the file.
            OSError: `target` or `scratch` cannot be written.
        """


def scratch_lock(scratch: Path) -> FileLock:
    """The lock for `scratch` between processes."""
    return FileLock(scratch.with_name(scratch.name + ".lock"))


@dataclass(frozen=True)
class Folder:
    """A folder on this machine with `<name>` plus one of the `suffixes`."""

    name: str
    path: Path
    suffixes: tuple[str, ...] = (".gz", "")

    def deliver(self, file: CatalogFile, target: BinaryIO, scratch: Path) -> None:
        """Copy the file; see `Source`."""
        found = next(
            (p for s in self.suffixes if (p := self.path / (file.name + s)).is_file()), None
        )
        if found is None:
            raise SourceError("not there", unusable=not self.path.is_dir())
        try:
            size = found.stat().st_size
            packed = open_file(found)
        except OSError as error:
            raise SourceError(f"cannot be read: {error.strerror}", unusable=False) from error
        with packed:
            if size > file.packed_limit:
                raise SourceError(
                    f"{size:,} bytes, expected at most {file.packed_limit:,}", unusable=False
                )
            shutil.copyfileobj(packed, target)


@dataclass(frozen=True)
class Mirror:
    """An HTTP folder with `<name>.gz` files."""

    name: str
    url: str
    limits: Limits = field(default_factory=Limits)

    def deliver(self, file: CatalogFile, target: BinaryIO, scratch: Path) -> None:
        """Download the file; see `Source`."""

        def progress(done: int, total: int) -> None:
            emit(DownloadProgress(file=file.name, source=self.name, done=done, total=total))

        address = f"{self.url.rstrip('/')}/{file.name}.gz"
        try:
            download(address, target, file.packed_limit, self.limits, progress)
        except DownloadError as error:
            raise SourceError(str(error), unusable=error.unusable) from error


@dataclass(frozen=True)
class AptPackage:
    """A Debian package, downloaded and unpacked in the scratch folder; nothing is installed."""

    package: str
    folder: str
    seconds: float = 120.0

    @property
    def name(self) -> str:
        """Name in logs and messages."""
        return f"apt-get download {self.package}"

    def deliver(self, file: CatalogFile, target: BinaryIO, scratch: Path) -> None:
        """Copy the file from the package, which is downloaded first if necessary; see `Source`."""
        for program in ("apt-get", "dpkg-deb"):
            if shutil.which(program) is None:
                raise SourceError(f"there is no {program} on this machine", unusable=True)
        with scratch_lock(scratch):
            unpacked = scratch / "unpacked"
            if not unpacked.is_dir():
                self._unpack(scratch, unpacked)
            inside = unpacked / self.folder.lstrip("/")
            Folder(self.name, inside).deliver(file, target, scratch)

    def _unpack(self, scratch: Path, unpacked: Path) -> None:
        emit(Stage(f"getting {self.package} with apt-get"))
        shutil.rmtree(scratch, ignore_errors=True)
        for folder in ("lists/partial", "cache/archives/partial", "deb", "partly-unpacked"):
            (scratch / folder).mkdir(parents=True)
        # Read after the system's settings: its mirrors and proxies stay in use, but its hooks do
        # not run, and only package lists are fetched.
        settings = scratch / "apt.conf"
        settings.write_text(
            "#clear APT::Update::Pre-Invoke;\n"
            "#clear APT::Update::Post-Invoke;\n"
            "#clear APT::Update::Post-Invoke-Success;\n"
            'Acquire::Languages "none";\n'
            'Acquire::Retries "0";\n'
            'Acquire::http::Timeout "15";\n'
            'Acquire::https::Timeout "15";\n',
            encoding="utf-8",
        )
        options = [
            *("-q", "-c", str(settings)),
            *("-o", f"Dir::State::lists={scratch / 'lists'}"),
            *("-o", f"Dir::Cache={scratch / 'cache'}"),
        ]
        deb = scratch / "deb"
        updated = self._command(["apt-get", *options, "update"], deb)
        try:
            self._command(["apt-get", *options, "download", self.package], deb)
        except SourceError as error:
            # Without a network, `update` only warns, and the package seems not to exist.
            warnings = [line for line in updated.splitlines() if line.startswith("W: Failed")]
            hint = f" (apt-get update: {warnings[-1]})" if warnings else ""
            raise SourceError(f"{error}{hint}", unusable=True) from error
        packages = list(deb.glob("*.deb"))
        if len(packages) != 1:
            raise SourceError(f"apt-get left {len(packages)} packages", unusable=True)
        partly = scratch / "partly-unpacked"
        self._command(["dpkg-deb", "-x", str(packages[0]), str(partly)], deb)
        partly.rename(unpacked)

    def _command(self, command: list[str], folder: Path) -> str:
        """Output of `command`; on a timeout its whole process group is killed."""
        with subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C"},
            start_new_session=True,
            text=True,
            errors="replace",
        ) as process:
            try:
                output, _ = process.communicate(timeout=self.seconds)
            except BaseException as error:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                if isinstance(error, subprocess.TimeoutExpired):
                    raise SourceError(
                        f"{command[0]} did not finish within {self.seconds:g} s", unusable=True
                    ) from error
                raise
        if process.returncode != 0:
            faults = [line for line in output.splitlines() if line.startswith("E:")]
            reason = (faults or output.splitlines() or ["no output"])[-1]
            raise SourceError(
                f"{command[0]} ended with status {process.returncode}: {reason}", unusable=True
            )
        return output


def default_sources(catalog: Catalog, folder: Path) -> tuple[Source, ...]:
    """The sources of `catalog` in order.

    `folder` is its cache folder, where users may put files themselves.
    """
    sources: list[Source] = [Folder("files put into the cache folder", folder, suffixes=(".gz",))]
    if catalog.debian_package:
        installed = Path(catalog.debian_folder)
        sources.append(Folder(f"Debian package {catalog.debian_package}", installed))
    sources += [Mirror(mirror.name, mirror.url) for mirror in catalog.mirrors]
    if catalog.debian_package:
        sources.append(AptPackage(catalog.debian_package, catalog.debian_folder))
    return tuple(sources)
