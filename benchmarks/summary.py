"""From single mosaics' scores to the tables of the main job: means, ratios, what was to be reached.

Plain arithmetic on numbers; nothing here draws, reads or loads a model.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from smalti.evaluate.likeness import Landmarks

FULL, UNGUIDED, CLASS_WORD = "full", "unguided", "class-word"
BOTH, NO_COLOR, NO_GUIDANCE = "both", "no-color", "no-guidance"

PSNR_TARGET, SSIM_TARGET = 17.6, 0.55  # the paper's own figures
KEPT_TARGET = 0.9  # share of the unguided tiles' likeness
SIZE_SHARE, SIZE_FLOOR = 0.01, 5_000_000  # adapter: 1 % of the base, or 5 MB where that is more


@dataclass(frozen=True)
class Score:
    """What one mosaic reached."""

    pair: str
    """Concept of the tiles and of the reference, "sylvie/eileen"."""
    variant: str
    """Name of the variant."""
    seed: int
    """Its seed."""
    psnr: float
    """PSNR@64 against the reference, dB."""
    ssim: float
    """SSIM@64 against the reference."""
    likeness: float
    """Mean starter-CLIP similarity of the tiles to the tiles' concept's photos."""


@dataclass(frozen=True)
class Summary:
    """A variant's means over all pairs and seeds."""

    count: int
    """How many mosaics went into it."""
    psnr: float
    """Mean PSNR@64, dB."""
    psnr_spread: float
    """Its standard deviation over mosaics, 0 for a single one."""
    ssim: float
    """Mean SSIM@64."""
    likeness: float
    """Mean likeness."""
    of_unguided: float | None
    """Likeness as a share of that of unguided tiles of the same pairs and seeds."""
    above_class_word: float | None
    """Likeness minus that of tiles drawn without the adapter, same pairs and seeds."""


@dataclass(frozen=True)
class Check:
    """One thing that was to be reached."""

    what: str
    """In words."""
    value: float
    """What came out."""
    target: float
    """What it is compared with."""
    reached: bool
    """Whether that is enough."""


def summarise(scores: Sequence[Score]) -> dict[str, Summary]:
    """Means by variant, in the order in which variants first appear."""
    return {
        variant: _summary(scores, variant)
        for variant in dict.fromkeys(score.variant for score in scores)
    }


def _summary(scores: Sequence[Score], variant: str) -> Summary:
    own = [score for score in scores if score.variant == variant]
    values = [score.psnr for score in own]
    unguided = _partners(scores, variant, UNGUIDED)
    plain = _partners(scores, variant, CLASS_WORD)
    return Summary(
        count=len(own),
        psnr=mean(values),
        psnr_spread=stdev(values) if len(values) > 1 else 0.0,
        ssim=mean(score.ssim for score in own),
        likeness=mean(score.likeness for score in own),
        of_unguided=mean(a for a, _ in unguided) / mean(b for _, b in unguided)
        if unguided
        else None,
        above_class_word=mean(a - c for a, c in plain) if plain else None,
    )


def _partners(scores: Iterable[Score], variant: str, other: str) -> list[tuple[float, float]]:
    """Likeness of two variants side by side where both have a mosaic of that pair and seed."""
    table = {(s.variant, s.pair, s.seed): s.likeness for s in scores}
    return [
        (value, table[other, pair, seed])
        for (name, pair, seed), value in table.items()
        if name == variant and (other, pair, seed) in table
    ]


def checks(
    scores: Sequence[Score],
    sizes: Mapping[str, Mapping[str, int]],
    marks: Mapping[str, Landmarks],
) -> list[Check]:
    """Everything the main job must reach that these scores can answer.

    sizes: by concept, bytes of "adapter" and "base". marks: by concept of the tiles.
    """
    found, summary = [], summarise(scores)
    if full := summary.get(FULL):
        found.append(_at_least("PSNR@64, dB", full.psnr, PSNR_TARGET))
        found.append(_at_least("SSIM@64", full.ssim, SSIM_TARGET))
        if full.of_unguided is not None:
            what = "likeness of tiles, share of unguided tiles'"
            found.append(_at_least(what, full.of_unguided, KEPT_TARGET))
        if full.above_class_word is not None:
            gap = clear_gap(scores)
            what = "likeness: worst mosaic minus best without the adapter"
            found.append(Check(what, gap, 0.0, gap > 0))
        found += _above_noise(scores, marks) + _ablation(summary)
    return found + [_size(concept, **size) for concept, size in sizes.items()]


