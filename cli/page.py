"""`mosaic page`: all of it in the browser."""

from pathlib import Path
from typing import Annotated

import typer

from .boundary import guarded
from .console import console
from .options import Base, ConceptsDir, Overrides, examples

EPILOG = examples(
    ("mosaic page", "opens the browser"),
    ("mosaic page --host 0.0.0.0", "for other machines, with a key that is printed"),
)


@guarded(resumes=True)
def page(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port.")] = 8137,
    name: Annotated[
        list[str] | None, typer.Option(help="Further name of this machine; repeatable.")
    ] = None,
    concepts_dir: ConceptsDir = "concepts",
    mosaics_dir: Annotated[
        str, typer.Option(metavar="FOLDER", help="Where mosaics lie.")
    ] = "mosaics",
    orders_dir: Annotated[
        str, typer.Option(metavar="FOLDER", help="Where the ledger of orders lies.")
    ] = "orders",
    base: Base = None,
    overrides: Overrides = None,
    browser: Annotated[bool, typer.Option(help="Open it in the browser.")] = True,
) -> None:
    """Teach concepts, draw mosaics and take print files in the browser; Ctrl-C ends it."""
    from ..studio.extra import require

    for module in ("starlette", "uvicorn", "jinja2", "sse_starlette", "multipart", "pyvips"):
        require(module, "The page")
    from ..configs.loading import resolve
    from ..studio.page.app import serve
    from ..studio.page.desk import Desk
    from ..studio.page.safety import make_gate

    desk = Desk(
        Path(concepts_dir), Path(mosaics_dir), Path(orders_dir), base or "", tuple(overrides or ())
    )
    resolve(base=base, overrides=desk.overrides)  # what is wrong is said before the page opens
    gate = make_gate(host, port, name or ())
    shown = host if gate.key else "127.0.0.1"
    key = f"?key={gate.key}" if gate.key else ""
    console().print(f"The page: http://{shown}:{port}/{key}", soft_wrap=True, markup=False)
    serve(desk, gate, host, port, browser=browser)
