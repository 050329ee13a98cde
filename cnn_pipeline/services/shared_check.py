"""Ask the databases and the place for artifacts of `up --database` before anything uses them."""

from __future__ import annotations

import asyncio
import tempfile
import uuid
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cnn_pipeline.base.errors import InvalidInput, UserError
from cnn_pipeline.base.files import make_private
from cnn_pipeline.base.reachable import SECONDS, short
from cnn_pipeline.services.shared import SharedStore


class StoreSilent(UserError):
    """The database or the place for artifacts cannot be used at the moment."""

    exit_code = 1


def require_shared(shared: SharedStore) -> None:
    """Check the drivers, both databases and the place for artifacts.

    Raises:
        InvalidInput: a package or a database is missing.
        StoreSilent: the server does not answer, or refuses; or nothing can be written.
    """
    require_drivers(shared)
    answering_version(shared)
    require_writable(shared)


def require_drivers(shared: SharedStore) -> None:
    """Check that the packages are installed which such a store needs.

    Raises:
        InvalidInput: one is missing.
    """
    needs = [("--database", "psycopg2", "postgres")]
    if shared.is_bucket:
        needs.append(("--artifacts", "boto3", "s3"))
    faults = [
        f"{flag}: needs the package {package}, which is not installed. "
        f'Install it: pip install --editable ".[{extra}]"'
        for flag, package, extra in needs
        if find_spec(package) is None
    ]
    if faults:
        raise InvalidInput(faults)


def answering_version(shared: SharedStore) -> str:
    """PostgreSQL's version, as '15.14', once both databases have answered.

    Raises:
        InvalidInput: a database is missing, or its user may make no tables in it.
        StoreSilent: the server does not answer, or refuses the user.
    """
    return asyncio.run(_version(shared))


async def _version(shared: SharedStore) -> str:
    import asyncpg

    host, port, _ = shared.connection
    where = f"{host}:{port}"
    missing, closed, version = [], [], ""
    for name in shared.databases:
        try:
            version, may_write = await _ask(shared, name)
        except asyncpg.InvalidCatalogNameError:
            missing.append(name)
        except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InterfaceError) as error:
            raise StoreSilent(
                f"PostgreSQL at {where} must accept the user, received: {short(error)}. "
                "Set PGPASSWORD, or name a file of passwords with PGPASSFILE"
            ) from None
        except (asyncpg.PostgresError, OSError, TimeoutError) as error:
            said = short(error) if str(error) else f"nothing for {SECONDS:.0f} s"
            raise StoreSilent(
                f"PostgreSQL at {where} must answer, received: {said}. Start it, or give another "
                "address with --database"
            ) from None
        else:
            closed += [] if may_write else [name]
    if missing:
        commands = "; ".join(map(shared.creation_of, missing))
        raise InvalidInput(
            [
                f"--database: PostgreSQL at {where} must have the "
                f"{'database' if len(missing) == 1 else 'databases'} {' and '.join(missing)}. "
                f"As a user who may: {commands}"
            ]
        )
    if closed:
        raise InvalidInput(
            [
                f"--database: the user must be allowed to make tables in {' and '.join(closed)} at "
                f"{where}. Make it their owner: ALTER DATABASE NAME OWNER TO USER"
            ]
        )
    return version


async def _ask(shared: SharedStore, name: str) -> tuple[str, bool]:
    """The server's version, and whether the user may make tables in a database."""
    import asyncpg

    host, port, user = shared.connection
    connection: Any = await asyncpg.connect(
        host=host, port=port, user=user, database=name, timeout=SECONDS
    )
    try:
        said, may_write = await connection.fetchrow(
            "SELECT current_setting('server_version'),"
            " has_schema_privilege(current_schema(), 'CREATE')"
        )
        return said.partition(" ")[0], bool(may_write)  # Debian adds its own version
    finally:
        await connection.close()


def require_writable(shared: SharedStore) -> None:
    """Write a file where the artifacts go, as MLflow's server does, and delete it.

    Raises:
        StoreSilent: it cannot be written.
    """
    from cnn_pipeline.tracking.undocumented import artifact_repository  # imports MLflow

    name = f"write-check-{uuid.uuid4().hex}"
    try:
        if not shared.is_bucket:
            make_private(Path(shared.artifacts))
        repository = artifact_repository(shared.artifacts_uri)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "check.txt")
            file.write_text("Written by cnn-pipeline to see whether it can; may be deleted.\n")
            repository.log_artifact(str(file), name)
        repository.delete_artifacts(name)
    except Exception as error:  # of the file system, or one of the many of boto3
        raise StoreSilent(
            f"--artifacts: files must be written to {shared.artifacts} and deleted, received: "
            f"{short(error)}. Create it, or give its user the right to"
        ) from None
