"""Who does a day's orders: processes of this machine, or a cluster."""

from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer

from ..configs.errors import InputError

ENGINES = ("local", "ray")
PANEL = "Workers"

Workers = Annotated[
    int | None,
    typer.Option(
        min=1, help="Processes.", show_default="one per GPU, else one per machine",
        rich_help_panel=PANEL,
    ),
]  # fmt: skip
Engine = Annotated[
    str,
    typer.Option(
        metavar="|".join(ENGINES), rich_help_panel=PANEL,
        help="Workers on this machine, or on Ray's cluster over a shared folder.",
    ),
]  # fmt: skip
Address = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT", rich_help_panel=PANEL, show_default="one on this machine alone",
        help="Ray's cluster, auto for the one that this machine is part of.",
    ),
]  # fmt: skip
Split = Annotated[
    int | None,
    typer.Option(
        min=2, rich_help_panel=PANEL, show_default="256",
        help="With ray, mosaics of so many tiles are drawn by several workers.",
    ),
]  # fmt: skip


def crew(
    workers: int | None, engine: str, address: str | None, split: int | None
) -> Callable[..., dict[str, int]]:
    """What works on the orders of a folder, as `pool.run_pool` does.

    Raises InputError for options that do not go together, and where Ray is not installed.
    """
    if engine not in ENGINES:
        raise InputError(f'--engine "{engine}" is unknown; there are {" and ".join(ENGINES)}.')
    if engine == "ray":
        from ..studio.extra import require
        from ..studio.orders.cluster import SPLIT, run_cluster

        require("ray", "--engine ray")
        return partial(run_cluster, workers=workers, address=address, split=split or SPLIT)
    if address or split:
        raise InputError(f"--{'address' if address else 'split'} goes with --engine ray.")
    from ..studio.orders.pool import run_pool

    return partial(run_pool, workers=workers)
