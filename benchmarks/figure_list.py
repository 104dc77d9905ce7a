"""Every published figure as plain data: what measures it, and where it stands.

A measurement runs commands; their output lies in its folder, `{out}`. A figure turns some of that
into Markdown between the markers of a page. Minutes are those of one core without AVX-512, of both
cores where a measurement runs alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import figure_tables as tables


@dataclass(frozen=True)
class Size:
    """How large mosaics and samples are; the placeholders of commands."""

    large: str = "8x8"
    """Mosaics that pages show."""
    grid: str = "6x6"
    """Mosaics of tables."""
    pull_grids: str = "4x4,8x8,16x16"
    """Of mosaics that measure their pull."""
    small: str = "4x4"
    """Mosaics whose every step goes back through the network."""
    tiles: str = "16"
    """As many tiles has the mosaic that every preset is timed with."""
    more_tiles: str = "4,16,64"
    """What the default preset is timed with."""
    pairs: str = "cat,car,hamburger,anime-girl"
    one_pair: str = "cat"
    seeds: str = "0,1,2"
    steps: str = "10"
    """Steps of the paper's method where its parts are compared."""
    decay: str = "0.77"
    """The paper's 0.95 per step of 50, over as many."""
    samples: str = "8"
    """Pictures of each of the starter's prompts."""
    fewer: str = "4"
    """The same, where prompts are more alike."""


REHEARSAL = Size("3x3", "2x2", "2x2", "2x2", "1", "1", "cat", "cat", "0", "2", "0.28", "2", "2")
"""Whether every command runs and every table can be made of what it leaves, in a few minutes."""


@dataclass(frozen=True)
class Command:
    """A command as a page shows it, and what else it is given here."""

    shown: str
    """Begins with a script's name or a program's; empty where it measures nothing."""
    files: str = ""
    """Options that say where files lie; pages leave them out."""


@dataclass(frozen=True)
class Measurement:
    """Commands that run one after the other, in processes of their own."""

    name: str
    minutes: float
    commands: tuple[Command, ...]
    concepts: tuple[str, ...] = ()
    """Sample concepts whose adapters it draws with."""
    alone: bool = False
    """It measures time: nothing else may run beside it."""


@dataclass(frozen=True)
class Picture:
    """A picture that a measurement leaves, and where it is published."""

    source: str
    """File in the measurement's folder."""
    target: str
    """File in the repository, .png or .jpg."""


@dataclass(frozen=True)
class Figure:
    """What stands between two markers of a page."""

    name: str
    page: str
    measurement: str
    render: Callable[[Path], str]
    """Markdown, made of the files in a measurement's folder."""
    pictures: tuple[Picture, ...] = ()


EVAL = "--out {out}/eval {lpips}"
GUIDES = "--out {out}/mosaics --json {out}/guides.json"
PAPER_STEPS = (
    "--set mosaic.steps={steps} --set mosaic.scheduler=dpm++ --set mosaic.guidance_decay={decay}"
)

