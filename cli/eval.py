"""`mosaic eval`: the paper's evaluation, from prompts to tables, plots and sheets."""

import functools
from pathlib import Path
from typing import Annotated

import typer

from ..configs.files import user_path
from ..configs.methods import METHODS
from ..configs.presets import preset_names
from ..evaluate.peers import PEERS
from ..evaluate.protocol import (
    ABLATION,
    COMPOSED,
    LEVELS,
    PAIRS,
    SWEEP,
    Protocol,
    all_cases,
    table_rows,
)
from ..evaluate.selection import choose_levels, choose_names, choose_pairs, choose_seeds
from .boundary import guarded
from .console import console, print_facts
from .options import Base, DryRun, Overrides, examples

EPILOG = examples(
    ("mosaic eval --pairs cat,hamburger --seeds 0 --grid 4x4 --presets draft", "a first look"),
    ("mosaic eval --presets paper --base sd21 --lpips lpips.safetensors", "on a GPU"),
    ("mosaic eval --methods smalti,match --peers all", "beside other programs"),
    ("mosaic eval --methods smalti --ablation", "what each part of the method brings"),
    ("mosaic eval --pairs dog --seeds 0 --levels 2,3,4", "the paper's Figure 3"),
    resumes=True,
)


Pairs = Annotated[
    str, typer.Option(help=f"Of {', '.join(pair.name for pair in PAIRS)}; all for all.")
]
Seeds = Annotated[str, typer.Option(help="Seeds, comma-separated; the paper takes 15.")]
Methods = Annotated[
    str, typer.Option(help=f"Of {', '.join((*METHODS, *COMPOSED))}; all for all.")
]
Presets = Annotated[str, typer.Option(help=f"Of {', '.join(preset_names('mosaic'))}; all for all.")]
Grid = Annotated[str, typer.Option(metavar="ROWSxCOLS", help="Tiles of a mosaic.")]
Peers = Annotated[
    str,
    typer.Option(
        help=f"Also programs of others, of {', '.join(PEERS)}, on the pool of match; all for all.",
        show_default="none",
    ),
]
Ablation = Annotated[
    bool, typer.Option("--ablation", help="Also the paper's Tables 3 and 4, on its own preset.")
]
Sweep = Annotated[
    bool, typer.Option("--sweep", help="Also the guidance weights of the paper's Figure 9.")
]
Levels = Annotated[
    str,
    typer.Option(
        metavar="L,L",
        help=f"Also these mosaic levels of the paper's Figure 3, 0 to {len(LEVELS) - 1}, of every "
        "method.",
        show_default="none",
    ),
]
Ask = Annotated[
    bool,
    typer.Option("--ask", help="Also sheets that ask people which mosaic they prefer (Table 2)."),
]
LpipsFile = Annotated[
    str | None, typer.Option(metavar="FILE", help="AlexNet weights of LPIPS, safetensors.")
]
Out = Annotated[
    str | None,
    typer.Option(metavar="FOLDER", help="Where all goes.", show_default="runs/eval/BASE-GRID"),
]


@guarded("Take --set mosaic.batch_size=1 or a smaller --grid.", resumes=True)
def evaluation(
    *,
    pairs: Pairs = "all",
    seeds: Seeds = "0,1",
    methods: Methods = "all",
    presets: Presets = "fast",
    grid: Grid = "8x8",
    peers: Peers = "",
    ablation: Ablation = False,
    sweep: Sweep = False,
    levels: Levels = "",
    ask: Ask = False,
    lpips: LpipsFile = None,
    out: Out = None,
    base: Base = None,
    overrides: Overrides = None,
    dry_run: DryRun = False,
) -> None:
    """Evaluate as the paper does: twelve prompt pairs, fixed seeds, every method, one table."""
    others = choose_names(peers, PEERS, "peer") if peers else []
    rows = table_rows(
        [*choose_names(methods, (*METHODS, *COMPOSED), "method"), *others],
        choose_names(presets, preset_names("mosaic"), "preset"),
        [*(ABLATION if ablation else ()), *(SWEEP if sweep else ())],
        choose_levels(levels),
    )
    cases = all_cases(choose_pairs(pairs), choose_seeds(seeds), rows)
    protocol = Protocol(base or "starter", grid, tuple(overrides or ()))
    target = Path(out) if out else Path("runs/eval") / f"{Path(protocol.base).name}-{grid}"
    weights = user_path(lpips) if lpips else None
    from ..evaluate.run import evaluate, outline

    if dry_run:
        print_facts(f"Evaluation {target}", outline(protocol, cases, target, weights))
        return
    log = functools.partial(typer.echo, err=True)
    report = evaluate(protocol, cases, target, lpips=weights, ask=ask, log=log)
    console().print(f"The evaluation: {report}", soft_wrap=True, markup=False)
