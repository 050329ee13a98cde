"""Train the same networks with PyTorch on the processor, in each of its modes.

Written after https://docs.pytorch.org/tutorials/beginner/basics/optimization_tutorial.html (the
loop), https://docs.pytorch.org/docs/stable/amp.html (`torch.autocast` with bfloat16 on the CPU),
https://docs.pytorch.org/tutorials/intermediate/memory_format_tutorial.html (channels last) and
https://docs.pytorch.org/tutorials/intermediate/torch_compile_tutorial.html. Batches are slices of
arrays in memory: `DataLoader` would collate them image by image and be slower.

Without bfloat16 in the processor, the bfloat16 modes are left out: PyTorch emulates it, at 180
images/s instead of 1,340 in float32 (AMD EPYC with AVX2, 64 filters), and a round takes 7 minutes
longer.

`images_per_second` leaves out the first epoch if there are others, because compilation and the
choice of kernels happen there. Nothing is kept.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from work import BATCH_SIZE, Work, answer, label, print_answers, read_work


@dataclass(frozen=True)
class Mode:
    """How PyTorch computes."""

    bfloat16: bool = False
    channels_last: bool = False
    compiled: bool = False

    @property
    def name(self) -> str:
        """'bfloat16 channels-last compiled'."""
        words = ["bfloat16" if self.bfloat16 else "float32"]
        words += ["channels-last"] * self.channels_last + ["compiled"] * self.compiled
        return " ".join(words)


MODES = (
    Mode(),
    Mode(channels_last=True),
    Mode(bfloat16=True, channels_last=True),
    Mode(compiled=True),
    Mode(bfloat16=True, channels_last=True, compiled=True),
)


def has_bfloat16() -> bool:
    """Whether the processor has bfloat16; assumed if the system does not say."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return True
    return "avx512_bf16" in flags or "amx_bf16" in flags


def build_model(filters: int, pooling: str) -> nn.Sequential:
    """The network of the tutorial: logits of ten classes from `[n, 1, 28, 28]`."""
    size = 28
    layers: list[nn.Module] = []
    for channels in (1, filters):
        layers += [nn.Conv2d(channels, filters, 3), nn.ReLU()]
        size -= 2
        if pooling == "max":
            layers.append(nn.MaxPool2d(2))
            size //= 2
    layers += [nn.Flatten(), nn.Linear(filters * size * size, 128), nn.ReLU(), nn.Linear(128, 10)]
    return nn.Sequential(*layers)


def train(work: Work, filters: int, pooling: str, mode: Mode) -> dict[str, object]:
    """Train one network in one mode and score it."""
    torch.manual_seed(work.seed)
    memory = torch.channels_last if mode.channels_last else torch.contiguous_format
    count = work.train_count
    images = torch.from_numpy(work.x_train[:count]).permute(0, 3, 1, 2)
    images = images.contiguous(memory_format=memory)
    labels = torch.from_numpy(work.y_train[:count])
    model = build_model(filters, pooling).to(memory_format=memory)
    step = torch.compile(model) if mode.compiled else model
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loss_of = nn.CrossEntropyLoss()
    cast = (
        torch.autocast("cpu", dtype=torch.bfloat16) if mode.bfloat16 else contextlib.nullcontext()
    )
    seconds = []
    model.train()
    for epoch in range(work.epochs):
        begin = time.perf_counter()
        for batch in torch.randperm(count).split(BATCH_SIZE):
            with cast:
                loss = loss_of(step(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        seconds.append(time.perf_counter() - begin)
        print(f"{mode.name}: epoch {epoch}, {count / seconds[-1]:,.0f} images/s", flush=True)
    steady = seconds[1:] or seconds
    result = answer(label(filters, pooling), _accuracy(model, work), sum(seconds), work.images_seen)
    speed = count * len(steady) / sum(steady)
    return {**result, "images_per_second": speed, "mode": mode.name}


@torch.no_grad()
def _accuracy(model: nn.Module, work: Work) -> float:
    model.eval()
    images = torch.from_numpy(work.x_test).permute(0, 3, 1, 2)
    guesses = torch.cat([model(part).argmax(1) for part in images.split(1000)])
    return float((guesses == torch.from_numpy(work.y_test)).float().mean())


def attempt(work: Work, filters: int, pooling: str, mode: Mode) -> dict[str, object]:
    """`train`, or the reason why this mode does not work here."""
    if mode.bfloat16 and not has_bfloat16():
        reason = "left out: the processor has no bfloat16"
    else:
        try:
            return train(work, filters, pooling, mode)
        except torch._dynamo.exc.BackendCompilerFailed as error:
            reason = str(error).splitlines()[0]
    return {"variant": label(filters, pooling), "mode": mode.name, "failed": reason}


def main() -> None:
    """Train each variant in each mode; a mode that fails is reported with its reason."""
    work = read_work()
    answers = []
    for filters, pooling in work.variants:
        for mode in MODES:
            answers.append(attempt(work, filters, pooling, mode))
    print_answers(answers)


if __name__ == "__main__":
    main()
