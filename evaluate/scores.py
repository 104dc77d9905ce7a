"""Everything that is measured of one mosaic: the columns of the evaluation's CSV file."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..generate.finish import reduced
from ..generate.repeats import near_repeats
from ..generate.store import Store
from ..models.lpips import Lpips
from ..models.metrics import RESOLUTIONS, at_resolution, lpips, psnr, pyramid_errors, ssim
from ..models.pixels import to_image
from .pictures import tile_batches
from .pretrained import Judges, clip_iqa, clip_score
from .protocol import Pair
from .table import MISSING, Cell

PREFERENCE_SIDE = 128  # px
BATCH = 32  # tiles that are looked at together


def measure(store: Store, pair: Pair, judges: Judges) -> dict[str, Cell]:
    """All scores of a finished mosaic that was drawn from a pair of prompts."""
    reference = store.reference()
    assert reference is not None, "a finished mosaic has its reference"
    canvas = store.canvas()
    mosaic = to_image(reduced(canvas))
    return {
        **fidelity(mosaic, reference, judges.lpips),
        **mosaic_scores(mosaic, pair.reference, judges),
        **tile_scores(store, pair.tile, judges),
        "near_repeats": float(near_repeats(canvas, store.grid)),
        **costs(store),
    }


def fidelity(mosaic: Tensor, reference: Tensor, network: Lpips | None) -> dict[str, Cell]:
    """How close images [3, H, W] in [0, 1] are from afar (paper, section 4.2 and Table 6)."""
    found: dict[str, Cell] = {}
    for side in RESOLUTIONS:
        found[f"psnr_{side}"] = psnr(mosaic, reference, side)
        found[f"ssim_{side}"] = ssim(mosaic, reference, side)
        distance = MISSING if network is None else lpips(mosaic, reference, network, side)
        found[f"lpips_{side}"] = distance
    levels = enumerate(pyramid_errors(mosaic, reference), 1)
    return {**found, **{f"pyramid_{level}": error for level, error in levels}}


def mosaic_scores(mosaic: Tensor, prompt: str, judges: Judges) -> dict[str, Cell]:
    """How people would like an image [3, H, W] in [0, 1] from afar (paper, section 4.2).

    At PREFERENCE_SIDE px, as the paper has it, and by the prompt of the reference.
    """
    small, hps, reward = at_resolution(mosaic, PREFERENCE_SIDE), judges.hps, judges.reward
    return {
        "mosaic_hpsv2": float(hps.similarity(small, [prompt])) if hps else MISSING,
        "mosaic_image_reward": float(reward.rewards(small, prompt)) if reward else MISSING,
    }


def tile_scores(store: Store, prompt: str, judges: Judges) -> dict[str, Cell]:
    """How well tiles show their prompt, how good and how varied they are.

    Means over tiles. Where a network is not here the cell says so; none stands in for another.
    """
    starter, clip, blip = judges.starter, judges.clip, judges.blip
    hps, reward = judges.hps, judges.reward
    features = seen(store, starter.image_features)

    def mean(network: object, look: Callable[[Tensor], Tensor]) -> Cell:
        return MISSING if network is None else float(seen(store, look).mean())

    return {
        "starter_clip": float((features @ starter.class_features([prompt]).T).mean()),
        "blip": mean(blip, lambda tiles: blip.matches(tiles, prompt)),
        "clip": mean(clip, lambda tiles: clip_score(clip, tiles, prompt)),
        "clip_iqa": mean(clip, lambda tiles: clip_iqa(clip, tiles)),
        "hpsv2": mean(hps, lambda tiles: hps.similarity(tiles, [prompt])[:, 0]),
        "image_reward": mean(reward, lambda tiles: reward.rewards(tiles, prompt)),
        "tile_similarity": tile_similarity(features),
    }


def seen(store: Store, look: Callable[[Tensor], Tensor]) -> Tensor:
    """What a network says of all tiles, looked at in batches [K, 3, t, t] in [0, 1]."""
    return torch.cat([look(batch) for batch in tile_batches(store.folder, BATCH)])


def tile_similarity(features: Tensor) -> float | None:
    """How alike tiles are: mean over pairs of unit-length embeddings [K, D], None for a single."""
    count = len(features)
    if count < 2:
        return None
    pairs = (features @ features.T).fill_diagonal_(0.0)
    return float(pairs.sum()) / (count * (count - 1))


def costs(store: Store) -> dict[str, Cell]:
    """Change of pixels after drawing, seconds and GiB, as mosaic.json has them."""
    cost = store.recorded("evaluation")
    peak = cost["peak_bytes"]
    return {
        "correction_energy": store.recorded("metrics")["correction_energy"],
        "seconds": cost["seconds"],
        "peak_gib": None if peak is None else peak / 2**30,
    }