MEASUREMENTS = (
    Measurement(
        "showcase", 4,
        (
            Command("benchmarks/guides.py --scene demo,pims,hamburgers --rows fast "
                    "--grid {large}", GUIDES),
            *(Command("", f"benchmarks/showcase.py {{out}}/mosaics/{scene}-fast-{{large}}-0 "
                          f"{{out}}/{scene}.jpg")
              for scene in ("demo", "pims", "hamburgers")),
        ),
        concepts=("pim", "bolt"),
    ),
    Measurement(
        "presets", 6,
        (
            Command("benchmarks/speed.py --tiles {tiles}", "--json {out}/presets.json"),
            Command("benchmarks/speed.py --presets fast --tiles {more_tiles}",
                    "--json {out}/growth.json"),
        ),
        alone=True,
    ),
    Measurement(
        "comparison", 13,
        (Command("mosaic eval --methods smalti,match-and-tone,color-adapter,adain,noise-blend,"
                 "img2img,factorized --pairs {pairs} --seeds 0 --grid {grid}", EVAL),),
    ),
    Measurement(
        "guides", 21,
        (Command("benchmarks/guides.py --grid {grid}", f"{GUIDES} --plot {{out}}/guidance.png"),),
        concepts=("pim", "bolt"),
    ),
    Measurement(
        "ablation", 7,
        (Command("mosaic eval --methods smalti --presets paper --ablation --pairs {one_pair} "
                 f"--seeds 0 --grid {{small}} {PAPER_STEPS}", EVAL),),
    ),
    Measurement(
        "weights", 8,
        (Command("mosaic eval --methods smalti --presets paper --sweep --pairs hamburger --seeds 0 "
                 f"--grid {{small}} {PAPER_STEPS}", EVAL),),
    ),
    Measurement(
        "starter", 12,
        (
            Command("benchmarks/starter_quality.py --only vae", "--json {out}/vae.json {lpips}"),
            Command("benchmarks/starter_quality.py --only local --only variety --images {samples}",
                    "--json {out}/samples.json --sheets {out}/sheets"),
            Command("benchmarks/starter_quality.py --only colour --images {fewer}",
                    "--json {out}/colour.json"),
        ),
    ),
    Measurement(
        "parts", 6,
        (Command("benchmarks/main_job.py --grid {grid} --seeds {seeds}",
                 "--out {out}/mosaics --json {out}/parts.json"),),
        concepts=("pim", "bolt"),
    ),
    Measurement(
        "pull", 14,
        (Command("benchmarks/pull.py --grids {pull_grids}",
                 "--out {out}/mosaics --json {out}/pull.json"),),
        concepts=("pim", "bolt"),
    ),
    Measurement(
        "eyes", 2,
        (
            Command('benchmarks/guides.py --scene faces --rows "unguided;fast" --grid {grid}',
                    "--out {out}/mosaics"),
            Command("benchmarks/eyes.py sylvie",
                    "{out}/mosaics/faces-fast-guidance-false-{grid}-0 "
                    "{out}/mosaics/faces-fast-{grid}-0 --json {out}/eyes.json"),
        ),
        concepts=("sylvie", "eileen"),
    ),
    Measurement(
        "styles", 6,
        (Command("benchmarks/styles_and_colors.py --each 1",
                 "--json {out}/styles.json --sheet {out}/styles.png"),),
    ),
)  # fmt: skip

STARTER = "models/starter/README.md"
FIGURES = (
    Figure(
        "showcase", "docs/method.md", "showcase", tables.showcase,
        tuple(Picture(f"{scene}.jpg", f"docs/{name}.jpg") for scene, name in
              (("demo", "demo"), ("pims", "photo"), ("hamburgers", "hamburgers"))),
    ),
    Figure("presets", "docs/method.md", "presets", tables.presets),
    Figure("parts", "docs/method.md", "parts", tables.parts),
    Figure("guides-photo", "docs/guidance.md", "guides", tables.guides("photo"),
           (Picture("guidance.png", "docs/guidance.png"),)),
    Figure("guides-demo", "docs/guidance.md", "guides", tables.guides("demo")),
    Figure("pull", "docs/guidance.md", "pull", tables.pull),
    Figure("eyes", "docs/guidance.md", "eyes", tables.eyes),
    Figure(
        "comparison", "docs/comparison.md", "comparison", tables.methods,
        (Picture("eval/sheet-seed0.png", "docs/comparison/sheet-seed0.jpg"),
         Picture("eval/evolution.png", "docs/comparison/evolution.jpg"),
         Picture("eval/ssim.png", "docs/comparison/ssim.png"),
         Picture("eval/tradeoff.png", "docs/comparison/tradeoff.png")),
    ),
    Figure("differences", "docs/comparison.md", "comparison", tables.differences),
    Figure("order", "docs/comparison.md", "comparison", tables.order),
    Figure("weights", "docs/comparison.md", "weights", tables.weights,
           (Picture("eval/weight.png", "docs/comparison/weight.png"),
            Picture("eval/evolution.png", "docs/comparison/evolution-paper.jpg"))),
    Figure("ablation", "docs/comparison.md", "ablation", tables.ablation),
    Figure("starter-quality", STARTER, "starter", tables.starter,
           (Picture("sheets/local.png", "docs/starter.jpg"),)),
    Figure("starter-styles", STARTER, "styles", tables.styles,
           (Picture("styles.png", "docs/styles_and_colors.jpg"),)),
)  # fmt: skip
