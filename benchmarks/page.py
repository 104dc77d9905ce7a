"""How fast the page answers while a mosaic is drawn on the same cores.

    python benchmarks/page.py                    the starter, 12 x 12 tiles being drawn
    python benchmarks/page.py --seconds 60 --json page.json

wrk asks for every screen in turn (https://github.com/wg/wrk; Debian: apt install wrk).
"""

import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from scenes import sample_photo

from smalti.cli.boundary import guarded
from smalti.cli.console import print_table
from smalti.configs.errors import InputError, SmaltiError
from smalti.configs.files import write_json

SCREENS = ("/mosaics", "/concepts", "/new", "/orders", "/mosaics/busy", "/mosaics/busy/preview.jpg")
GOAL = (100, 300)  # ms: median, 95th of a hundred
CONNECTIONS = 2
REPORT = """
done = function(summary, latency, requests)
  io.write(string.format("P %f %f %d\\n", latency:percentile(50), latency:percentile(95),
    summary.requests))
end
"""

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command()
@guarded("Close other programs.")
def main(
    seconds: Annotated[int, typer.Option(min=1, help="Of asking, for each screen.")] = 10,
    grid: Annotated[str, typer.Option(help="Of the mosaic that is drawn.")] = "12x12",
    json_file: Annotated[Path | None, typer.Option("--json", help="File for all numbers.")] = None,
) -> None:
    """Start a server, let it draw, and ask for its screens."""
    if shutil.which("wrk") is None:
        raise InputError("wrk is not installed; on Debian type: apt install wrk")
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder)) as server:
        server.draw(grid)
        found = {}
        for path in SCREENS:
            if not server.draws():
                raise SmaltiError("The mosaic was finished too soon; take a larger --grid.")
            found[path] = server.ask(path, seconds)
    rows = [(path, f"{m:.0f}", f"{p:.0f}", str(n)) for path, (m, p, n) in found.items()]
    print_table("While a mosaic is drawn", ("screen", "median ms", "p95 ms", "answers"), rows)
    print(f"wanted: median below {GOAL[0]} ms, p95 below {GOAL[1]} ms")
    if json_file:
        write_json(json_file, found)


class Server:
    """`mosaic page` in a folder of its own, and what a browser would ask of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "Server":
        words = [sys.executable, "-m", "smalti.cli.main", "page", "--no-browser"]
        self.process = subprocess.Popen([*words, "--port", str(self.port)], cwd=self.folder)
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.1)
        raise SmaltiError("The server does not listen.")

    def __exit__(self, *error: object) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)

    def draw(self, grid: str) -> None:
        """Begin a mosaic called "busy", and wait for its first tile."""
        from urllib.parse import urlencode
        from urllib.request import Request, urlopen

        photo = sample_photo(self.folder / "mosaics" / "photos" / "astronaut.png")
        page = urlopen(f"{self.address}/new").read().decode()
        name, token = re.search(r"hx-headers='\{\"([^\"]+)\": \"([^\"]+)\"", page).groups()
        fields = {"tile_prompt": "a hamburger", "photo": photo.name, "grid": grid, "name": "busy"}
        body = urlencode(fields).encode()
        urlopen(Request(f"{self.address}/mosaics", body, {name: token}))
        while not any((self.folder / "mosaics" / "busy" / "tiles").glob("*.png")):
            time.sleep(0.2)

    def draws(self) -> bool:
        """Whether the mosaic is still being drawn."""
        record = self.folder / "mosaics" / "busy" / "mosaic.json"
        return '"unfinished"' in record.read_text()

    def ask(self, path: str, seconds: int) -> tuple[float, float, int]:
        """Median and 95th of a hundred of the answers' times in ms, and how many there were."""
        script = self.folder / "report.lua"
        script.write_text(REPORT)
        words = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script)]
        done = subprocess.run([*words, self.address + path], capture_output=True, text=True)
        found = re.search(r"P (\S+) (\S+) (\d+)", done.stdout)
        if found is None or "Non-2xx" in done.stdout:
            raise SmaltiError(f"wrk failed on {path}: {done.stdout} {done.stderr}")
        return float(found[1]) / 1000, float(found[2]) / 1000, int(found[3])


if __name__ == "__main__":
    app()
