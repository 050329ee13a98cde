"""What is refused of a Ray cluster before anything is trained. No cluster is needed here."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.settings.engine import Engine
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import DataSettings, Training
from cnn_pipeline.trainers import ray_cluster, ray_node
from cnn_pipeline.trainers.ray_cluster import Node, join
from cnn_pipeline.trainers.ray_node import Answer, Question, differences

RAY = Engine(engine="ray")
SERVER = "http://127.0.0.1:5000"


class Cluster:
    """Stands where a cluster does: nodes, and the answer of each."""

    def __init__(self, *nodes: Node, **answers: Answer | str) -> None:
        self.found, self.answers = nodes, answers
        self.question = Question()
        self.saw_file = False

    def nodes(self) -> tuple[Node, ...]:
        return self.found

    def ask(
        self, asked: list[Node], question: Question, over: Callable[[], bool]
    ) -> dict[str, Answer | str]:
        self.question, self.saw_file = question, Path(question.seen).is_file()
        good = Answer(ray_node.facts(), sees_data=True, blind="", silence="")
        return {node.id: self.answers.get(node.id, good) for node in asked}


def node(name: str, cores: int = 2, gpus: float = 0) -> Node:
    return Node(name, f"{name}.example", cores, gpus)


def changed(**fields: object) -> Answer:
    good = {"facts": ray_node.facts(), "sees_data": True, "blind": "", "silence": ""}
    return Answer(**{**good, **fields})  # type: ignore[arg-type]


def crew(
    monkeypatch: pytest.MonkeyPatch, folder: Path, cluster: Cluster, **more: object
) -> tuple[int, int]:
    """Trainers and threads of a sweep of four trials on a cluster."""
    found = cluster_for(monkeypatch, folder, cluster, **more)  # type: ignore[arg-type]
    return min(found.most, found.room), found.threads


def cluster_for(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    cluster: Cluster,
    engine: Engine = RAY,
    uri: str = "sqlite:////home/mlflow.db",
    workers: int = 0,
    threads: int = 0,
    source: str = "fashion-mnist-sample",
) -> ray_cluster.Cluster:
    monkeypatch.setattr(ray_cluster, "reach", lambda engine: None)
    monkeypatch.setattr(ray_cluster, "nodes", cluster.nodes)
    monkeypatch.setattr(ray_cluster, "own_node", lambda: "a")
    monkeypatch.setattr(ray_cluster, "ask", cluster.ask)
    monkeypatch.setattr(ray_cluster, "has_gpu", lambda: False)
    sweep = Sweep(
        name="four",
        seeds=(0, 1, 2, 3),
        training=Training(threads=threads),
        data=DataSettings(source=source),
    )
    return join(engine, sweep, workers, uri, folder / "checkpoints")


def faults(
    monkeypatch: pytest.MonkeyPatch, folder: Path, cluster: Cluster, **more: object
) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        crew(monkeypatch, folder, cluster, **more)  # type: ignore[arg-type]
    assert caught.value.exit_code == 2
    return list(caught.value.faults)


def test_a_trainer_has_one_core_unless_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    one = Cluster(node("a", cores=3))
    assert crew(monkeypatch, tmp_path, one) == (3, 1)
    assert crew(monkeypatch, tmp_path, one, threads=3) == (1, 3)
    assert crew(monkeypatch, tmp_path, one, workers=2) == (2, 1)
    assert crew(monkeypatch, tmp_path, one, workers=9) == (3, 1)
    assert crew(monkeypatch, tmp_path, Cluster(node("a", cores=16))) == (4, 1)  # four trials
    assert not (tmp_path / "checkpoints").exists()


def test_trainers_fit_on_whole_nodes_and_cards() -> None:
    assert node("a", cores=5).room(2, 0) == 2
    assert node("a", cores=1).room(2, 0) == 0
    assert node("a", cores=16, gpus=1).room(1, 0.33) == 3
    assert node("a", cores=16, gpus=2).room(1, round(1 / 3, 3)) == 6
    assert node("a", cores=2, gpus=2).room(1, 0.25) == 2
    assert node("a", cores=16, gpus=2).room(1, 0.75) == 2  # a share is of one card
    assert node("a", cores=16).room(1, 0.5) == 0


def test_a_trial_that_fits_nowhere_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cluster = Cluster(node("a"), node("b", cores=3))
    assert faults(monkeypatch, tmp_path, cluster, threads=4) == [
        "--engine ray: a trial needs a node with 4 cores, received a.example: 2 cores, 0 GPUs; "
        "b.example: 3 cores, 0 GPUs. Give fewer --threads, or add a node"
    ]
    (fault,) = faults(
        monkeypatch, tmp_path, cluster, engine=RAY.model_copy(update={"gpu_share": 0.5})
    )
    assert "1 cores and 0.5 of a GPU" in fault
    assert "a smaller --gpu-share" in fault


def test_several_nodes_need_a_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cluster = Cluster(node("a"), node("b"))
    (fault,) = faults(monkeypatch, tmp_path, cluster, uri="sqlite:////home/me/mlflow.db")
    assert fault.startswith("--engine ray: 2 nodes need an MLflow server")
    assert "received sqlite:////home/me/mlflow.db" in fault
    assert "set MLFLOW_TRACKING_URI" in fault
    assert cluster.saw_file  # of the shared folder
    assert not list((tmp_path / "checkpoints").iterdir())


def test_one_node_beside_a_driver_without_cores_needs_a_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cluster = Cluster(node("a", cores=0), node("b"))
    (fault,) = faults(monkeypatch, tmp_path, cluster)
    assert fault.startswith("--engine ray: 2 nodes need an MLflow server")
    assert cluster.saw_file


def test_each_node_that_differs_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = {**ray_node.facts(), "keras": "3.0.0", "the processor": "another"}
    cluster = Cluster(
        node("a"),
        node("b"),
        node("c"),
        b=changed(facts=other),
        c="ModuleNotFoundError: No module named 'cnn_pipeline'",
    )
    monkeypatch.setattr(ray_cluster, "_store_faults", lambda used, uri: [])
    b, c = faults(monkeypatch, tmp_path, cluster, uri=SERVER)
    assert b.startswith("--engine ray: node b.example must be like this machine")
    assert "keras 3.0.0 instead of" in b
    assert "the processor another instead of" in b
    assert "Install the same versions there" in b
    assert "node c.example must run the same cnn-pipeline" in c
    assert "No module named 'cnn_pipeline'" in c


def test_what_a_node_cannot_see_or_reach_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    blind = changed(sees_data=False, blind="no folder", silence="Connection refused")
    cluster = Cluster(node("a"), node("b"), b=blind)
    monkeypatch.setattr(ray_cluster, "_store_faults", lambda used, uri: [])
    said = faults(monkeypatch, tmp_path, cluster, uri=SERVER, source="photos")
    assert cluster.question.data == str(Path("photos").absolute())
    assert cluster.question.store == SERVER
    assert [fault.partition(", received")[0] for fault in said] == [
        f"--engine ray: node b.example must see the images at {Path('photos').absolute()}",
        "--engine ray: node b.example must see the home folder, where checkpoints lie",
        f"--engine ray: node b.example must reach MLflow at {SERVER}",
    ]


def test_nodes_that_join_are_compared_and_lost_ones_forgotten(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = changed(facts={**ray_node.facts(), "keras": "3.0.0"})
    fake = Cluster(node("a"), node("small", cores=0), b=other)
    monkeypatch.setattr(ray_cluster, "_store_faults", lambda total, uri: [])
    found = cluster_for(monkeypatch, tmp_path, fake, uri=SERVER)
    assert (found.room, found.most) == (2, 4)

    def changes() -> list[str]:
        return list(found.changes(lambda: False))

    assert changes() == []
    fake.found = (node("a"), node("b"), node("c", cores=1))
    differs, joined = changes()
    assert differs.startswith("node b.example must be like this machine")
    assert differs.endswith("The sweep goes on without this node")
    assert joined == "node c.example joined"
    assert fake.saw_file  # of the folder that all nodes share
    assert found.room == 3
    assert changes() == []  # each is said once
    fake.found = (node("b"),)
    assert changes() == ["node a.example was lost", "node c.example was lost"]
    assert found.room == 0 and not found.may_have_room()
    fake.found = (node("d"),)
    assert changes() == ["node d.example joined"]
    assert found.may_have_room()


def test_a_node_that_was_refused_is_compared_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ray_cluster, "_store_faults", lambda total, uri: [])
    clock = [0.0]
    monkeypatch.setattr(ray_cluster.time, "monotonic", lambda: clock[0])
    fake = Cluster(node("a"), b=changed(blind="no folder"))
    found = cluster_for(monkeypatch, tmp_path, fake, uri=SERVER)
    fake.found = (node("a"), node("b"))

    def changes(*times: float) -> list[str]:
        said = []
        for clock[0] in times:
            said += found.changes(lambda: False)
        return said

    said = changes(1.0, 30.0, 70.0)
    assert len(said) == 1 and "received no folder" in said[0]
    fake.answers.clear()
    assert changes(80.0, 140.0) == ["node b.example joined"]
    assert found.room == 4


def test_a_node_that_joins_a_sweep_in_a_file_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = Cluster(node("a"))
    found = cluster_for(monkeypatch, tmp_path, fake, workers=3)
    assert found.most == 3
    fake.found = (node("a"), node("b"))
    (said,) = found.changes(lambda: False)
    assert said.startswith("2 nodes need an MLflow server")
    assert found.room == 2


def test_each_node_must_share_the_place_of_checkpoints(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = tmp_path / "shared"
    there = Engine(engine="ray", checkpoints=str(place))
    lonely = Cluster(node("a"), node("b"), b=changed(blind="[Errno 2] Path does not exist"))
    monkeypatch.setattr(ray_cluster, "_store_faults", lambda used, uri: [])
    (fault,) = faults(monkeypatch, tmp_path, lonely, engine=there, uri=SERVER)
    assert fault.startswith(
        f"--engine ray: node b.example must read and write checkpoints in {place}, received: "
        "[Errno 2] Path does not exist. Share the folder with all nodes; for a bucket"
    )
    assert lonely.question.place == str(place)
    assert not list(place.iterdir())
    assert crew(monkeypatch, tmp_path, Cluster(node("a"), node("b")), engine=there, uri=SERVER) == (
        4,
        1,
    )
    assert not (tmp_path / "checkpoints").exists()  # the home need not be shared


def test_a_place_that_this_machine_cannot_write_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    there = Engine(engine="ray", checkpoints=str(tmp_path / "file" / "ckpt"))
    (fault,) = faults(monkeypatch, tmp_path, Cluster(node("a")), engine=there)
    assert fault.startswith("--checkpoints: this machine must read and write ")
    assert "received: [Errno 20]" in fault and "AWS_ACCESS_KEY_ID" in fault


def test_a_node_proves_that_it_shares_the_place(tmp_path: Path) -> None:
    (tmp_path / "seen").touch()
    said = ray_node.answer(Question(seen="seen", place=str(tmp_path)))
    assert said.blind == ""
    said = ray_node.answer(Question(seen="seen", place=str(tmp_path / "another")))
    assert "another" in said.blind
    assert [path.name for path in tmp_path.iterdir()] == ["seen"]


def test_a_cluster_that_does_not_answer_is_refused() -> None:
    pytest.importorskip("ray")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    before = sys.excepthook
    with pytest.raises(InvalidInput) as caught:
        ray_cluster.reach(Engine(engine="ray", ray_address=address))
    (fault,) = caught.value.faults
    assert f"must answer at {address}, received: [Errno 111] Connection refused" in fault
    assert "ray start --head" in fault
    assert sys.excepthook is before


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "find_spec", lambda name: None)
    with pytest.raises(InvalidInput, match=r'pip install --editable "\.\[ray\]"'):
        ray_cluster.reach(RAY)


def test_differences_name_what_only_one_of_them_has() -> None:
    here = {"keras": "3.15.1", "numpy": "2.4.0"}
    there = {"keras": "3.15.1", "the variable XLA_FLAGS": "--x"}
    assert differences(here, here) == []
    assert differences(here, there) == [
        "numpy not set instead of 2.4.0",
        "the variable XLA_FLAGS --x instead of not set",
    ]


def test_a_node_says_what_it_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "CUDA_VISIBLE_DEVICES", "")
    said = ray_node.answer(Question(data=str(tmp_path), seen=str(tmp_path / "missing")))
    assert (said.sees_data, bool(said.blind), said.silence) == (True, True, "")
    assert differences(ray_node.facts(), said.facts) == []
