"""Crops of a training image: its largest square, varied windows that keep the head, whole views."""

from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from PIL import Image

from .templates import kind_of

# Least side of a window over the image's short side: below a half it would hold little but hair.
SMALLEST_WINDOW = 0.5
# Every n-th crop shows the whole image.
WHOLE_EVERY = 4
# Where a window keeps its anchor, as shares of its side: the range of the random ones, and, last,
# where the largest square has it. Heads are near the top.
HEAD_AT = (0.0, 0.3, 0.1)
MIDDLE_AT = (0.3, 0.7, 0.5)


@dataclass(frozen=True)
class Crop:
    """One square training picture, pixels in [0, 1]."""

    image: torch.Tensor
    """[3, R, R]."""
    subject: torch.Tensor
    """[1, R, R], share of the subject in each pixel; ones without a mask."""
    padding: torch.Tensor
    """[1, R, R], 1 where the picture has real pixels, 0 on the padded canvas."""
    frame: torch.Tensor
    """[4], what it shows of its original: the original's height and width, and the crop's top and
    left in pixels of the original resized to the crop's scale; 0 of a whole view."""


@dataclass(frozen=True)
class Anchor:
    """The point of an image that windows keep, in pixels, and the least side of a window."""

    x: float
    y: float
    extent: float


def make_crop(
    image: Image.Image,
    mask: Image.Image | None,
    class_word: str,
    resolution: int,
    index: int,
    flip: bool,
    seed: tuple[int, ...],
) -> Crop:
    """Cut the `index`-th crop of an RGB image.

    After ED-LoRA's resize, crop and paste (Mix-of-Show, HumanResizeCropFinalV3): every fourth crop
    is the whole image, shrunk at random and pasted on an edge-coloured canvas; the others are
    square windows of half to the full short side that keep a person's head, or else the subject's
    centre. The first one is the largest such window, at no random place: how a tile shows its
    subject. Depends on nothing but the arguments; `seed` and `index` key the randomness.
    """
    rng = np.random.default_rng([*seed, index])
    if mask is None:
        mask, anchor = Image.new("L", image.size, 255), None
    else:
        mask = mask.convert("L")
        anchor = find_anchor(mask, class_word)
    window = None
    if is_whole(index):
        layers = _whole_view(rng, image, mask, resolution)
    else:
        drawn = rng if index else None
        window = choose_window(drawn, image.size, anchor, class_word, resolution)
        layers = _window_view(image, mask, window, resolution)
    mirrored = flip and rng.random() < 0.5
    if mirrored:
        layers = [np.ascontiguousarray(layer[:, ::-1]) for layer in layers]
    frame = _frame(image.size, window, resolution, mirrored)
    return Crop(*(_to_tensor(layer) for layer in layers), frame=frame)


def _frame(
    size: tuple[int, int], window: tuple[float, ...] | None, resolution: int, mirrored: bool
) -> torch.Tensor:
    """What a window of an image of (width, height), or a whole view, shows: see `Crop.frame`."""
    width, height = size
    if window is None:
        return torch.tensor([height, width, 0, 0]).float()
    left, top, right, _ = window
    scale = resolution / (right - left)
    left = width - right if mirrored else left
    return torch.tensor([height, width, top * scale, left * scale]).round()


def is_whole(index: int) -> bool:
    """Whether the `index`-th crop shows the whole image."""
    return index % WHOLE_EVERY == WHOLE_EVERY - 1


def find_anchor(mask: Image.Image, class_word: str) -> Anchor:
    """Return what windows must keep: a person's head, the middle of anything else."""
    inside = np.asarray(mask) > 127
    if not inside.any():
        inside = np.asarray(mask) > 0
    ys, xs = np.nonzero(inside)
    if kind_of(class_word) != "person":
        return Anchor(float(xs.mean()), float(ys.mean()), 0.8 * float(max(np.ptp(xs), np.ptp(ys))))
    top, bottom = ys.min(), ys.max()
    head = xs[ys <= top + 0.25 * (bottom - top)]
    # The top of a portrait is hair: a face is about as high as that is wide.
    return Anchor(float(head.mean()), float(top), 1.2 * float(np.ptp(head)))


def choose_window(
    rng: np.random.Generator | None,
    size: tuple[int, int],
    anchor: Anchor | None,
    class_word: str,
    resolution: int,
) -> tuple[float, float, float, float]:
    """Return a random square window (left, top, right, bottom) inside (width, height).

    Without `rng` it is the largest one, and keeps the anchor at the usual place.
    """

    def between(low: float, high: float, usual: float) -> float:
        return rng.uniform(low, high) if rng else usual

    width, height = size
    short = min(size)
    # Never enlarge pixels, unless the image itself is smaller than the resolution.
    smallest = max(SMALLEST_WINDOW * short, resolution, anchor.extent if anchor else 0)
    side = between(min(smallest, short), short, short)
    person = kind_of(class_word) == "person"
    if anchor is None:
        left = between(0, width - side, (width - side) / 2)
        # Portraits are anchored at the top, where heads are.
        top = between(0, height - side, (height - side) / 2) * (0.15 if person else 1.0)
    else:
        left = anchor.x - side * between(*MIDDLE_AT)
        top = anchor.y - side * between(*(HEAD_AT if person else MIDDLE_AT))
    left = float(np.clip(left, 0, width - side))
    top = float(np.clip(top, 0, height - side))
    return left, top, left + side, top + side


def _window_view(
    image: Image.Image, mask: Image.Image, window: tuple[float, ...], resolution: int
) -> list[np.ndarray]:
    size = (resolution, resolution)
    pixels = np.asarray(image.resize(size, Image.Resampling.LANCZOS, box=window))
    subject = np.asarray(mask.resize(size, Image.Resampling.BOX, box=window))
    return [pixels, subject, np.full_like(subject, 255)]


def _whole_view(
    rng: np.random.Generator,
    image: Image.Image,
    mask: Image.Image,
    resolution: int,
) -> list[np.ndarray]:
    factor = resolution / max(image.size) * rng.uniform(0.7, 1.0)
    size = tuple(min(resolution, max(1, round(side * factor))) for side in image.size)
    left, top = (int(rng.integers(0, resolution - side + 1)) for side in size)
    pads = ((top, resolution - size[1] - top), (left, resolution - size[0] - left))
    pixels = np.asarray(image.resize(size, Image.Resampling.LANCZOS))
    subject = np.asarray(mask.resize(size, Image.Resampling.BOX))
    # Continued edges: across a black border the encoder would see an artefact.
    return [
        np.pad(pixels, (*pads, (0, 0)), mode="edge"),
        np.pad(subject, pads),
        np.pad(np.full_like(subject, 255), pads),
    ]


def _to_tensor(layer: np.ndarray) -> torch.Tensor:
    array = torch.from_numpy(layer.copy()).float() / 255
    return (
        rearrange(array, "h w c -> c h w") if array.ndim == 3 else rearrange(array, "h w -> 1 h w")
    )
