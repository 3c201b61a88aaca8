"""What datasets there are by name: their files as torchvision keeps them, checksums, classes, sizes."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

IDX, USPS, SVHN, CIFAR = "IDX", "USPS", "SVHN", "CIFAR-10"


@dataclass(frozen=True)
class NamedFile:
    """A file of a dataset.

    `md5` is torchvision's: of `name`.gz where the format is IDX, of the file itself otherwise. `sha256` is
    that of an IDX file unpacked. What is not known is empty.
    """

    name: str
    md5: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class NamedDataset:
    """A dataset that can be asked for by name."""

    name: str  # as it is asked for
    title: str
    splits: Mapping[str, tuple[NamedFile, ...]]  # "train" and "test" -> files; of IDX images, then labels
    counts: Mapping[str, int]  # images of each split
    classes: tuple[str, ...]
    source: str  # where a person can download it
    megabytes: int  # that are fetched
    torchvision: str  # its class in torchvision.datasets
    folder: str = ""  # below torchvision's root
    options: Mapping[str, str] = field(default_factory=dict)  # of torchvision's class
    format: Literal["IDX", "USPS", "SVHN", "CIFAR-10"] = "IDX"
    installed: Path | None = None  # where a package of the system puts it
    turned: bool = False  # rows and columns are exchanged in its files
    first_label: int = 0

    def places(self, data_dir: Path) -> tuple[Path, ...]:
        """Where its files may lie: torchvision's layout, a folder of its name, the system's."""
        own = (data_dir / self.folder, data_dir / self.name)
        return own if self.installed is None else (*own, self.installed)


def _idx(
    prefix: str, md5: tuple[str, str] = ("", ""), sha256: tuple[str, str] = ("", "")
) -> tuple[NamedFile, ...]:
    names = (f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte")
    return tuple(NamedFile(*one) for one in zip(names, md5, sha256, strict=True))


_DIGITS = tuple(string.digits)
_LIKE_MNIST = {"train": 60_000, "test": 10_000}
_FASHION = NamedDataset(
    name="fashion-mnist",
    title="Fashion-MNIST",
    folder="FashionMNIST/raw",
    torchvision="FashionMNIST",
    installed=Path("/usr/share/datasets/fashion-mnist"),  # Debian's package dataset-fashion-mnist
    source="https://github.com/zalandoresearch/fashion-mnist",
    megabytes=31,
    counts=_LIKE_MNIST,
    classes=(
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    splits={
        "train": _idx(
            "train",
            ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", "25c81989df183df01b3e8a0aad5dffbe"),
            (
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            ),
        ),
        "test": _idx(
            "t10k",
            ("bef4ecab320f06d8554ea6380940ec79", "bb300cfdad3c16e7a12a480ee83cd310"),
            (
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            ),
        ),
    },
)
_KMNIST = NamedDataset(
    name="kmnist",
    title="KMNIST",
    folder="KMNIST/raw",
    torchvision="KMNIST",
    source="http://codh.rois.ac.jp/kmnist/",
    megabytes=21,
    counts=_LIKE_MNIST,
    classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    splits={
        "train": _idx("train", ("bdb82020997e1d708af4cf47b453dcf7", "e144d726b3acfaa3e44228e80efcd344")),
        "test": _idx("t10k", ("5c965bf0a639b31b8f53240b1b52f4d7", "7320c461ea6c1c855c0b718fb2a4b134")),
    },
)
_QMNIST = NamedDataset(
    name="qmnist",
    title="QMNIST",
    folder="QMNIST/raw",
    torchvision="QMNIST",
    source="https://github.com/facebookresearch/qmnist",
    megabytes=20,
    counts={"train": 60_000, "test": 60_000},
    classes=_DIGITS,
    splits={
        "train": (
            NamedFile("qmnist-train-images-idx3-ubyte", "ed72d4157d28c017586c42bc6afe6370"),
            NamedFile("qmnist-train-labels-idx2-int", "0058f8dd561b90ffdd0f734c6a30e5e4"),
        ),
        "test": (
            NamedFile("qmnist-test-images-idx3-ubyte", "1394631089c404de565df7b7aeaf9412"),
            NamedFile("qmnist-test-labels-idx2-int", "5b5b05890a5e13444e108efe57b788aa"),
        ),
    },
)
_USPS = NamedDataset(
    name="usps",
    title="USPS",
    torchvision="USPS",
    source="https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass.html#usps",
    megabytes=8,
    counts={"train": 7_291, "test": 2_007},
    classes=_DIGITS,
    format="USPS",
    splits={
        "train": (NamedFile("usps.bz2", "ec16c51db3855ca6c91edd34d0e9b197"),),
        "test": (NamedFile("usps.t.bz2", "8ea070ee2aca1ac39742fdd1ef5ed118"),),
    },
)
_SVHN = NamedDataset(
    name="svhn",
    title="SVHN",
    torchvision="SVHN",
    source="http://ufldl.stanford.edu/housenumbers/",
    megabytes=246,
    counts={"train": 73_257, "test": 26_032},
    classes=_DIGITS,
    format="SVHN",
    splits={
        "train": (NamedFile("train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373"),),
        "test": (NamedFile("test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3"),),
    },
)
_CIFAR10 = NamedDataset(
    name="cifar10",
    title="CIFAR-10",
    folder="cifar-10-batches-py",
    torchvision="CIFAR10",
    source="https://www.cs.toronto.edu/~kriz/cifar.html",
    megabytes=171,
    counts={"train": 50_000, "test": 10_000},
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    format="CIFAR-10",
    splits={
        "train": (
            NamedFile("data_batch_1", "c99cafc152244af753f735de768cd75f"),
            NamedFile("data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"),
            NamedFile("data_batch_3", "54ebc095f3ab1f0389bbae665268c751"),
            NamedFile("data_batch_4", "634d18415352ddfa80567beed471001a"),
            NamedFile("data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"),
        ),
        "test": (NamedFile("test_batch", "40351d587109b95175f43aff81a1287e"),),
    },
)


def _emnist(part: str, train: int, test: int, classes: tuple[str, ...], first_label: int = 0) -> NamedDataset:
    """A part of EMNIST; of its files no checksums are published, but of the archive that they come in."""
    return NamedDataset(
        name=f"emnist-{part}",
        title=f"EMNIST {part}",
        folder="EMNIST/raw",
        torchvision="EMNIST",
        options={"split": part},
        source="https://www.nist.gov/itl/products-and-services/emnist-dataset",
        megabytes=562,
        counts={"train": train, "test": test},
        classes=classes,
        first_label=first_label,
        turned=True,
        splits={split: _idx(f"emnist-{part}-{split}") for split in ("train", "test")},
    )


# The small letters that are told from their capitals; the others are one class with them.
_BALANCED = (*string.digits, *string.ascii_uppercase, *"abdefghnqrt")
NAMED: Mapping[str, NamedDataset] = MappingProxyType(
    {
        dataset.name: dataset
        for dataset in (
            _FASHION,
            _KMNIST,
            _QMNIST,
            _emnist("letters", 124_800, 20_800, tuple(string.ascii_lowercase), first_label=1),
            _emnist("digits", 240_000, 40_000, _DIGITS),
            _emnist("balanced", 112_800, 18_800, _BALANCED),
            _USPS,
            _SVHN,
            _CIFAR10,
        )
    }
)
