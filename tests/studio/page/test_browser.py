"""A newcomer's way in Chromium: photos in, trained, drafted, drawn, a tile anew, the print file."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from training import make_concept

pytest.importorskip("playwright.sync_api")
pytest.importorskip("starlette")
pytest.importorskip("pyvips")
pytestmark = pytest.mark.slow

DESK, PHONE = {"width": 1400, "height": 900}, {"width": 390, "height": 844}
QUICK = ("train.steps=2", "train.batch_size=1", "train.crops_per_image=1", "train.rank=1",
         "train.validation_steps=1", "train.validation_prompts=a <concept>",
         "mosaic.steps=2", "mosaic.guidance_strength=0.3")  # fmt: skip
PHOTOS = 4
SCREENS = ("/concepts", "/concepts/mug", "/mosaics", "/new", "/mosaics/mine", "/orders")
LOOKS = ("color-contrast", "link-in-text-block", "scrollable-region-focusable", "target-size")
"""axe's rules that depend on a window's size and colours; all others see the same in every one."""


@pytest.fixture(scope="module")
def address(tiny_sd: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A server of its own, as `mosaic page` starts it, and the folder that it works in."""
    folder = tmp_path_factory.mktemp("page")
    make_concept(folder / "photos")
    pixels = np.random.default_rng(1).integers(0, 255, (90, 120, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "picture.png")
    key = "lora_unet_mid_block_attentions_0_proj_in.alpha"
    save_file({key: torch.ones(1)}, folder / "cat.safetensors")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "smalti.cli.main", "page", "--no-browser", "--port", str(port)]
    words += ["--base", str(tiny_sd), *(f"--set={text}" for text in QUICK)]
    server = subprocess.Popen(words, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        _wait(port, server)
        yield f"http://127.0.0.1:{port}", folder
        server.send_signal(signal.SIGINT)
        assert server.wait(120) in (0, 130, -signal.SIGINT)
    finally:
        server.kill()


def _wait(port: int, server: subprocess.Popen) -> None:
    for _ in range(1800):
        assert server.poll() is None, server.stderr.read().decode()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("the server does not listen")


@pytest.fixture
def window(browser, address):
    """A window that may ask for nothing from elsewhere, and has nothing to complain of."""
    # Without motion: to draw a bar that moves takes more of a machine than a training.
    found = browser.new_page(viewport=DESK, accept_downloads=True, reduced_motion="reduce")
    found.set_default_timeout(600_000)
    said, asked = [], []
    found.on("console", lambda text: said.append((text.text, text.location["url"])))
    found.on("pageerror", lambda error: said.append(str(error)))
    found.on("request", lambda request: asked.append(request.url))
    yield found
    assert not said, said
    assert all(url.startswith((address[0], "data:", "blob:")) for url in asked)
    found.close()


def test_from_photos_to_a_print_file(window, address, tmp_path):
    url, folder = address
    window.goto(url)
    window.click("nav >> text=Concepts")
    window.fill("[name=name]", "mug")
    window.click("text=Make it")
    window.wait_for_url("**/concepts/mug")
    window.set_input_files("#photos-file", sorted((folder / "photos").glob("p?.png"))[:PHOTOS])
    window.wait_for_selector(f"#photos li >> nth={PHOTOS - 1}")
    window.fill("[name=class_word]", "cup")
    window.press("[name=class_word]", "Tab")
    window.click("#training >> button >> text=Train")
    window.wait_for_selector("#training dl >> text=Likeness")
    assert "not judged" not in window.inner_text("#training")
    assert (folder / "concepts" / "mug" / "edlora.safetensors").is_file()
    assert 'class_word = "cup"' in (folder / "concepts" / "mug" / "concept.toml").read_text()

    window.click("#training >> text=Make a mosaic")
    window.click("summary >> text=A LoRA")
    window.set_input_files("#lora-file", folder / "cat.safetensors")
    window.wait_for_selector("#loras [name=tile_trigger]")
    window.click("#loras >> text=Remove")
    assert window.locator("[name=tile_file]").count() == 0
    # What the tiles show is said last: each change before it would begin a draft, too.
    window.set_input_files("#photo-file", folder / "picture.png")
    window.wait_for_selector("#photo [name=crop]", state="attached")
    window.fill("[name=grid]", "2x3")
    window.check("[name=tile_lora][value=mug]")
    window.wait_for_selector("#draft-state img")
    window.wait_for_selector("#draft-state progress", state="detached")
    window.click("summary >> text=More")
    window.fill("[name=name]", "mine")
    window.click("button.draw")
    window.wait_for_url("**/mosaics/mine")
    window.wait_for_selector("text=Print file")
    tile = folder / "mosaics" / "mine" / "tiles" / "r01_c02.png"
    first = tile.read_bytes()

    window.fill("[data-tile] [name=row]", "1")
    window.fill("[data-tile] [name=col]", "2")
    window.click("[data-tile] >> text=Show")
    window.click("#tile >> text=Draw it anew")
    window.wait_for_selector("#tile >> text=Take the other one back")
    window.wait_for_selector("text=Print file")
    assert tile.read_bytes() != first
    window.click("#tile >> text=Take the other one back")
    record = folder / "mosaics" / "mine" / "mosaic.json"
    _until(lambda: tile.read_bytes() == first and '"finished"' in record.read_text())

    window.fill("[name=size]", "5x4cm")
    window.click("button >> text=Print file")
    with window.expect_download() as download:
        window.click(".files a[href*='print/']")
    download.value.save_as(tmp_path / "print.tif")
    with Image.open(tmp_path / "print.tif") as made:
        wanted = [round(mm / 25.4 * 300) for mm in (56, 46)]  # with the bleed
        assert all(abs(px - want) <= 2 for px, want in zip(made.size, wanted, strict=True))


def _until(holds) -> None:
    for _ in range(3000):
        if holds():
            return
        time.sleep(0.1)
    raise AssertionError("nothing happens")


def test_every_screen_fits_and_can_be_read_by_machines(browser, address):
    """After the test above: by axe's rules, on a desk by day and a phone by night, no screen
    scrolls sideways. What is seen stays in `screens` of pytest's folder, to be looked at."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = browser.new_page(
        viewport=DESK, color_scheme="light", bypass_csp=True, reduced_motion="reduce"
    )
    found.set_default_timeout(600_000)
    for path in SCREENS:
        found.goto(address[0] + path, wait_until="load")
        if path == "/new":
            found.click("summary >> text=A LoRA")
            found.set_input_files("#lora-file", address[1] / "cat.safetensors")
            found.wait_for_selector("#loras .kept")
        for size, scheme, rules in ((DESK, "light", None), (PHONE, "dark", LOOKS)):
            found.set_viewport_size(size)
            found.emulate_media(color_scheme=scheme)
            width = found.evaluate("document.documentElement.scrollWidth")
            assert width <= size["width"], path
            faults = _faults(axe, found, rules)
            assert not faults, (path, scheme, faults)
            shown = f"{path.strip('/').replace('/', '-')}-{scheme}.png"
            found.screenshot(path=address[1] / "screens" / shown, full_page=True)
    found.close()


def _faults(axe, window, rules: tuple[str, ...] | None) -> list[tuple[str, list[str]]]:
    """What axe finds serious by some rules, or by all."""
    only = {"runOnly": {"type": "rule", "values": rules}} if rules else {}
    options = {"resultTypes": ["violations"], **only}
    return [
        (fault["id"], [node["html"][:160] for node in fault["nodes"]])
        for fault in axe.run(window, options=options).response["violations"]
        if fault["impact"] in ("serious", "critical")
    ]
