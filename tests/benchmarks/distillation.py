"""Does EmbeddingNet learn more from trained networks beside the labels? Soft pairs of averaged teachers.

Of each pair of a batch the teachers say how likely it shows one class: the mean of their logits, through a
sigmoid. The target is between that and the label. What is handed on are relations between images, not vectors
(Tung and Mori, "Similarity-Preserving Knowledge Distillation", ICCV 2019; of several teachers, Hinton,
Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015). Each seed is trained with and without.

    python tests/benchmarks/distillation.py runs/residual-0 runs/residual-1 --seeds 0 1 --epochs 10
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from without_errors import Figures, train_and_measure

from simsearch.data.datasets import load_named
from simsearch.data.splits import hold_out
from simsearch.encode.model_folder import BEST_CHECKPOINT, read_model_card
from simsearch.train.checkpoints import load_model
from simsearch.train.loop import Trainer, configure_torch
from simsearch.train.model import SimilarityModel
from simsearch.train.networks import network_of
from simsearch.train.objectives import Objective, PairLogits
from simsearch.train.recipes import DEFAULT_RECIPE, configure

Step = Callable[[SimilarityModel], PairLogits]


class _Recorded(torch.nn.Module):
    """An embedding that remembers the images of its last batch."""

    def __init__(self, embedding: torch.nn.Module) -> None:
        super().__init__()
        self.embedding, self.images = embedding, torch.empty(0)

    def forward(self, images: Tensor) -> Tensor:
        """The vectors of images."""
        self.images = images
        vectors: Tensor = self.embedding(images)
        return vectors


class SoftPairs:
    """The steps of an objective, whose targets lie between the labels and what teachers say."""

    def __init__(self, own: Objective, teachers: Sequence[SimilarityModel], share: float) -> None:
        """Teach so much of each target."""
        self._own, self._teachers, self._share = own, teachers, share

    @property
    def steps(self) -> int:
        """Steps an epoch."""
        return self._own.steps

    def epoch(self, epoch: int) -> Iterator[Step]:
        """The steps of an epoch."""
        for step in self._own.epoch(epoch):
            yield partial(self._taught, step)

    def _taught(self, step: Step, model: SimilarityModel) -> PairLogits:
        recorded = _Recorded(model.embedding)
        student = SimilarityModel(embedding=recorded)
        student.projection = model.projection
        found = step(student)
        soft = torch.stack([_logits(one, recorded.images, found.samples) for one in self._teachers]).mean(0)
        target = torch.lerp(found.same, torch.sigmoid(soft).flatten(), self._share)
        return found._replace(same=target)


@torch.no_grad()
def _logits(teacher: SimilarityModel, images: Tensor, count: int) -> Tensor:
    """What a teacher says of all images of a batch against the first so many: (N, count)."""
    vectors = teacher.embedding(images).float()
    with torch.autocast(images.device.type, enabled=False):
        return teacher.project(vectors @ vectors[:count].T)


def teacher_of(run: Path) -> SimilarityModel:
    """The model of a finished run."""
    model = load_model(run / BEST_CHECKPOINT, network_of(read_model_card(run)))
    return model.eval().to(memory_format=torch.channels_last)


def teach(teachers: Sequence[SimilarityModel], share: float, trainer: Trainer) -> None:
    """Have a trainer learn from teachers too."""
    trainer._objective = SoftPairs(trainer._objective, teachers, share)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("teachers", type=Path, nargs="+", help="folders of finished runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--average", type=float, default=0.995, help="of weights, as short as the schedule")
    parser.add_argument("--share", type=float, default=0.5, help="of each target that the teachers say")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    configure_torch(threads=options.threads)
    train, test = load_named("mnist:train"), load_named("mnist")
    recipe = configure(DEFAULT_RECIPE, [f"epochs={options.epochs}", f"average={options.average}"])
    teachers = [teacher_of(run) for run in options.teachers]
    part = hold_out(len(train))
    print("| | " + " | ".join(Figures._fields) + " |\n|---" + "|---" * len(Figures._fields) + "|")
    for seed in options.seeds:
        for name, change in (("alone", lambda _: None), ("taught", partial(teach, teachers, options.share))):
            figures = train_and_measure(recipe, train, test, part, part.train, seed, change)
            print(
                f"| {name}, seed {seed} | " + " | ".join(f"{one:.4f}" for one in figures) + " |", flush=True
            )


if __name__ == "__main__":
    main()
