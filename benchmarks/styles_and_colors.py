"""Whether the starter obeys a style or a colour by name: "clipart of a car", "a blue car".

    python benchmarks/manners.py --sheet runs/manners.png

Every subject of the table `manners` in `starter/subjects.toml`, in three styles and in its
colours, on white (white ones on black). Starter-CLIP says whether the subject is still the right
one of 12; it learned from such captions and is no eye: look at the sheets. What is counted without
it is the colour: the name nearest to most of the inner pixels, the background's left out.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table
from starter_quality import COLORS, LOCAL_PROMPTS, ROOT, STEPS, load_pipeline, nearest_color
from torch import Tensor

from smalti.generate.evaluate.judge import Judge
from smalti.starter.captions import facts, with_article
from smalti.starter.grids import save_grid
from smalti.starter.unet import draw

STYLES = ("3d render", "line emoji", "clipart")
PAINTS = facts()["manners"]["colors"]
MANNERS = (*STYLES, *PAINTS)
INNER = slice(32, 96)  # px of 128, on both axes


def subjects() -> list[tuple[str, int]]:
    """The plain noun of every subject of the table, and which of the 12 local prompts it is."""
    nouns = [words[0] for words in facts()["manners"]["subjects"]]
    return [(noun, LOCAL_PROMPTS.index(f"A {noun}")) for noun in nouns]


def background(manner: str) -> str:
    """A colour that the subject has not."""
    return "black" if manner == "white" else "white"


def prompt(manner: str, noun: str) -> str:
    """"a 3d render of a cat on a white background", "a blue cat on a white background"."""
    told = with_article(f"{manner} {noun}")
    if manner in STYLES:
        told = f"{with_article(manner)} of {with_article(noun)}"
    return f"{told} on a {background(manner)} background"


def main_color(picture: Tensor, left_out: str) -> str:
    """The name nearest to most inner pixels of a picture `[3, 128, 128]`, but for one name."""
    nearest = nearest_color(picture[:, INNER, INNER].flatten(1).T.numpy())
    counts = np.bincount(nearest, minlength=len(COLORS))
    counts[COLORS.index(left_out)] = 0
    return COLORS[int(counts.argmax())]


def draw_all(model: Path, each: int) -> Tensor:
    """Pictures of every manner and subject, `[M, S, each, 3, 128, 128]`."""
    pipeline = load_pipeline(model)
    drawn = []
    for manner in MANNERS:
        prompts = [prompt(manner, noun) for noun, _ in subjects()]
        drawn.append(draw(pipeline, prompts, each=each, steps=STEPS).unflatten(0, (-1, each)))
    return torch.stack(drawn)


def recognised(model: Path, pictures: Tensor) -> list[float]:
    """Per manner, for how many % of its pictures starter-CLIP picks the right subject of 12."""
    truth = torch.tensor([index for _, index in subjects()])[None, :, None]
    picked = Judge(model, "cpu").probabilities(pictures.flatten(0, 2), LOCAL_PROMPTS).argmax(1)
    return (100 * (picked.view(pictures.shape[:3]) == truth).float().mean((1, 2))).tolist()


def obeyed(pictures: Tensor, color: str) -> float:
    """% of pictures `[S, each, 3, 128, 128]` whose main colour is the one asked for."""
    mains = [main_color(picture, background(color)) for picture in pictures.flatten(0, 1)]
    return 100 * float(np.mean([main == color for main in mains]))


def main(
    model: Annotated[Path, typer.Option(help="Model folder")] = ROOT / "models" / "starter",
    each: Annotated[int, typer.Option(min=1, help="Pictures per prompt")] = 2,
    sheet: Annotated[Path | None, typer.Option(help="Contact sheet, a row per subject")] = None,
) -> None:
    """Draw subjects in styles and colours by name and print how many obey."""
    pictures = draw_all(model, each)
    if sheet:
        rows = pictures.transpose(0, 1).flatten(0, 2)
        save_grid(rows, sheet, columns=each * len(MANNERS))
    right = recognised(model, pictures)
    colors = [obeyed(p, c) for p, c in zip(pictures[len(STYLES) :], PAINTS, strict=True)]
    table = Table("style or colour", "right one of 12, %", "in the named colour, %")
    shown = [""] * len(STYLES) + [f"{share:.0f}" for share in colors]
    for name, share, color in zip(MANNERS, right, shown, strict=True):
        table.add_row(name, f"{share:.0f}", color)
    table.add_section()
    table.add_row("styles", f"{np.mean(right[: len(STYLES)]):.0f}", "")
    table.add_row("colours", f"{np.mean(right[len(STYLES) :]):.0f}", f"{np.mean(colors):.0f}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
