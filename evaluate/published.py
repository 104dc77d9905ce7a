"""What the paper measured (Tables 1, 5 and 6), and its order of the methods beside ours."""

from collections.abc import Mapping, Sequence

import torch

from .protocol import Row
from .table import Cell

PUBLISHED = {
    "tone": {"psnr_64": 16.719, "ssim_64": 0.366, "lpips_64": 0.206, "clip_iqa": 0.596,
             "pyramid_1": 0.026, "pyramid_2": 0.016, "pyramid_3": 0.012, "pyramid_4": 0.008},
    "color-adapter": {"psnr_64": 10.145, "ssim_64": 0.080, "lpips_64": 0.435, "clip_iqa": 0.811,
                      "pyramid_1": 0.107, "pyramid_2": 0.088, "pyramid_3": 0.072,
                      "pyramid_4": 0.054},
    "adain": {"psnr_64": 12.983, "ssim_64": 0.204, "lpips_64": 0.400, "clip_iqa": 0.834,
              "pyramid_1": 0.044, "pyramid_2": 0.025, "pyramid_3": 0.018, "pyramid_4": 0.012},
    "noise-blend": {"psnr_64": 11.590, "ssim_64": 0.205, "lpips_64": 0.479, "clip_iqa": 0.385,
                    "pyramid_1": 0.067, "pyramid_2": 0.014, "pyramid_3": 0.008,
                    "pyramid_4": 0.005},
    "img2img": {"psnr_64": 15.212, "ssim_64": 0.414, "lpips_64": 0.272, "clip_iqa": 0.259,
                "pyramid_1": 0.025, "pyramid_2": 0.016, "pyramid_3": 0.013, "pyramid_4": 0.011},
    "factorized": {"psnr_64": 27.007, "ssim_64": 0.937, "lpips_64": 0.010, "clip_iqa": 0.383},
    "smalti": {"psnr_64": 17.598, "ssim_64": 0.551, "lpips_64": 0.121, "clip_iqa": 0.812,
               "pyramid_1": 0.025, "pyramid_2": 0.009, "pyramid_3": 0.005, "pyramid_4": 0.003},
}  # fmt: skip
"""Stable Diffusion 2.1 (the colour adapter: 1.4), means over 12 prompt pairs and 15 seeds, by the
method that stands for the paper's here: "tone" for Match & Tone, "color-adapter" for Color
ControlNet, "img2img" for StreamDiffI2I, "smalti" for Ours. Table 6 leaves out factorized diffusion.
"""
ORDERED = {
    "PSNR@64": ("psnr_64", "psnr_64", True),
    "SSIM@64": ("ssim_64", "ssim_64", True),
    "LPIPS@64": ("lpips_64", "lpips_64", False),
    "pyramid level 2": ("pyramid_2", "pyramid_2", False),
    "pyramid level 4": ("pyramid_4", "pyramid_4", False),
    "tiles: CLIP-IQA": ("clip_iqa", "clip_iqa", True),
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
