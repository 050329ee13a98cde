"""The flags of `up` that name its store. An address with a secret in it is refused."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.home import TRACKING_VARIABLE, Home
from cnn_pipeline.services.shared import OWN, SharedStore

_PORT = 5432
# PostgreSQL cuts names after 63 bytes, and the longest ending, '_prefect', has 8.
_NAME = re.compile("[A-Za-z_][A-Za-z0-9_-]{0,54}")
_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w!.*'()/=+-]*)?", re.ASCII)


def database_from(text: str | None) -> str | None:
    """The address with its port, or 'sqlite'; None without the flag.

    Raises:
        InvalidInput: it is no such address, or holds a password.
    """
    if text is None or text == OWN:
        return text

    def fault(must: str) -> InvalidInput:
        return InvalidInput([f"--database: must {must}, received {text}"])

    # Without an example, whose user would be hidden like a secret.
    whole = f"be postgresql:// with a user, a host and a name, or {OWN} (cnn-pipeline up --help)"
    try:
        parts = urlsplit(text)
        host, user, port = parts.hostname, parts.username, parts.port or _PORT
    except ValueError:  # says a part of a password that is not percent-encoded
        raise fault(whole) from None
    if parts.password is not None:
        raise fault(
            "hold no password, because every user of the machine can read a command line: "
            "set PGPASSWORD, or name a file of passwords with PGPASSFILE"
        )
    if parts.scheme not in ("postgresql", "postgres") or not host or not user:
        raise fault(whole)
    if parts.query or parts.fragment:
        raise fault("end with the name; set PGSSLMODE and the like in the environment")
    name = parts.path.removeprefix("/")
    if not _NAME.fullmatch(name):
        raise fault("end with /NAME: a letter, and at most 54 more letters, digits, '_' or '-'")
    return f"postgresql://{user}@{f'[{host}]' if ':' in host else host}:{port}/{name}"


def artifacts_from(text: str | None, home: Home) -> str | None:
    """The address of a bucket, or the absolute path of a folder; None without the flag.

    Raises:
        InvalidInput: it is none, holds a key, or is where the files of the home's own store are.
    """
    if text is None:
        return None
    if "://" in text:
        if "@" in text or "?" in text:
            raise InvalidInput(
                [
                    "--artifacts: must hold no key: set AWS_ACCESS_KEY_ID and "
                    f"AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; received {text}"
                ]
            )
        if not _BUCKET.fullmatch(text):
            raise InvalidInput(
                [f"--artifacts: must be s3://BUCKET/PREFIX or a folder, received {text}"]
            )
        return text.rstrip("/")
    if not text.strip() or "\0" in text:
        raise InvalidInput(
            [f"--artifacts: must be s3://BUCKET/PREFIX or a folder, received {text!r}"]
        )
    try:
        folder = Path(text).expanduser().absolute()
    except RuntimeError as error:  # '~name' of an unknown user
        raise InvalidInput([f"--artifacts: {error}, received {text!r}"]) from None
    if folder.exists() and not folder.is_dir():
        raise InvalidInput([f"--artifacts: must be a folder, but {folder} is a file"])
    # Artifacts there without a database beside them look like a store that was lost.
    if folder.resolve().is_relative_to(home.mlruns.resolve()):
        raise InvalidInput(
            [f"--artifacts: must not be in {home.mlruns}, which has a store of its own"]
        )
    return str(folder)


def shared_from(
    database: str | None, artifacts: str | None, home: Home, named: str
) -> SharedStore | None:
    """The store that the flags name; without flags that of the last `up`; None for SQLite.

    `named` is what MLFLOW_TRACKING_URI says.

    Raises:
        InvalidInput: a flag is missing, or two stores are named.
        UserError: what the last `up` has used cannot be read.
    """
    if database == OWN:
        if artifacts is not None:
            raise InvalidInput([f"--artifacts: must not be given with --database {OWN}"])
        return None
    if (database is None) != (artifacts is None):
        missing, given = "--database", "--artifacts"
        if artifacts is None:
            missing, given = given, missing
        raise InvalidInput([f"{missing}: is required with {given}"])
    if database is not None and artifacts is not None:
        shared: SharedStore | None = SharedStore(database, artifacts)
    else:
        shared = SharedStore.load(home)
    if shared is not None and named:
        raise InvalidInput(
            [
                f"{TRACKING_VARIABLE}: must not be set with the store {shared.database}, "
                f"received {named}. Unset it, or leave that store with --database {OWN}"
            ]
        )
    return shared
