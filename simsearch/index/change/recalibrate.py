"""Whether what an index claims of its gallery still holds, and what it may claim instead."""

from __future__ import annotations

from pathlib import Path

from msgspec import structs

from simsearch.index.bundle import open_as
from simsearch.index.calibrate import suit_gallery
from simsearch.index.manifest import Manifest
from simsearch.stats.calibration import Calibration


def recalibrated(folder: Path, manifest: Manifest) -> Manifest:
    """A manifest whose calibration was checked on its gallery, and fitted to it where it did not hold.

    :param manifest: Of files that are written, and perhaps not committed.
    """
    return calibrated(folder, manifest, model_of(manifest))


def calibrated(folder: Path, manifest: Manifest, model: Calibration | None) -> Manifest:
    """A manifest with what may be claimed of its gallery.

    :param model: The calibration of the model that made its vectors, if it has one.
    """
    bundle = open_as(folder, manifest)
    found = suit_gallery(model, bundle.store, bundle.pictures if bundle.keeps_digits else None)
    return fitted(manifest, model, found)


def fitted(manifest: Manifest, model: Calibration | None, found: Calibration | None) -> Manifest:
    """A manifest with a calibration that was found for its gallery, and the model's where that is another."""
    refitted = model is not None and (found is None or found.pairs != model.pairs)
    return structs.replace(
        manifest, calibration=found, model_calibration=model if refitted else None, changed=0
    )


def model_of(manifest: Manifest) -> Calibration | None:
    """The calibration that came with an index's model; one of a gallery alone rests on the best cosine."""
    if manifest.model_calibration is not None:
        return manifest.model_calibration
    calibration = manifest.calibration
    if calibration is None or calibration.novelty.weights.keys() == {"best"}:
        return None
    return calibration
