"""`mosaic view` and `clip`: a finished mosaic on the screen."""

from pathlib import Path
from typing import Annotated

import typer

from ..configs.errors import InputError
from .boundary import guarded
from .console import console
from .options import examples
from .press import Folder, Sign

CLIP = examples(
    ("mosaic clip mosaics/mine", "mosaics/mine/clip.mp4 and clip.gif"),
    ("mosaic clip mosaics/mine --tile 3,5", "out from the tile in row 3, column 5"),
)
VIEW = examples(
    ("mosaic view mosaics/mine", "then open mosaics/mine/view/index.html"),
    ("mosaic view mosaics/mine --zip", "and mosaics/mine/view.zip, to be sent"),
)


@guarded()
def view(
    folder: Folder,
    *,
    out: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Where.", show_default="FOLDER/view")
    ] = None,
    packed: Annotated[
        bool, typer.Option("--zip", help="Write all of it into one file, too, beside the folder.")
    ] = False,
) -> None:
    """Write a page to zoom into the mosaic, which opens from the disk and on a phone."""
    from ..studio.press.finished import open_finished
    from ..studio.press.view import archive_of, pack_view, view_folder, write_view

    mosaic = open_finished(Path(folder))
    target = view_folder(mosaic, Path(out) if out else None)
    if packed:
        archive_of(target)  # what may not be replaced is said before the work
    written = [write_view(mosaic, target)]
    if packed:
        written.append(pack_view(target))
    for path in written:
        console().print(str(path), soft_wrap=True, markup=False)


@guarded()
def clip(
    folder: Folder,
    *,
    tile: Annotated[
        str | None, typer.Option(metavar="ROW,COL", help="Where it begins.", show_default="middle")
    ] = None,
    sign: Sign = None,
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="The MP4.", show_default="FOLDER/clip.mp4")
    ] = None,
) -> None:
    """Write a film of 8 s from one tile out to the whole, as MP4 and GIF."""
    from ..studio.press.clip import write_clip
    from ..studio.press.finished import open_finished
    from ..studio.press.provenance import make_signer
    from .gen import parse_tile

    mosaic, start = open_finished(Path(folder)), parse_tile(tile, "--tile") if tile else None
    grid = mosaic.grid
    if start and not (start[0] < grid.rows and start[1] < grid.cols):
        raise InputError(f"--tile {tile} is outside the grid of {grid.rows} x {grid.cols} tiles.")
    signer = make_signer(*sign) if sign else None
    for path in write_clip(mosaic, Path(out) if out else None, tile=start, signer=signer):
        console().print(str(path), soft_wrap=True, markup=False)
