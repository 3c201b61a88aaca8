"""Debian's openclipart-png: 8,121 files that nobody made for us, and which few of them are left out.

A part of them by default; with `SIMSEARCH_SLOW=1` all, which takes minutes.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from simsearch.data.folders import load_image_folder
from simsearch.prepare.inputs import ImageInput

FOLDER = Path("/usr/share/openclipart/png")
pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="needs a package of Debian's: apt-get install openclipart-png"
)
STRIDE = 1 if os.environ.get("SIMSEARCH_SLOW") else 37
INPUT = ImageInput("photo", 1, 32, 32, 3, (0.5,) * 3, (0.25,) * 3)
# More than 150 MB where each pixel has its four bytes: 37 megapixels.
BEYOND = {
    "computer/microchip_v.2_havok_redh_01.png": "16000 x 14464 pixels",
    "food/beverages/milk_mateya_01.png": "10562 x 16000 pixels",
    "food/breads_and_carbs/bread_mateya_01.png": "10534 x 16000 pixels",
    "food/breads_and_carbs/pasta_mateya_01.png": "10536 x 16000 pixels",
    "food/dairy/cheese_mateya_01.png": "10534 x 16000 pixels",
    "food/desserts/cake_mateya_01.png": "10527 x 16000 pixels",
    "food/fruit/apple_mateya_01.png": "10524 x 16000 pixels",
    "food/fruit/banana_mateya_01.png": "10561 x 16000 pixels",
    "food/meats_and_eggs/egg_mateya_01.png": "10535 x 16000 pixels",
    "food/meats_and_eggs/salami_mateya_01.png": "10562 x 16000 pixels",
    "food/vegetables/paprika_mateya_01.png": "10535 x 16000 pixels",
    "food/vegetables/salad_mateya_01.png": "10534 x 16000 pixels",
    "people/man_head_mikhail_a.medve_.png": "4940 x 8240 pixels",
    "people/man_head_mikhail_a.medve_01.png": "4940 x 8240 pixels",
    "signs_and_symbols/flags/america/united_states/kansasflag_dave_reckonin_01.png": "12715 x 8277 pixels",
    "signs_and_symbols/flags/kansasflag_dave_reckonin_01.png": "12715 x 8277 pixels",
    "signs_and_symbols/stop_sign_miguel_s_nchez_.png": "20990 x 29700 pixels",
    "transportation/roadsigns/stop_sign_right_font_mig_.png": "20990 x 29700 pixels",
}


def test_of_real_clip_art_none_is_left_out_but_what_is_beyond_the_bound_on_cost(tmp_path):
    every = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.png"))
    wanted = sorted({*every[::STRIDE], *BEYOND})
    for path in wanted:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).symlink_to(FOLDER / path)
    split = load_image_folder(tmp_path, INPUT, processes=1)

    assert len(every) == 8_121
    skipped = {entry.path: entry.reason for entry in split.skipped}
    assert skipped.keys() == BEYOND.keys()
    for path, size in BEYOND.items():
        assert size in skipped[path]
    assert sorted(split.sources) == sorted(set(wanted) - BEYOND.keys())
    assert split.images.shape == (len(wanted) - len(BEYOND), 32, 32, 3)
    blank = np.ptp(split.images, axis=(1, 2, 3)) == 0
    assert blank.mean() < 0.05  # a few files show nothing, such as `special/gradients`
