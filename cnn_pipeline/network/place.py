"""A folder or a bucket that several machines share. An object is there whole or not at all.

Keys of a bucket come from the environment, as for all clients of S3 and of Google's storage.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
from typing import Any

# A client of Google's storage that finds no keys looks for them for 15 minutes.
_MOST_SECONDS = "?retry_limit_seconds=30"
_UNFINISHED = ".tmp."


class Place:
    """Small objects by name. Each method raises OSError if the place does not serve."""

    def __init__(self, address: str) -> None:
        """`address` is an absolute path, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX."""
        self._address = address
        self._local = address.startswith("/")
        self._root = address if self._local else address.partition("://")[2]

    @functools.cached_property
    def _files(self) -> Any:
        """PyArrow's file system, made at the first use: it asks Amazon where a bucket is."""
        from pyarrow import fs

        if self._local:
            return fs.LocalFileSystem()
        more = _MOST_SECONDS if self._address.startswith("gs://") else ""
        return fs.FileSystem.from_uri(self._address + more)[0]

    def names(self) -> list[str]:
        """Names of the objects, in order."""
        from pyarrow import fs

        found = self._files.get_file_info(fs.FileSelector(self._root, allow_not_found=True))
        files = [one.base_name for one in found if one.type == fs.FileType.File]
        return sorted(name for name in files if _UNFINISHED not in name)

    def get(self, name: str) -> bytes:
        """The content of an object."""
        with self._files.open_input_stream(f"{self._root}/{name}") as stream:
            content: bytes = stream.read()
        return content

    def put(self, name: str, content: bytes) -> None:
        """Put an object, in place of one of this name."""
        final = f"{self._root}/{name}"
        if not self._local:  # a bucket shows an object once it has all of it
            with self._files.open_output_stream(final) as stream:
                stream.write(content)
            return
        os.makedirs(self._root, mode=0o700, exist_ok=True)
        scratch = f"{final}{_UNFINISHED}{secrets.token_hex(4)}"
        with self._files.open_output_stream(scratch) as stream:
            stream.write(content)
        self._files.move(scratch, final)

    def remove(self, name: str) -> None:
        """Remove an object, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self._files.delete_file(f"{self._root}/{name}")

    def clear(self) -> None:
        """Remove all objects."""
        with contextlib.suppress(FileNotFoundError):
            self._files.delete_dir(self._root)
