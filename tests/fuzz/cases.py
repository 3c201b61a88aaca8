"""What a case is made of, what is done with it, and which outcomes are right.

A *sealed* case was changed by someone who also made every checksum right: it must not crash, hang, take
memory or raise anything foreign, but what it answers is its author's. Any other case must be refused, or
be answered exactly as the intact thing is.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import xxhash

from fuzz.grow import deepen, grow_bytes, grow_network
from fuzz.materials import Materials, document
from fuzz.mutate import Random, choose, mend_png, mutate, mutate_document
from simsearch.documents import CHECKSUM, with_checksum
from simsearch.encode.model_folder import ENCODER, MODEL_CARD, FileRecord
from simsearch.index.manifest import ROLES

KINDS = ("bundle", "model", "checkpoint", "image")
GROWN_KINDS = ("bundle", "model", "photo")  # those that ask for more and more
MANIFEST = "manifest.json"
_CHECKPOINT = "best_model.pt"
_ODD_NAMES = ("../{}", "/tmp/{}", "x/../{}", "{}\0", "\ud800{}", "", ".", "manifest.json", "{}" * 99, "C:{}")
_PICTURE = "picture"


@dataclass(frozen=True)
class Case:
    """Something to open: a folder's files, and how it was made."""

    kind: str
    seed: tuple[int, ...]
    origin: str  # which intact thing it was made from
    change: str
    sealed: bool
    files: dict[str, bytes]
    sparse: tuple[tuple[str, int], ...] = ()  # files that are made longer by nothing

    def write(self, folder: Path) -> None:
        """Write the files into an existing folder, in the place of what is there."""
        for path in folder.iterdir():
            if path.name not in self.files:
                path.unlink()
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        for name, size in self.sparse:
            os.truncate(folder / name, size)


def make_case(kind: str, seed: tuple[int, ...], materials: Materials) -> Case:
    """The case of this seed; the same whenever it is asked for."""
    random = np.random.default_rng((KINDS.index(kind), *seed))
    make = {"bundle": _bundle, "model": _model, "checkpoint": _checkpoint, "image": _image}[kind]
    origin, change, sealed, files = make(random, materials)
    return Case(kind, seed, origin, change, sealed, files)


def grown_case(kind: str, seed: tuple[int, ...], materials: Materials) -> Case:
    """An intact thing that has been made to ask for more, one to four times."""
    random = np.random.default_rng((100 + GROWN_KINDS.index(kind), *seed))
    case = choose(random, [case for case in intact(materials) if case.kind == kind])
    for _ in range(int(random.integers(1, 5))):
        case = grow(random, case)
    return replace(case, seed=seed)


def grow(random: Random, case: Case) -> Case:
    """The same, asking for more in one more way, with checksums that are right."""
    files, change = dict(case.files), case.change.removeprefix("none")
    if case.kind == "photo":
        files[_PICTURE] = grow_bytes(random, files[_PICTURE])
        return replace(case, files=files, change=f"{change} grown")
    if case.kind == "model":
        files[ENCODER] = grow_network(random, files[ENCODER])
        card, record = document(files, MODEL_CARD), FileRecord.of(files[ENCODER])
        card["files"][ENCODER] = {"size": record.size, "sha256": record.sha256}
        files[MODEL_CARD] = _resealed_card(card)
        return replace(case, files=files, change=f"{change} grown", sealed=True)
    if "deep" in case.change:
        return case  # enough, and its manifest may be anything now
    manifest = document(files, MANIFEST)
    if random.random() < 0.3:
        files[MANIFEST] = deepen(random, manifest)
        return replace(case, files=files, change=f"{change} deep", sealed=True)
    role = choose(random, [*manifest["files"], *["index"] * 5])
    name = manifest["files"][role]["name"]
    if random.random() < 0.1:
        return replace(
            case, sparse=((name, choose(random, (2**31, 2**33, 2**40))),), change=f"{change} sparse"
        )
    content = grow_bytes(random, files.pop(name))
    _describe(manifest, role, content)
    files[manifest["files"][role]["name"]] = content
    return replace(
        case, files=_resealed(files, manifest), change=f"{change} {role} grown", sealed=True, sparse=()
    )


def intact(materials: Materials) -> list[Case]:
    """Every intact thing, to learn the right answers from."""
    found = [Case("bundle", (), name, "none", False, files) for name, files in materials.bundles.items()]
    found += [Case("model", (), name, "none", False, files) for name, files in materials.models.items()]
    if materials.checkpoint is not None:
        found.append(Case("checkpoint", (), _CHECKPOINT, "none", False, {_CHECKPOINT: materials.checkpoint}))
    pictures = materials.images.items()
    found += [Case("image", (), name, "none", True, {_PICTURE: data}) for name, data in pictures]
    return found + [Case("photo", (), name, "none", True, {_PICTURE: data}) for name, data in pictures]