def _at_least(what: str, value: float, target: float) -> Check:
    return Check(what, value, target, value >= target)


def clear_gap(scores: Iterable[Score]) -> float:
    """Least likeness of a full mosaic minus the greatest without the adapter, of the worst pair.

    Above 0 no seed's mosaic could be mistaken: that is what "clearly above" is taken to mean.
    """
    by_pair: dict[str, dict[str, list[float]]] = {}
    for score in scores:
        by_pair.setdefault(score.pair, {}).setdefault(score.variant, []).append(score.likeness)
    both = [found for found in by_pair.values() if FULL in found and CLASS_WORD in found]
    return min(min(found[FULL]) - max(found[CLASS_WORD]) for found in both)


def _above_noise(scores: Iterable[Score], marks: Mapping[str, Landmarks]) -> list[Check]:
    """Without this, blobs of colour would pass the other checks of likeness."""
    own = [score for score in scores if score.variant == FULL]
    found = []
    for concept, mark in marks.items():
        values = [s.likeness for s in own if s.pair.partition("/")[0] == concept]
        if values:
            what = f"likeness of tiles to {concept}, above that of noise"
            found.append(Check(what, mean(values), mark.noise, mean(values) > mark.noise))
    return found


def _ablation(summary: Mapping[str, Summary]) -> list[Check]:
    """The paper's order: colour alignment and guidance both raise PSNR@64, guidance most."""
    if BOTH not in summary:
        return []
    gains = {
        name: summary[BOTH].psnr - summary[name].psnr
        for name in (NO_COLOR, NO_GUIDANCE)
        if name in summary
    }
    found = []
    if NO_COLOR in gains:
        gain = gains[NO_COLOR]
        found.append(Check("PSNR@64 that colour alignment brings, dB", gain, 0.0, gain > 0))
    if NO_GUIDANCE in gains:
        gain, rival = gains[NO_GUIDANCE], max(0.0, gains.get(NO_COLOR, 0.0))
        found.append(Check("PSNR@64 that guidance brings, dB", gain, rival, gain > rival))
    return found


def _size(concept: str, adapter: int, base: int) -> Check:
    limit = max(SIZE_SHARE * base, SIZE_FLOOR)
    what = f"adapter of {concept}, MB (base {base / 1e6:.1f} MB)"
    return Check(what, adapter / 1e6, limit / 1e6, adapter <= limit)


def summary_rows(summary: Mapping[str, Summary], says: Mapping[str, str]) -> list[list[str]]:
    """Rows of the first table, one per variant; `says` explains a variant."""
    return [
        [
            name,
            says.get(name, ""),
            str(one.count),
            f"{one.psnr:.2f} ± {one.psnr_spread:.2f}",
            f"{one.ssim:.3f}",
            f"{one.likeness:.3f}",
            "" if one.of_unguided is None else f"{100 * one.of_unguided:.1f} %",
            "" if one.above_class_word is None else f"{one.above_class_word:+.3f}",
        ]
        for name, one in summary.items()
    ]


def landmark_lines(marks: Mapping[str, Landmarks]) -> list[str]:
    """One line per concept: how to read its likeness."""
    return [
        f"{name}: blobs of random colours {mark.noise:.3f}, photos among themselves "
        f"{mark.photos:.3f}; no number at or below the first proves any likeness."
        for name, mark in marks.items()
    ]


def check_rows(found: Iterable[Check]) -> list[list[str]]:
    """Rows of the second table, one per thing to reach."""
    verdict = {True: "[green]yes[/]", False: "[red]no[/]"}
    return [[c.what, f"{c.value:.3f}", f"{c.target:.3f}", verdict[c.reached]] for c in found]
