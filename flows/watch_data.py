"""Check whether the data have changed since the champion was trained, and report it once.

The event that reports it starts `retrain`: see its trigger in `prefect.yaml`.
"""

from __future__ import annotations

import os
from typing import Any

from prefect import State, flow, task
from prefect.cache_policies import NO_CACHE
from prefect.events import Event, RelatedResource, Resource
from prefect.events.clients import get_events_client
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from prefect.utilities.asyncutils import run_coro_as_sync

from cnn_pipeline.base.home import cache_dir, resolve_home
from cnn_pipeline.champion.watching import Announcement, DataNews, compare_data
from cnn_pipeline.settings.trial import DataSettings
from flows.parameters import Json, data_settings_from
from flows.worker import missing_server

CHANGED = "cnn-pipeline.data.changed"


def resource_id(dataset: str) -> str:
    """Id of the event's resource."""
    return f"cnn-pipeline.data.{dataset}"


@flow(name="watch-data", flow_run_name="{data}", log_prints=False)
def watch_data(
    data: str = DataSettings().source,
    advanced: Json = {},  # noqa: B006 - Prefect copies it
    home: str = "",
) -> State[Any]:
    """Compare the data with the champion's, and report a change.

    Args:
        data: name or path of the images; the same as those that `retrain` trains on.
        advanced: any other setting of the data, as `{"name": "pets", "test_share": 0.3,
            "image_size": "64x48"}`; the same as `retrain` has.
        home: folder of all state; empty: that of the worker.
    """
    place = resolve_home(home or None, os.environ)
    if fault := missing_server():
        return Failed(message=fault)
    news = compare_data(data_settings_from(data, advanced), place, cache_dir(os.environ))
    if news.champion is None:
        return Completed(message=f"no champion of {news.dataset} yet: nothing to compare with")
    if not news.changed:
        Announcement.forget(place, news.dataset)
        return Completed(message=f"the data are those of {news.champion}")
    told = Announcement.last(place, news.dataset)
    if told is not None and told.digest == news.digest:
        return Completed(
            message=f"the data differ from those of {news.champion}, as reported at {told.at}"
        )
    tell(news)
    Announcement.remember(place, news)
    return Completed(message=f"the data differ from those of {news.champion}: reported now")


@task(name="tell", task_run_name="tell {news.dataset}", cache_policy=NO_CACHE, retries=2)
def tell(news: DataNews) -> None:
    """Send the event and wait until the server has it.

    `prefect.events.emit_event` would silently drop it if the server cannot be reached.
    """
    event = Event(
        event=CHANGED,
        resource=Resource(
            {
                "prefect.resource.id": resource_id(news.dataset),
                "prefect.resource.name": news.dataset,
            }
        ),
        related=[
            RelatedResource(
                {
                    "prefect.resource.id": f"prefect.flow-run.{flow_run.id}",
                    "prefect.resource.role": "flow-run",
                }
            )
        ],
        payload={
            "dataset": news.dataset,
            "digest": news.digest,
            "champion": news.champion,
            "champion_digest": news.champion_digest,
        },
    )
    run_coro_as_sync(_send(event))


async def _send(event: Event) -> None:
    async with get_events_client(checkpoint_every=1) as client:
        await client.emit(event)
