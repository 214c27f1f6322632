"""Batches of photos for the training and its validation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetFromList, build_detection_test_loader, get_detection_dataset_dicts
from detectron2.data.build import trivial_batch_collator
from detectron2.utils import comm

from dataset_tools.errors import UserError
from polymask.data.copy_paste import CopyPasteMapper
from polymask.data.mapper import EvaluationMapper, TrainMapper
from polymask.data.sampler import BatchPlan
from polymask.data.seeding import seeded
from polymask.data.workers import (
    end_workers_at_exit,
    leave_signals_to_the_parent,
    lost_worker,
    number_of_workers,
    wait_for_the_signal,
)

Mapper = Callable[[dict[str, Any]], dict[str, Any]]
SafeMapper = Callable[[dict[str, Any]], dict[str, Any] | UserError]


def build_train_loader(cfg: CfgNode, start_iter: int) -> Iterable[list[dict]]:
    """This process's photos of each update, endlessly, beginning with iteration ``start_iter``.

    A batch depends on the seed and its number alone: not on the number of workers, nor on what was loaded before.
    """
    records = get_detection_dataset_dicts(
        list(cfg.DATASETS.TRAIN), filter_empty=cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS
    )
    sizes = [(record["width"], record["height"]) for record in records]
    plan = BatchPlan(sizes, cfg.SOLVER.IMS_PER_BATCH, cfg.SEED, group=cfg.DATALOADER.ASPECT_RATIO_GROUPING)
    stored = DatasetFromList(records)  # serialised, so that workers share its memory
    mapper: Mapper = TrainMapper.for_training(cfg, records)
    if cfg.INPUT.COPY_PASTE.PROBABILITY > 0:
        mapper = CopyPasteMapper(mapper, stored, cfg.INPUT.COPY_PASTE.PROBABILITY)
    loader = torch.utils.data.DataLoader(
        SeededPhotos(stored, _ErrorsAsItems(mapper), cfg.SEED),
        batch_sampler=plan.batches(start_iter, comm.get_rank(), comm.get_world_size()),
        num_workers=number_of_workers(cfg),
        collate_fn=trivial_batch_collator,
        worker_init_fn=leave_signals_to_the_parent,
        generator=torch.Generator(),  # or its start would draw from the training's
    )
    return _Batches(loader)


def build_validation_loader(cfg: CfgNode, dataset_name: str) -> Iterable[list[dict]]:
    """Each photo of a dataset once, as in an evaluation, with its annotations; divided among the processes."""
    return _each_photo_once(cfg, dataset_name, TrainMapper.for_validation(cfg))


def build_evaluation_loader(cfg: CfgNode, dataset_name: str, whole: bool = False) -> Iterable[list[dict]]:
    """Detectron2's loader for evaluations: each photo of a dataset once, divided among the processes.

    Args:
        cfg: of the model.
        dataset_name: a registered dataset.
        whole: see ``EvaluationMapper``.
    """
    return _each_photo_once(cfg, dataset_name, EvaluationMapper(cfg, whole))


def _each_photo_once(cfg: CfgNode, dataset_name: str, mapper: Mapper) -> _Batches:
    records = get_detection_dataset_dicts([dataset_name], filter_empty=False)
    loader = build_detection_test_loader(records, mapper=_ErrorsAsItems(mapper), num_workers=number_of_workers(cfg))
    loader.worker_init_fn = leave_signals_to_the_parent
    return _Batches(loader)


class _ErrorsAsItems:
    """A mapper that returns a UserError in the place of a photo: what a worker raises, torch makes a traceback of."""

    def __init__(self, mapper: Mapper):
        self._mapper = mapper

    def __call__(self, record: dict[str, Any]) -> dict[str, Any] | UserError:
        try:
            return self._mapper(record)
        except UserError as error:
            return error


class _Batches:
    """The batches of a loader, which raises here the errors that came in the place of photos."""

    def __init__(self, loader: torch.utils.data.DataLoader):
        self._loader = loader

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[list[dict]]:
        end_workers_at_exit()
        try:
            for batch in self._loader:
                for error in batch:
                    if isinstance(error, UserError):
                        raise error
                yield batch
        except (EOFError, ConnectionError) as error:  # before PyTorch says so: photos were on their way from a worker
            wait_for_the_signal()
            raise lost_worker(f"its connection has ended ({type(error).__name__})") from error


class SeededPhotos(torch.utils.data.Dataset):
    """Photos by (position, index), augmented by a randomness that follows from the seed and these two."""

    def __init__(self, records: DatasetFromList, mapper: SafeMapper, seed: int):
        self._records = records
        self._mapper = mapper
        self._seed = seed

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, place: tuple[int, int]) -> dict[str, Any] | UserError:
        position, index = place
        with seeded(self._seed, position, index):
            return self._mapper(self._records[index])
