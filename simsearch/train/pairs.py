"""PairDataset: image pairs for torch, a whole batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from simsearch.stats.pairs import PairTable


class PairBatch(NamedTuple):
    """B pairs: float32 (B, 1, H, W) twice, and float32 (B,), 1 for the same class, else 0."""

    first: Tensor
    second: Tensor
    same: Tensor


class PairDataset(Dataset[PairBatch]):
    """The pairs of a table, over images that are already normalized tensors.

    `dataset[i]` is one pair (image, image, 1 or 0). A DataLoader asks through `__getitems__` for a
    whole batch, which costs three tensor look-ups and no Python per item; give it `collate_fn=as_is`.
    """

    def __init__(self, images: Tensor, table: PairTable) -> None:
        self._images = images
        self._first = torch.from_numpy(table.first)
        self._second = torch.from_numpy(table.second)
        self._same = torch.from_numpy(table.same).to(torch.float32)
        self.table = table

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> PairBatch:
        return PairBatch(
            self._images[self._first[index]], self._images[self._second[index]], self._same[index]
        )

    def __getitems__(self, indices: Sequence[int]) -> PairBatch:
        rows = torch.as_tensor(indices)
        return PairBatch(self._images[self._first[rows]], self._images[self._second[rows]], self._same[rows])


def as_is(batch: Any) -> Any:
    """The collate function for a dataset that already returns whole batches."""
    return batch
