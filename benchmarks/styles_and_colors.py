"""Whether the starter follows a style or a colour by name: "clipart of a car", "a blue car".

    python benchmarks/styles_and_colors.py --sheet runs/styles_and_colors.png

Every subject of the table `styles_and_colors` in `starter/subjects.toml`, in three styles and in
its colours, on white (white ones on black). Starter-CLIP says whether the subject is still the
right one of 12; it learned from such captions and is no eye: look at the sheets. What is counted
without it is the colour: the name nearest to most of the inner pixels, the background's left out.
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from named_colors import COLORS, nearest_color
from rich.console import Console
from rich.table import Table
from starter_bench import LOCAL_PROMPTS, ROOT, STEPS, load_pipeline
from torch import Tensor

from smalti.configs.files import write_json
from smalti.evaluate.judge import Judge
from smalti.starter.captions import with_article
from smalti.starter.contact_sheets import save_contact_sheet
from smalti.starter.subjects import subjects_toml
from smalti.starter.unet import draw

STYLES = ("3d render", "line emoji", "clipart")
TABLE = subjects_toml()["styles_and_colors"]
SUBJECT_COLORS = TABLE["colors"]
ATTRIBUTES = (*STYLES, *SUBJECT_COLORS)
INNER = slice(32, 96)  # px of 128, on both axes


def subjects() -> list[tuple[str, int]]:
    """The plain noun of every subject of the table, and which of the 12 local prompts it is."""
    nouns = [words[0] for words in TABLE["subjects"]]
    return [(noun, LOCAL_PROMPTS.index(f"A {noun}")) for noun in nouns]


def background(attribute: str) -> str:
    """A colour that the subject has not."""
    return "black" if attribute == "white" else "white"


def prompt(attribute: str, noun: str) -> str:
    """"a 3d render of a cat on a white background", "a blue cat on a white background"."""
    named = with_article(f"{attribute} {noun}")
    if attribute in STYLES:
        named = f"{with_article(attribute)} of {with_article(noun)}"
    return f"{named} on a {background(attribute)} background"


def main_color(picture: Tensor, left_out: str) -> str:
    """The name nearest to most inner pixels of a picture `[3, 128, 128]`, but for one name."""
    nearest = nearest_color(picture[:, INNER, INNER].flatten(1).T.numpy())
    counts = np.bincount(nearest, minlength=len(COLORS))
    counts[COLORS.index(left_out)] = 0
    return COLORS[int(counts.argmax())]


def draw_all(model: Path, each: int) -> Tensor:
    """Pictures of every style or colour and subject, `[A, S, each, 3, 128, 128]`."""
    pipeline = load_pipeline(model)
    drawn = []
    for attribute in ATTRIBUTES:
        prompts = [prompt(attribute, noun) for noun, _ in subjects()]
        drawn.append(draw(pipeline, prompts, each=each, steps=STEPS).unflatten(0, (-1, each)))
    return torch.stack(drawn)


def recognised(model: Path, pictures: Tensor) -> list[float]:
    """Per style or colour, % of pictures for which starter-CLIP picks the right subject of 12."""
    truth = torch.tensor([index for _, index in subjects()])[None, :, None]
    picked = Judge(model, "cpu").probabilities(pictures.flatten(0, 2), LOCAL_PROMPTS).argmax(1)
    return (100 * (picked.view(pictures.shape[:3]) == truth).float().mean((1, 2))).tolist()


def share_in_color(pictures: Tensor, color: str) -> float:
    """% of pictures `[S, each, 3, 128, 128]` whose main colour is the one asked for."""
    mains = [main_color(picture, background(color)) for picture in pictures.flatten(0, 1)]
    return 100 * float(np.mean([main == color for main in mains]))


def main(
    model: Annotated[Path, typer.Option(help="Model folder")] = ROOT / "models" / "starter",
    each: Annotated[int, typer.Option(min=1, help="Pictures per prompt")] = 2,
    sheet: Annotated[Path | None, typer.Option(help="Contact sheet, a row per subject")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="File for the figures")] = None,
) -> None:
    """Draw subjects in styles and colours by name and print how many follow."""
    pictures = draw_all(model, each)
    if sheet:
        rows = pictures.transpose(0, 1).flatten(0, 2)
        save_contact_sheet(rows, sheet, columns=each * len(ATTRIBUTES))
    found = shares(model, pictures)
    if json_file:
        write_json(json_file, found)
    table = Table("style or colour", "right one of 12, %", "in the named colour, %")
    for row in found:
        color = "" if row["in_color"] is None else f"{row['in_color']:.0f}"
        table.add_row(row["name"], f"{row['recognised']:.0f}", color)
    Console().print(table)


def shares(model: Path, pictures: Tensor) -> list[dict[str, Any]]:
    """A row per style and per colour, %, and the means of both."""
    right = recognised(model, pictures)
    colored = zip(pictures[len(STYLES) :], SUBJECT_COLORS, strict=True)
    colors = [share_in_color(*pair) for pair in colored]
    rows = zip(ATTRIBUTES, right, [*[None] * len(STYLES), *colors], strict=True)
    styled, painted = right[: len(STYLES)], right[len(STYLES) :]
    means = (("styles", np.mean(styled), None), ("colours", np.mean(painted), np.mean(colors)))
    return [
        {"name": name, "recognised": float(r), "in_color": None if c is None else float(c)}
        for name, r, c in (*rows, *means)
    ]


if __name__ == "__main__":
    typer.run(main)
