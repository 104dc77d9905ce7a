"""What the paper measured (Tables 1, 5 and 6), and its order of the methods beside ours."""

from collections.abc import Mapping, Sequence

import torch

from .protocol import Row
from .table import Cell

_COLUMNS = ("psnr_64", "ssim_64", "lpips_64", "mosaic_hpsv2", "mosaic_image_reward", "blip", "clip",
            "clip_iqa", "hpsv2", "image_reward")  # fmt: skip
_TABLE_1 = {
    "match-and-tone": (16.719, 0.366, 0.206, 0.129, -1.783, 0.625, 0.612, 0.596, 0.174, -1.145),
    "color-adapter": (10.145, 0.080, 0.435, 0.123, -2.272, 0.639, 0.613, 0.811, 0.266, 0.472),
    "adain": (12.983, 0.204, 0.400, 0.130, -2.279, 0.577, 0.614, 0.834, 0.244, -0.106),
    "noise-blend": (11.590, 0.205, 0.479, 0.117, -2.275, 0.239, 0.597, 0.385, 0.195, -1.851),
    "img2img": (15.212, 0.414, 0.272, 0.127, -1.377, 0.166, 0.602, 0.259, 0.173, -1.073),
    "factorized": (27.007, 0.937, 0.010, 0.134, -2.174, 0.444, 0.602, 0.383, 0.174, -1.574),
    "smalti": (17.598, 0.551, 0.121, 0.132, -2.225, 0.569, 0.619, 0.812, 0.239, -0.317),
}
_TABLE_6 = {
    "match-and-tone": (0.026, 0.016, 0.012, 0.008),
    "color-adapter": (0.107, 0.088, 0.072, 0.054),
    "adain": (0.044, 0.025, 0.018, 0.012),
    "noise-blend": (0.067, 0.014, 0.008, 0.005),
    "img2img": (0.025, 0.016, 0.013, 0.011),
    "smalti": (0.025, 0.009, 0.005, 0.003),
}
PUBLISHED = {
    method: dict(zip(_COLUMNS, values, strict=True))
    | {f"pyramid_{level}": e for level, e in enumerate(_TABLE_6.get(method, ()), 1)}
    for method, values in _TABLE_1.items()
}
"""Stable Diffusion 2.1 (the colour adapter: 1.4), means over 12 prompt pairs and 15 seeds, by the
method that stands for the paper's here: "match-and-tone" for Match & Tone, "color-adapter" for
Color ControlNet, "img2img" for StreamDiffI2I, "smalti" for Ours. "factorized" is of Table 5;
Table 6 leaves it out.
"""
PREFERRED = {
    "match-and-tone": (98.7, 73.3),
    "color-adapter": (95.7, 7.3),
    "adain": (96.7, 12.7),
    "noise-blend": (15.0, 92.3),
    "img2img": (23.0, 88.7),
}
"""How many in a hundred people preferred the paper's method, from afar and near (Table 2)."""
ORDERED = {
    "PSNR@64": ("psnr_64", "psnr_64", True),
    "SSIM@64": ("ssim_64", "ssim_64", True),
    "LPIPS@64": ("lpips_64", "lpips_64", False),
    "pyramid level 2": ("pyramid_2", "pyramid_2", False),
    "pyramid level 4": ("pyramid_4", "pyramid_4", False),
    "mosaic: HPSv2": ("mosaic_hpsv2", "mosaic_hpsv2", True),
    "mosaic: ImageReward": ("mosaic_image_reward", "mosaic_image_reward", True),
    "tiles: BLIP": ("blip", "blip", True),
    "tiles: CLIP": ("clip", "clip", True),
    "tiles: CLIP-IQA": ("clip_iqa", "clip_iqa", True),
    "tiles: HPSv2": ("hpsv2", "hpsv2", True),
    "tiles: ImageReward": ("image_reward", "image_reward", True),
    "tiles: CLIP-IQA in the paper, starter-CLIP here": ("clip_iqa", "starter_clip", True),
}
"""Measures by title: the paper's column, ours, and whether more is better."""
FEWEST = 3  # methods; of two an order says little


def order_tables(means: Mapping[str, Mapping[str, Cell]], rows: Sequence[Row]) -> list[str]:
    """A Markdown table per preset with which at least FEWEST of the paper's methods were run."""
    tables = []
    for preset in dict.fromkeys(row.preset for row in rows):
        labels = {method: Row(method, preset).label for method in PUBLISHED}
        ours = {method: means[label] for method, label in labels.items() if label in means}
        lines = [line for title in ORDERED if (line := order_line(title, ours))]
        if lines:
            head = f"| `{preset}` | in the paper, best first | here | rank correlation |"
            tables.append("\n".join([head, "|---|---|---|---:|", *lines]))
    return tables


def order_line(title: str, ours: Mapping[str, Mapping[str, Cell]]) -> str:
    """One measure's order there and here; nothing where fewer than FEWEST methods have both."""
    theirs, own, more = ORDERED[title]
    found = {
        method: (PUBLISHED[method][theirs], value)
        for method, cells in ours.items()
        if theirs in PUBLISHED[method] and isinstance(value := cells[own], float)
    }
    if len(found) < FEWEST:
        return ""
    from torchmetrics.functional.regression import spearman_corrcoef  # slow, as in metrics.py

    there, here = ({m: pair[i] for m, pair in found.items()} for i in (0, 1))
    orders = " | ".join(_in_order(values, more) for values in (there, here))
    ranks = spearman_corrcoef(*(torch.tensor([*values.values()]) for values in (there, here)))
    return f"| {title} | {orders} | {float(ranks):.2f} |"


def _in_order(values: Mapping[str, float], more: bool) -> str:
    ordered = sorted(values.items(), key=lambda item: item[1], reverse=more)
    return ", ".join(f"{method} {value:.3g}" for method, value in ordered)
