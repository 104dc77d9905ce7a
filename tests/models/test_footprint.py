"""What cards hold by counted figures: arithmetic by hand, and that every hub base was counted."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from smalti.cli import doctor
from smalti.configs.loading import resolve
from smalti.configs.presets import preset_names
from smalti.models import footprint
from smalti.models.footprint import (
    CARDS,
    CONTEXT,
    GIB,
    MOST,
    USABLE,
    Footprint,
    Growth,
    card_facts,
    fitting,
    footprint_of,
    known_footprints,
)

MADE_UP = Footprint(
    values=10**9,
    adapter=10**6,
    merged=10**7,
    training=Growth(1e8, 2e8, 3e3),
    checkpointed=Growth(1e8, 1e8, 1e3),
    drawing=Growth(1e8, 0, 1e3),
    exact=Growth(1e8, 0, 1e4),
)


def test_bytes_are_weights_adapter_and_what_grows():
    """2 bytes a weight; an adapter's value and its two moments in fp32 are 12."""
    assert MADE_UP.training_bytes(100, 3) == 2e9 + 12e6 + 1e8 + 3 * (2e8 + 3e3 * 1e4)
    assert MADE_UP.training_bytes(100, 3, checkpointing=True) == 2e9 + 12e6 + 1e8 + 3 * 1.1e8
    assert MADE_UP.drawing_bytes(100, 2) == 2e9 + 2e7 + 1e8 + 2 * 1e7
    assert MADE_UP.drawing_bytes(100, 2, gradients=True) == 2e9 + 2e7 + 1e8 + 2 * 1e8


def test_the_largest_batch_that_fits_is_found():
    room = USABLE * 8 * GIB - CONTEXT
    assert fitting(lambda n: n * room / 5, 8) == 5
    assert fitting(lambda n: n * room / 4.99, 8) == 4
    assert fitting(lambda n: room + 1, 8) == 0
    assert fitting(lambda n: 1.0, 8) == MOST


def test_larger_cards_and_smaller_pictures_hold_more():
    for side in (256, 512):
        rows = [card_facts(MADE_UP, side, card) for card in CARDS]
        assert [row.card for row in rows] == list(CARDS)
        for less, more in zip(rows, rows[1:], strict=False):
            assert less.batch <= more.batch and less.tiles <= more.tiles
        assert all(row.batch <= row.checkpointed for row in rows)
    assert card_facts(MADE_UP, 256, 8).batch > card_facts(MADE_UP, 512, 8).batch


@pytest.mark.parametrize(
    ("batch", "checkpointed", "said"),
    [(0, 0, ["none"]), (0, 3, ["3", "--gradient-checkpointing"]), (2, 9, ["2", "9"])],
)
def test_a_card_is_told_in_words(batch, checkpointed, said):
    text = footprint.CardFacts(8, batch, checkpointed, 1).training()
    assert text.startswith("8 GB") and all(word in text for word in said)


def test_stable_diffusions_sizes_are_the_published_ones():
    """UNet, CLIP text encoder and VAE, in millions: 859.5 + 123.1 + 83.7, 865.9 + 340.4 + 83.7."""
    found = known_footprints()
    assert found["sd15"].values / 1e6 == pytest.approx(859.5 + 123.06 + 83.65, abs=0.1)
    assert found["sd21"].values / 1e6 == pytest.approx(865.9 + 340.39 + 83.65, abs=0.1)
    # Mix-of-Show's own adapter, with two words of 16 vectors (specification, 1.1).
    assert found["sd15"].adapter == 1_116_672


@pytest.mark.parametrize("name", ["sd15", "sd21", "sd-turbo", "sd15-lcm", "sd15-lcm-lora"])
def test_a_base_is_known_by_its_preset_and_not_by_its_name_alone(name):
    base = resolve(base=name).base
    assert footprint_of(base) == known_footprints()[name]
    assert footprint_of(replace(base, source="elsewhere/other")) is None


def test_only_presets_are_known():
    assert footprint_of(resolve().base) is None, "the starter draws anywhere"
    assert set(known_footprints()) <= set(preset_names("base"))


def test_nothing_loads_torch():
    code = (
        "import sys; from smalti.models.footprint import known_footprints; known_footprints()\n"
        "from smalti.cli import doctor; list(doctor.card_rows()); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def test_the_page_shows_what_was_counted():
    page = (Path(footprint.__file__).parents[1] / "docs" / "bases.md").read_text(encoding="utf-8")
    for row in doctor.card_rows():
        assert "| " + " | ".join(row) + " |" in page
