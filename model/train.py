"""The training loop: plain PyTorch, with accelerate for ranks and precision.

Everything that happens in a step is a function of the seed and the step: the samples, the learning
rate, the dropout. So a run that goes on from a checkpoint is the run that never stopped, bit for
bit on a CPU.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from model import checkpoint
from model.batch import Batch, Collate
from model.checkpoint import Trained
from model.config import ModelConfig, TrainConfig, differences, load_config
from model.descent import make_optimizer, rate
from model.fifa import FifaMLLM
from model.log import Log
from model.losses import NAMES, counts, total
from model.order import Place, share
from model.parallel import make_accelerator, moments_of, put_moments, spread, weights_of
from model.room import check_room
from model.samples import MASKS_DIFFER, SIDES, TOO_LONG, Samples
from model.signals import outlive_signals, stop_signals
from model.splits import pairs
from model.validate import validate
from schemas.errors import TrainingDiverged, UsageError

Progress = Callable[[str, int, int], None]
"""Takes a stage, the steps done and the steps in all."""
REASONS = (TOO_LONG, MASKS_DIFFER)


@dataclass(frozen=True)
class Outcome:
    """What a run left behind.

    Attributes:
        trained: How far it came.
        stopped: Whether a signal ended it early.
        held_out: Rows that were not learnt, to validate on.
        waited: Share of the time, 0..1, that training waited for samples.
    """

    trained: Trained
    stopped: bool
    held_out: int
    waited: float


class Trainer:
    """One run.

    Args:
        model: What is trained; it is changed in place.
        samples: What it learns from.
        held_out: What it is validated on; None: on nothing.
        run: Folder of the run; where it holds checkpoints, the run goes on from the latest.

    Raises:
        UsageError: The batch cannot be shared among the ranks, no question fits into the longest
            text, or the folder holds a run of another configuration or on other data.
    """

    def __init__(
        self, model: FifaMLLM, samples: Samples, held_out: Samples | None, run: Path
    ) -> None:
        self.model, self.samples, self.held_out, self.run = model, samples, held_out, run
        self.config: TrainConfig = model.config.train
        self.accelerator = make_accelerator(self.config)
        self.ranks, self.rank = self.accelerator.num_processes, self.accelerator.process_index
        if self.config.batch % self.ranks:
            raise UsageError(
                f"train.batch {self.config.batch} cannot be shared by {self.ranks} ranks"
            )
        if self.config.look < self.config.steps:
            check_room(samples)
        self.trained, self.waited = Trained(data=samples.fingerprint()), 0.0
        self.order = samples.order()
        model.learnt = pairs(samples.shards, (row for row, _ in samples.places))
        before = checkpoint.latest(run)
        if before:
            _check_same(model.config, before)
            self.trained, moments = checkpoint.read_state(before, samples.fingerprint())
            checkpoint.load_weights(model.network, before)
        if self.config.recompute:
            model.network.language.bare.activation_checkpointing_enable()
        self.network = spread(model.network, self.config, self.accelerator)
        self.optimizer = self.accelerator.prepare(make_optimizer(model.network, self.config))
        if before:
            put_moments(self.network, self.optimizer, moments)

    def train(self, progress: Progress | None = None) -> Outcome:
        """Trains to the last step, or until a signal asks to stop.

        Raises:
            TrainingDiverged: The loss or its gradient is not a number; the latest checkpoint stays
                as it is.
            OutputError: A checkpoint cannot be written.
        """
        stopped, began = False, time.perf_counter()
        with stop_signals() as asked, Log(self.run, self.trained.step, self._is_main) as log:
            for pieces in self._timed(self._batches()):
                step = self.trained.step
                figures, stopped = self._step(pieces, step, asked)
                self.trained = replace(self.trained, step=step + 1)
                log.write(step + 1, "train", figures)
                if progress and self._is_main:
                    progress("training", step + 1, self.config.steps)
                self._at_intervals(log, stopped)
                if stopped:
                    break
        rows = len(self.held_out) // len(SIDES) if self.held_out else 0
        waited = self.waited / (time.perf_counter() - began)
        return Outcome(self.trained, stopped, rows, waited)

    @property
    def _is_main(self) -> bool:
        return bool(self.accelerator.is_main_process)

    def _timed(self, batches: Iterator[list[Batch]]) -> Iterator[list[Batch]]:
        """Gives the same, and adds up the seconds that it takes to get them."""
        while True:
            began = time.perf_counter()
            pieces = next(batches, None)
            self.waited += time.perf_counter() - began
            if pieces is None:
                return
            yield pieces

    def _batches(self) -> Iterator[list[Batch]]:
        """Gives this rank's pieces of each step that is left."""
        done, asked = self.trained.step, min(self.config.look, self.config.steps)
        yield from self._read(self.samples.unasked(), range(done, asked))
        yield from self._read(self.samples, range(max(done, asked), self.config.steps))

    def _read(self, samples: Samples, steps: range) -> Iterator[list[Batch]]:
        """Gives the pieces of some steps; workers read ahead of them."""
        if not steps:
            return
        workers = samples.config.workers
        loader = iter(
            DataLoader(
                samples,
                batch_sampler=self._pieces(steps),
                collate_fn=Collate(self.model.vocabulary),
                num_workers=workers,
                multiprocessing_context="spawn" if workers else None,
                worker_init_fn=outlive_signals,
            )
        )
        count = -(-self.config.batch // (self.ranks * self.config.micro_batch))
        for _ in steps:
            yield [next(loader) for _ in range(count)]

    def _pieces(self, steps: range) -> Iterator[list[Place]]:
        """Gives what this rank reads, one piece after the other."""
        for step in steps:
            batch = self.order.batch(step, self.config.batch)
            yield from share(batch, self.rank, self.ranks, self.config.micro_batch)

    def _step(
        self, pieces: Sequence[Batch], step: int, asked: threading.Event
    ) -> tuple[dict[str, float], bool]:
        """Does one step; gives its figures, and whether any rank was asked to stop by its end."""
        self.network.train()
        torch.manual_seed(hash((self.config.seed, step, self.rank)))
        known = torch.stack([torch.cat([counts(one), _left_out(one)]) for one in pieces])
        known = self._over_ranks(known.sum(dim=0)).cpu()
        counted, left_out = known[: len(NAMES)], known[len(NAMES) :].int().tolist()
        dropped = Counter(self.trained.dropped) + Counter(dict(zip(REASONS, left_out, strict=True)))
        self.trained = replace(self.trained, dropped=dict(dropped))
        for group in self.optimizer.param_groups:
            group["lr"] = group["share"] * rate(self.config, step)
        sums = torch.zeros(len(NAMES) + 2, dtype=torch.float64, device=self.accelerator.device)
        for at, piece in enumerate(pieces):
            with self._without_sync(at + 1 < len(pieces)):
                found = self.network(piece.to(self.accelerator.device))
                loss = total(found.losses, counted, self.config.loss)
                self.accelerator.backward(loss * self.ranks)  # DDP takes the mean over ranks
            told = torch.stack([found.iou, found.right.float()])
            sums += torch.cat([found.losses.detach(), told]).double()
        told = torch.cat([sums, sums.new_tensor([float(asked.is_set())])])
        told = self._over_ranks(told).cpu()
        sums, stop = told[:-1], bool(told[-1] > 0)
        norm = float(self.accelerator.clip_grad_norm_(self.network.parameters(), self.config.clip))
        self._check(sums, norm, step)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return self._figures(sums, counted, norm, step), stop

    def _without_sync(self, holds: bool) -> AbstractContextManager[Any]:
        """Lets DDP sum gradients over ranks with the last piece only; parts have no room for it."""
        return self.accelerator.no_sync(self.network) if holds else nullcontext()

    def _over_ranks(self, values: torch.Tensor) -> torch.Tensor:
        """Gives the sum over all ranks."""
        found: torch.Tensor = self.accelerator.reduce(
            values.to(self.accelerator.device), reduction="sum"
        )
        return found

    def _check(self, sums: torch.Tensor, norm: float, step: int) -> None:
        """Looks before the weights are changed: a finite loss may have a gradient that is not."""
        if not (bool(torch.isfinite(sums).all()) and math.isfinite(norm)):
            last = checkpoint.latest(self.run)
            raise TrainingDiverged(
                f"the loss or the gradient of step {step + 1} is not a number; "
                + (f"{last} is the last good checkpoint" if last else "no checkpoint was made yet")
                + ": try a smaller train.lr, or a longer train.warmup"
            )

    def _figures(
        self, sums: torch.Tensor, counted: torch.Tensor, norm: float, step: int
    ) -> dict[str, float]:
        means = (sums[: len(NAMES)] / counted.clamp(min=1)).tolist()
        return {
            "loss": float(total(sums[: len(NAMES)], counted, self.config.loss)),
            **dict(zip(NAMES, means, strict=True)),
            "mask_iou": float(sums[-2] / counted[1].clamp(min=1)),
            "token_accuracy": float(sums[-1] / counted[0].clamp(min=1)),
            "dropped": sum(self.trained.dropped.values()),
            "lr": rate(self.config, step),
            "gradient": norm,
        }

    def _at_intervals(self, log: Log, stopped: bool) -> None:
        """Validates and saves where it is time, and at the end."""
        step, last = self.trained.step, self.trained.step == self.config.steps
        better: dict[str, float] = {}
        if self.held_out and (last or step % self.config.validate_every == 0):
            found = validate(self.network, self.held_out, self.model, self.accelerator)
            log.write(step, "validation", found)
            if _is_better(self.config.best, found[self.config.best], self.trained.best):
                self.trained = replace(self.trained, best=found[self.config.best])
                better = found
        if last or stopped or better or step % self.config.save_every == 0:
            self._save(better)

    def _save(self, better: dict[str, float]) -> None:
        weights = weights_of(self.network, checkpoint.saved_names(self.model.network))
        moments = moments_of(self.network, self.optimizer)
        if self._is_main:
            folder = checkpoint.save(self.run, self.model, weights, moments, self.trained)
            if better:
                checkpoint.mark_best(self.run, folder, self.config.best, better[self.config.best])
            checkpoint.prune(self.run, self.config.keep)
        self.accelerator.wait_for_everyone()


def _left_out(piece: Batch) -> torch.Tensor:
    """Gives how many of a piece's questions were left out, by reason."""
    return torch.tensor([piece.dropped[why] for why in REASONS], dtype=torch.float64)


def _check_same(config: ModelConfig, before: Path) -> None:
    differing = differences(load_config(before / checkpoint.CONFIG), config)
    checkpoint.check_same(config, differing, before.parent)


def _is_better(name: str, value: float, best: float | None) -> bool:
    if best is None:
        return not math.isnan(value)
    return value < best if name == "loss" else value > best