def answer(kind: str, folder: Path) -> Any:
    """Open what lies in a folder and use all of it; plain values that can be compared."""
    return _ASK[kind](folder)


# Making cases

Made = tuple[str, str, bool, dict[str, bytes]]


def _bundle(random: Random, materials: Materials) -> Made:
    origin = choose(random, list(materials.bundles))
    files = dict(materials.bundles[origin])
    manifest = document(files, MANIFEST)
    match int(random.integers(14)):
        case 0:
            name = choose(random, list(files))
            files[name] = mutate(random, files[name])
            return origin, f"{_role(name)} changed", False, files
        case 1:
            files[MANIFEST] = mutate(random, files[MANIFEST])
            return origin, "manifest changed", False, files
        case 2:
            return origin, *_swap(random, files, materials)
        case 3:
            del files[choose(random, list(files))]
            return origin, "a file missing", False, files
        case 4 | 5:
            return origin, "manifest rewritten", True, _resealed(files, mutate_document(random, manifest))
        case 6:
            return origin, *_misname(random, files, manifest)
        case _:
            role = choose(random, [*manifest["files"], *["index"] * 10])
            name = manifest["files"][role]["name"]
            content = mutate(random, files.pop(name))
            _describe(manifest, role, content)
            files[manifest["files"][role]["name"]] = content
            if "blocks" in manifest["files"] and role != "blocks":
                _seal_blocks(files, manifest)
            return origin, f"{role} changed and sealed", True, _resealed(files, manifest)


def _swap(
    random: Random, files: dict[str, bytes], materials: Materials
) -> tuple[str, bool, dict[str, bytes]]:
    """Two files of one index exchanged, or one taken from another index."""
    first, second = choose(random, list(files)), choose(random, list(files))
    if random.random() < 0.5:
        other = materials.bundles[choose(random, list(materials.bundles))]
        (same_role,) = [name for name in other if _role(name) == _role(first)] or [next(iter(other))]
        if first != MANIFEST:
            files[first] = other[same_role]
        return "a file of another index", False, files
    files[first], files[second] = files[second], files[first]
    return "files exchanged", False, files


def _misname(random: Random, files: dict[str, bytes], manifest: Any) -> tuple[str, bool, dict[str, bytes]]:
    """A manifest that names a file elsewhere, or declares another size."""
    role = choose(random, list(manifest["files"]))
    entry = manifest["files"][role]
    if random.random() < 0.5:
        entry["name"] = choose(random, _ODD_NAMES).replace("{}", entry["name"])
    else:
        entry["size"] = choose(random, (0, -1, 2**31, 2**39, 2**63, 10**40, 1e10, "5", None))
    return "a file misdescribed", True, _resealed(files, manifest)


def _model(random: Random, materials: Materials) -> Made:
    origin = choose(random, list(materials.models))
    files = dict(materials.models[origin])
    card = document(files, MODEL_CARD)
    match int(random.integers(6)):
        case 0:
            name = choose(random, [ENCODER, MODEL_CARD])
            files[name] = mutate(random, files[name])
            return origin, f"{name} changed", False, files
        case 1:
            files[MODEL_CARD] = _resealed_card(mutate_document(random, card))
            return origin, "card rewritten", True, files
        case _:
            files[ENCODER] = mutate(random, files[ENCODER])
            record = FileRecord.of(files[ENCODER])
            card["files"][ENCODER] = {"size": record.size, "sha256": record.sha256}
            files[MODEL_CARD] = _resealed_card(card)
            return origin, "encoder changed and sealed", True, files


def _checkpoint(random: Random, materials: Materials) -> Made:
    assert materials.checkpoint is not None
    if random.random() < 0.4:
        return _CHECKPOINT, "changed", False, {_CHECKPOINT: mutate(random, materials.checkpoint)}
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(materials.checkpoint)) as archive, zipfile.ZipFile(packed, "w") as other:
        names = archive.namelist()
        spoilt = choose(random, [*names, *(name for name in names if name.endswith("data.pkl"))])
        for name in names:
            content = archive.read(name)
            other.writestr(name, mutate(random, content) if name == spoilt and content else content)
    return _CHECKPOINT, "a part changed and sealed", True, {_CHECKPOINT: packed.getvalue()}


