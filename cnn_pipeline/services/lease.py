"""One change of a registered model at a time on all machines of a team.

The team's Prefect server has a global concurrency limit of one for each registered model, which is
made at its first use. Its slot is held with a lease that Prefect renews: whoever is killed loses it
after about a minute.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from cnn_pipeline.base import events
from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.redaction import redacted
from cnn_pipeline.services.named import api_remedy
from cnn_pipeline.services.prefect_client import fault_of_server, impatient, impatient_client

_LEASE_SECONDS = 60  # the shortest that Prefect gives
# A killed holder's slot is free after 75 s, and Prefect's client asks again after up to 39 s.
WAIT_SECONDS = 180.0
_ANSWER_SECONDS = 10.0
# Outside of a flow Prefect sets up no log, and Python would print the warnings of these.
_LOGS = ("prefect", "EventsWorker", "ConcurrencySlotAcquisitionWithLeaseService")


class NoLease(UserError):
    """The lease cannot be had now; nothing was changed."""

    exit_code = 1


@contextmanager
def leased(api: str, model: str) -> Iterator[None]:
    """Hold the lease on a registered model at the Prefect server `api`, the configured one.

    Whoever holds it is waited for.

    Raises:
        NoLease: the server does not answer, or another one holds the lease for minutes.
    """
    held = _acquire(api, model)
    try:
        yield
    finally:
        # What was changed stays so if the server is gone now: the lease ends by itself.
        with suppress(Exception), impatient(_ANSWER_SECONDS):
            held.close()


def _acquire(api: str, model: str) -> ExitStack:
    os.environ.setdefault("DO_NOT_TRACK", "1")
    for log in _LOGS:
        logging.getLogger(log).addHandler(logging.NullHandler())
    import httpx
    from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
    from prefect.concurrency.sync import concurrency

    if fault := fault_of_server(_ANSWER_SECONDS):
        raise _silent(api, model, fault)
    name = f"promote-{model}"
    held = ExitStack()
    try:
        if _is_taken(name):
            minutes = f"{WAIT_SECONDS / 60:.0f} minutes"
            events.emit(events.Stage(f"waiting up to {minutes} for another change of {model}"))
        held.enter_context(
            concurrency(
                name,
                timeout_seconds=WAIT_SECONDS,
                lease_duration=_LEASE_SECONDS,
                strict=True,
                # A change takes seconds. One that is interrupted would have to be completed.
                raise_on_lease_renewal_failure=False,
            )
        )
    except TimeoutError:
        raise NoLease(
            f"other machines have been changing {model} for {WAIT_SECONDS:.0f} s. Nothing was "
            f"changed. Start again; if nobody promotes, Prefect's server at {redacted(api)} has "
            f"lost who did: `prefect global-concurrency-limit delete {name}` frees it."
        ) from None
    except (ConcurrencySlotAcquisitionError, httpx.HTTPError) as error:
        raise _silent(api, model, str(error).partition("\n")[0]) from None
    return held


def _is_taken(name: str) -> bool:
    """Whether somebody has the only slot of the limit, which is made where it is missing."""
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

    with impatient_client(_ANSWER_SECONDS) as client:
        try:
            return client.read_global_concurrency_limit_by_name(name).active_slots > 0
        except ObjectNotFound:
            with suppress(ObjectAlreadyExists):  # by another machine, now
                client.create_global_concurrency_limit(
                    GlobalConcurrencyLimitCreate(name=name, limit=1)
                )
            return False


def _silent(api: str, model: str, fault: str) -> NoLease:
    remedy = api_remedy()
    return NoLease(
        f"the Prefect server at {redacted(api)} must answer, because it lets one machine at a time "
        f"change {model}; received: {redacted(fault)}. Nothing was changed. "
        f"{remedy[0].upper()}{remedy[1:]}."
    )
