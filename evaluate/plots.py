"""The paper's plots: SSIM by resolution, tiles against the reference, and the guidance weight."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..configs.files import replacing
from ..models.metrics import RESOLUTIONS
from .protocol import OURS, PAPER_PRESET, WEIGHTS, Row
from .table import Cell

Means = Mapping[Any, Mapping[str, Cell]]
INSTALL = 'No plots: matplotlib is not installed; pip install "matplotlib>=3.10" and repeat.'


def draw_plots(means: Means, out: Path, log: Callable[[str], None]) -> list[Path]:
    """Write ssim.png and tradeoff.png, one line or point per label, and return their paths.

    With rows of the sweep also weight.png. Without matplotlib there are none, and `log` hears what
    to install.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        log(INSTALL)
        return []
    figures = {"ssim.png": Figure((7, 7), layout="constrained"),
               "tradeoff.png": Figure((7, 7), layout="constrained")}  # fmt: skip
    _by_resolution(figures["ssim.png"].subplots(), means)
    _trade_off(figures["tradeoff.png"].subplots(), means)
    if len(swept := _swept(means)) > 1:
        figures["weight.png"] = Figure((7, 5), layout="constrained")
        _by_weight(figures["weight.png"].subplots(), swept)
    for name, figure in figures.items():
        with replacing(out / name) as temporary:
            figure.savefig(temporary, format="png", dpi=110)
    return [out / name for name in figures]


def _by_resolution(axes: Any, means: Means) -> None:
    """SSIM against the resolution at which mosaic and reference are compared (Figure 4a)."""
    for number, (label, cells) in enumerate(means.items()):
        found = [cells[f"ssim_{side}"] for side in RESOLUTIONS]
        marker = "os^"[number // 10 % 3]  # there are ten colours
        axes.plot(RESOLUTIONS, found, f"{marker}-", color=f"C{number % 10}", label=label)
    axes.set_xscale("log", base=2)
    axes.set_xticks(RESOLUTIONS, [str(side) for side in RESOLUTIONS])
    axes.set(xlabel="resolution, px", ylabel="SSIM")
    axes.grid(alpha=0.3)
    _legend_below(axes)


def _trade_off(axes: Any, means: Means) -> None:
    """Tile score against fidelity (Figure 4b)."""
    across, along = fidelity_axis(means), tile_axis(means)
    points = {label: (across[1](cells), along[1](cells)) for label, cells in means.items()}
    labelled_points(axes, points)
    axes.set(xlabel=across[0], ylabel=along[0])


def _swept(means: Means) -> dict[float, Mapping[str, Cell]]:
    """Means by guidance weight, of the rows of Figure 9."""
    labels = {w: Row(OURS, PAPER_PRESET, name).label for name, w in WEIGHTS.items()}
    return {weight: means[label] for weight, label in labels.items() if label in means}


def _by_weight(axes: Any, swept: Mapping[float, Mapping[str, Cell]]) -> None:
    """Fidelity and tile score against the guidance weight (Figure 9), one axis each."""
    title, score = tile_axis(swept)
    places = range(len(swept))
    axes.plot(places, [cells["ssim_64"] for cells in swept.values()], "o-", color="C0")
    axes.set_ylabel("SSIM@64", color="C0")
    axes.set_xticks(places, [f"{weight:g}" for weight in swept])
    axes.set_xlabel("guidance weight w (Eq. 8)")
    other = axes.twinx()
    other.plot(places, [score(cells) for cells in swept.values()], "s--", color="C1")
    other.set_ylabel(title, color="C1")


def labelled_points(axes: Any, points: Mapping[str, tuple[Any, Any]]) -> None:
    """Draw (x, y) by label: a number beside each point, and a list of what they are below."""
    for number, (label, (x, y)) in enumerate(points.items(), 1):
        axes.plot(x, y, "o", color=f"C{(number - 1) % 10}", label=f"{number}  {label}")
        axes.annotate(str(number), (x, y), fontsize=8, xytext=(4, 3), textcoords="offset points")
    axes.margins(0.1)
    axes.grid(alpha=0.3)
    _legend_below(axes)


def _legend_below(axes: Any) -> None:
    """A list of labels where it covers nothing."""
    axes.legend(fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.12))


def fidelity_axis(means: Means) -> tuple[str, Callable[[Mapping[str, Cell]], Cell]]:
    """Label and value: 1 - LPIPS@64 as in the paper, or SSIM@64 where LPIPS is missing."""
    if all(isinstance(cells["lpips_64"], float) for cells in means.values()):
        return "1 − LPIPS@64", lambda cells: 1 - cells["lpips_64"]
    return "SSIM@64 (LPIPS: weights missing)", lambda cells: cells["ssim_64"]


def tile_axis(means: Means) -> tuple[str, Callable[[Mapping[str, Cell]], Cell]]:
    """Label and value: CLIP-IQA as in the paper, or starter-CLIP where CLIP is missing."""
    if all(isinstance(cells["clip_iqa"], float) for cells in means.values()):
        return "CLIP-IQA of the tiles", lambda cells: cells["clip_iqa"]
    label = "starter-CLIP similarity of tiles to their prompt\n(CLIP-IQA: weights missing)"
    return label, lambda cells: cells["starter_clip"]
