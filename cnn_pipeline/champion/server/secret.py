"""The token that requests must carry, from a file or the environment."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from cnn_pipeline.base.errors import InvalidInput

TOKEN_VARIABLE = "CNN_PIPELINE_SERVE_TOKEN"
SHORTEST, LONGEST = 16, 1024
_MAKE = "Make one with `(umask 077 && openssl rand -hex 32 > FILE)`."


def token_from(file: str | None, environ: Mapping[str, str]) -> str | None:
    """The token in `file`, else that of `CNN_PIPELINE_SERVE_TOKEN`, else None.

    Raises:
        InvalidInput: it cannot be read, anyone on the machine may read it, or it is no token. The
            message does not hold it.
    """
    if file is not None:
        return _checked(f"--token-file {file}", _read(Path(file)))
    if TOKEN_VARIABLE in environ:
        return _checked(TOKEN_VARIABLE, environ[TOKEN_VARIABLE])
    return None


def _read(path: Path) -> str:
    try:
        # Not a pipe, which would block.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, encoding="utf-8") as file:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise InvalidInput([f"--token-file {path}: must be a file. {_MAKE}"])
            if mode & stat.S_IROTH:
                raise InvalidInput(
                    [
                        f"--token-file {path}: must not be readable by every user of this machine. "
                        f"Run `chmod 600 {path}`."
                    ]
                )
            return file.read(LONGEST + 2)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise InvalidInput([f"--token-file {path}: must be readable, but: {reason}"]) from None


def _checked(origin: str, text: str) -> str:
    token = text.removesuffix("\n").removesuffix("\r")
    visible = all("!" <= letter <= "~" for letter in token)
    if not visible or not SHORTEST <= len(token) <= LONGEST:
        received = f"{len(token)} characters" if visible else "other characters, such as a space"
        raise InvalidInput(
            [
                f"{origin}: a token must be one line of {SHORTEST} to {LONGEST} visible ASCII "
                f"characters, received {received}. {_MAKE}"
            ]
        )
    return token