def _image(random: Random, materials: Materials) -> Made:
    origin = choose(random, list(materials.images))
    data = mutate(random, materials.images[origin])
    if data[:4] == b"\x89PNG" and random.random() < 0.7:
        data = mend_png(data)
    return origin, "changed", True, {_PICTURE: data}


def _role(name: str) -> str:
    return name.split("-")[0]


def _describe(manifest: Any, role: str, content: bytes) -> None:
    """Make the manifest's words about a file true."""
    checksum = xxhash.xxh3_128_hexdigest(content)
    name = f"{role}-{checksum}.{ROLES[role]}"
    manifest["files"][role] = {"name": name, "size": len(content), "xxh3_128": checksum}
    if role == "encoder":
        manifest["encoder"] = hashlib.sha256(content).hexdigest()


def _seal_blocks(files: dict[str, bytes], manifest: Any) -> None:
    """Make the checksums of blocks right."""
    sums, block = [], 2**16
    for role in ("index", "vectors", "thumbnails", "pictures"):
        content = files[manifest["files"][role]["name"]] if role in manifest["files"] else b""
        starts = range(0, len(content), block)
        sums += [xxhash.xxh3_64_intdigest(content[start : start + block]) for start in starts]
    packed = io.BytesIO()
    np.save(packed, np.array(sums, np.uint64))
    del files[manifest["files"]["blocks"]["name"]]
    _describe(manifest, "blocks", packed.getvalue())
    files[manifest["files"]["blocks"]["name"]] = packed.getvalue()


def _resealed(files: dict[str, bytes], manifest: Any) -> dict[str, bytes]:
    return {**files, MANIFEST: _resealed_card(manifest)}


def _resealed_card(card: Any) -> bytes:
    if not isinstance(card, dict):
        return json.dumps(card).encode()
    return with_checksum({key: value for key, value in card.items() if key != CHECKSUM})


# Asking

_EXAMPLES = ((60, 180, 0, 0), (0, 0, 120, 120), (1, 60, 0, 240))


def _ask_bundle(folder: Path) -> Any:
    from toys import quadrant_image

    from simsearch.index import checked
    from simsearch.prepare.prepare import PreparedImage
    from simsearch.search.searcher import Searcher

    by_block = any(_role(path.name) == "blocks" for path in folder.iterdir())
    with mock.patch.object(checked, "LARGE", 1):
        searcher = Searcher.open(folder, threads=1, **({"private": 0} if by_block else {}))
    answers = searcher.query_prepared([PreparedImage(quadrant_image(*grays)) for grays in _EXAMPLES], k=7)
    answers.append(searcher.query_item(0, k=3, labels=searcher.bundle.manifest.classes[:1]))
    pictures = [_hash(searcher.thumbnail(hit.id)) for hit in answers[0].hits]
    return [[found.to_dict() for found in answers], pictures]


def _ask_model(folder: Path) -> Any:
    from toys import quadrant_image

    from simsearch.encode.model_folder import open_model
    from simsearch.prepare.prepare import PreparedImage
    from simsearch.search.searcher import measure_similarity

    model = open_model(folder, threads=1)
    pictures = [PreparedImage(quadrant_image(*grays)) for grays in _EXAMPLES]
    result = measure_similarity(model, *pictures[:2])
    vectors = model.encoder.encode(np.stack([picture.pixels for picture in pictures]))
    return [_hash(vectors), result.score, result.logit, result.probability]


def _ask_checkpoint(folder: Path) -> Any:
    from simsearch.train.checkpoints import load_model

    state = load_model(folder / _CHECKPOINT).state_dict()
    return [[name, _hash(tensor.numpy())] for name, tensor in state.items()]


def _ask_image(folder: Path) -> Any:
    from simsearch.prepare.prepare import prepare_image

    pixels = prepare_image(folder / _PICTURE).pixels
    assert (pixels.dtype, pixels.shape) == (np.uint8, (28, 28))
    return _hash(pixels)


def _ask_photo(folder: Path) -> Any:
    from simsearch.prepare.inputs import ImageInput
    from simsearch.prepare.pictures import prepare_picture

    input = ImageInput("photo", 1, 224, 224, 3, (0.5,) * 3, (0.5,) * 3)
    return _hash(prepare_picture(folder / _PICTURE, input).pixels)


def _hash(array: Any) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def _run_code(folder: Path) -> None:
    """For the test of the watch: whatever the folder's file `code` says."""
    exec((folder / "code").read_text(), {})


_ASK = {
    "bundle": _ask_bundle,
    "model": _ask_model,
    "checkpoint": _ask_checkpoint,
    "image": _ask_image,
    "photo": _ask_photo,
    "selftest": _run_code,
}
