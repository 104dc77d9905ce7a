"""Composed samples: a subject at some place and size, before some background, with its caption.

A sample is two layers over a two-colour ramp. The back layer is a scene, a pattern of small copies
of another picture, or a second subject; it may be absent. Samples are rows of arrays, so that a
million of them are planned once, and rendered in batches on any device.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from random import Random

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..train.lighting import centres, ramp
from . import captions as words
from .corpus import Corpus
from .paint import OWN_COLORS, painted
from .recipe_settings import CorpusSettings


@dataclass(frozen=True)
class Layout:
    """Where a subject may stand, and before what."""

    backgrounds: dict[str, float]
    """Share of each kind of background behind a cut-out."""
    sizes: tuple[float, float]
    """Range of a cut-out's scale."""
    outside: float
    """How far it may leave the picture, in half sides."""
    sides: tuple[int, ...]
    """1 as it is, -1 mirrored; drawn evenly."""


VARIED = Layout(
    {"white": 0.11, "named": 0.36, "random": 0.08, "ramp": 0.08, "scene": 0.24, "pattern": 0.07,
     "pair": 0.06},
    sizes=(0.7, 1.05), outside=0.06, sides=(1, -1),
)
# With `corpus.few`: what hours on a processor can learn by heart is a subject that fills the
# picture, mostly on plain colour, and is not mirrored: most drawn animals look to the left, and a
# small network that sees both sides draws two heads.
PLAIN = Layout(
    {"white": 0.12, "named": 0.50, "random": 0.08, "ramp": 0.08, "scene": 0.22},
    sizes=(0.88, 1.02), outside=0.02, sides=(1,),
)
TOLD_SHARE = 0.7
TINT_SHARE = 0.06
FLOWER_SHARE = 0.35  # of patterns are flowers
ICON_WEIGHT = 0.25  # of flat icons beside fuller drawings of the same subject
STYLE_SHARE = 0.5  # of samples in some manner tell a style, the others a colour
NO_BACK = (-1, (1, 1, 0, 0), False)  # back layer's index, place and wrap where there is none


@dataclass
class Compositions:
    """N planned samples.

    `front` and `back` are picture indices, `back` is -1 where there is no back layer. Places
    `[N, 4]` are (x scale, y scale, x shift, y shift) in units of half a side; a negative x scale
    mirrors. `paint` `[N, 3]` is the colour in [0, 1] that the front picture is repainted in, -1
    where it keeps its own. `wrap` repeats the back layer over the whole picture. `colors`
    `[N, 2, 3]` in [0, 1] are the ends of the ramp behind everything, which runs at `angle` radians;
    `tint` `[N, 3]` multiplies the finished picture.
    """

    front: np.ndarray
    front_place: np.ndarray
    paint: np.ndarray
    back: np.ndarray
    back_place: np.ndarray
    wrap: np.ndarray
    colors: np.ndarray
    angle: np.ndarray
    tint: np.ndarray

    def __len__(self) -> int:
        return len(self.front)

    def select(self, index: np.ndarray) -> "Compositions":
        """Some of the samples."""
        return Compositions(*(getattr(self, f.name)[index] for f in fields(self)))

    def save(self, path: Path) -> None:
        """Write all arrays to one .npz file."""
        np.savez(path, **{f.name: getattr(self, f.name) for f in fields(self)})

    @staticmethod
    def load(path: Path) -> "Compositions":
        """Read what `save` wrote."""
        stored = np.load(path, allow_pickle=False)
        return Compositions(*(stored[f.name] for f in fields(Compositions)))

    @staticmethod
    def joined(parts: list["Compositions"]) -> "Compositions":
        """Several sets of samples as one."""
        names = [f.name for f in fields(Compositions)]
        return Compositions(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))


def compose(
    corpus: Corpus, settings: CorpusSettings, count: int, seed: int
) -> tuple[Compositions, list[str]]:
    """Plan `count` samples and their captions; the same seed gives the same samples."""
    planner = _Planner(corpus, settings, Random(seed))
    *columns, captions = zip(*(planner.sample() for _ in range(count)), strict=True)
    types = (np.int32, *(np.float32,) * 2, np.int32, np.float32, np.bool_, *(np.float32,) * 3)
    arrays = (np.asarray(c, dtype=t) for c, t in zip(columns, types, strict=True))
    return Compositions(*arrays), list(captions)


class _Planner:
    """Draws one composition after the other; every draw comes from `random`, in a fixed order."""

    def __init__(self, corpus: Corpus, settings: CorpusSettings, random: Random) -> None:
        self.corpus, self.random, self.subject_share = corpus, random, settings.subject_share
        self.layout = PLAIN if settings.few else VARIED
        self.subjects = words.find_subjects(corpus, settings.subjects, settings.few)
        self.subject_weights = np.cumsum([s.weight for s in self.subjects]).tolist()
        self.within = [self._by_style(s.pictures) for s in self.subjects]
        balance = self._caption_balance()
        self.everything = np.cumsum(balance).tolist()
        self.scenes = self._scenes(settings.few)
        self.scene_weights = np.cumsum(balance[self.scenes]).tolist()
        self.patterns = [s for s in self.subjects if not corpus.opaque[s.pictures].any()]
        self.flowers = [s for s in self.patterns if "flower" in s.words]
        self.color_names = list(words.facts()["colors"])

    def _by_style(self, pictures: np.ndarray) -> list[float]:
        """Cumulative weights that let every style of a subject have its say."""
        styles = [self.corpus.texts["style"][i] for i in pictures]
        counts = {style: styles.count(style) for style in set(styles)}
        weights = [counts[style] ** -0.7 for style in styles]
        for position, picture in enumerate(pictures):
            if self.corpus.texts["kind"][picture] == "icon":
                weights[position] *= ICON_WEIGHT
        return np.cumsum(weights).tolist()

    def _scenes(self, few: bool) -> list[int]:
        """Full pictures that may lie behind a cut-out; with `few`, only the subjects' own."""
        scenes = [i for i in np.flatnonzero(self.corpus.opaque).tolist()
                  if "background" in self.corpus.texts["tags"][i].split("|")]
        if not few:
            return scenes
        own = {i for subject in self.subjects for i in subject.pictures.tolist()}
        return [i for i in scenes if i in own]

    def _caption_balance(self) -> np.ndarray:
        """A picture's weight falls with the root of how many share its caption."""
        captions = self.corpus.texts["caption"]
        counts: dict[str, int] = {}
        for caption in captions:
            counts[caption] = counts.get(caption, 0) + 1
        return np.array([counts[caption] ** -0.5 for caption in captions])

    def sample(self) -> tuple:
        """One row of Compositions."""
        random, paint = self.random, OWN_COLORS
        index, subject = self._picture()
        if subject is not None and subject.styles:
            near = False
            index, paint, text = self._in_some_manner(subject)
        else:
            phrase = words.subject_phrase(self.corpus, index, subject, random)
            near = random.random() < (words.NEAR_SHARE if subject is None else subject.near)
            text = words.dressed(phrase, self.corpus.texts["style"][index], random, near)
        text = words.detailed(text, self.corpus, random)
        tint = [1.0, 1.0, 1.0]
        if random.random() < TINT_SHARE:
            tint = [random.uniform(0.45, 1) for _ in range(3)]
        if self.corpus.opaque[index]:
            row = (self._crop(), *NO_BACK, ((0, 0, 0),) * 2, 0.0, text)
        else:
            row = self._before(text, near)
        place, *rest, text = row
        return index, place, paint, *rest, tint, words.finished(text, random)

    def _picture(self) -> tuple[int, words.Subject | None]:
        """A picture, and the subject it was chosen for, if any."""
        random = self.random
        if self.subjects and random.random() < self.subject_share:
            positions = range(len(self.subjects))
            position = random.choices(positions, cum_weights=self.subject_weights)[0]
            subject = self.subjects[position]
            index = random.choices(subject.pictures, cum_weights=self.within[position])[0]
            return int(index), subject
        return random.choices(range(len(self.corpus)), cum_weights=self.everything)[0], None

    def _in_some_manner(self, subject: words.Subject) -> tuple[int, tuple, str]:
        """A picture of the subject, and the style or colour that the caption tells.

        Every style that it has comes as often as any other, whatever the number of its pictures.
        """
        styles: dict[str, list[int]] = {}
        for picture in subject.pictures.tolist():
            styles.setdefault(self.corpus.texts["style"][picture], []).append(picture)
        style = self.random.choice(sorted(styles))
        index = self.random.choice(styles[style])
        if not subject.colors or self.random.random() < STYLE_SHARE:
            phrase = words.subject_phrase(self.corpus, index, subject, self.random)
            return index, OWN_COLORS, words.in_style(phrase, style, self.random)
        name, color = self._named_color(subject.colors)
        phrase = f"{name} {self.random.choice(subject.words)}"
        return index, color, words.dressed(phrase, "photo", self.random, near=False)

    def _crop(self) -> tuple[float, float, float, float]:
        """A window of a full picture: enlarged, shifted no further than its rim, maybe mirrored."""
        scale = self.random.uniform(1.0, 1.4)
        shift = [self.random.uniform(1 - scale, scale - 1) for _ in range(2)]
        return (scale * self.random.choice(self.layout.sides), scale, *shift)

    def _place(self, low: float, high: float) -> tuple[float, float, float, float]:
        """A cut-out of some size, kept mostly inside the picture."""
        scale = self.random.uniform(low, high)
        reach = abs(1 - scale) + self.layout.outside
        shift = [self.random.uniform(-reach, reach) for _ in range(2)]
        return (scale * self.random.choice(self.layout.sides), scale, *shift)

    def _before(self, text: str, near: bool) -> tuple:
        """Place and background of a cut-out: a row but for index and tint, caption last."""
        random = self.random
        place = self._place(1.15, 1.6) if near else self._place(*self.layout.sizes)
        told = random.random() < TOLD_SHARE
        kinds = self.layout.backgrounds
        kind = random.choices(list(kinds), list(kinds.values()))[0]
        name, color = self._named_color()
        impossible = kind in ("scene", "pattern", "pair") and not (self.scenes and self.patterns)
        if impossible or (kind == "pair" and near):  # two fit in only when they are small
            kind = "named"
        if kind == "pair":
            layers, text = self._pair(text)
            return *layers, (color, color), 0.0, text
        if kind in ("scene", "pattern"):
            back, text = (self._scene if kind == "scene" else self._pattern)(text, told)
            return place, *back, (color, color), 0.0, text
        if kind in ("random", "ramp"):
            return place, *NO_BACK, *self._random_colors(kind), text
        if kind == "white":
            name, color, told = "white", (1.0, 1.0, 1.0), told and random.random() < 0.5
        text = words.on_color(text, name, random) if told else text
        return place, *NO_BACK, (color, color), 0.0, text

    def _random_colors(self, kind: str) -> tuple[tuple[tuple[float, ...], ...], float]:
        """The two ends of a ramp, or one colour twice, and the ramp's angle."""
        first = tuple(self.random.random() for _ in range(3))
        last = tuple(self.random.random() for _ in range(3)) if kind == "ramp" else first
        return (first, last), self.random.uniform(0, 6.283)

    def _scene(self, text: str, told: bool) -> tuple[tuple, str]:
        """A window of a scene as back layer, and the caption that may tell it."""
        scene = self.random.choices(self.scenes, cum_weights=self.scene_weights)[0]
        noun = words.subject_phrase(self.corpus, scene, None, self.random)
        text = words.before_scene(text, noun, self.random) if told else text
        return (scene, self._crop(), False), text

    def _pattern(self, text: str, told: bool) -> tuple[tuple, str]:
        """Small copies of another picture, flowers more often, and the caption that may tell it."""
        random = self.random
        often = self.flowers and random.random() < FLOWER_SHARE
        index, noun = self._other(self.flowers if often else self.patterns)
        scale = random.uniform(0.22, 0.36)
        tile = (scale, scale, random.uniform(-1, 1), random.uniform(-1, 1))
        text = words.on_pattern(text, noun, random) if told else text
        return (index, tile, True), text

    def _pair(self, text: str) -> tuple[tuple, str]:
        """A second subject at the other side: front place, back layer, caption."""
        random = self.random
        index, noun = self._other(self.patterns)
        side, scale = random.choice((1, -1)), random.uniform(0.45, 0.56)
        left = (scale, scale, side * 0.47, random.uniform(-0.2, 0.2))
        right = (scale, scale, -side * 0.47, random.uniform(-0.2, 0.2))
        return (left, index, right, False), f"{text} and {words.with_article(noun)}"

    def _other(self, pool: list[words.Subject]) -> tuple[int, str]:
        """A cut-out of some other subject, and its plain noun."""
        subject = self.random.choice(pool)
        return int(self.random.choice(subject.pictures)), subject.words[0]

    def _named_color(self, names: Sequence[str] = ()) -> tuple[str, tuple[float, ...]]:
        """The name of one of these or all colours and a shade, slightly varied, RGB in [0, 1]."""
        name = self.random.choice(names or self.color_names)
        shade = self.random.choice(words.facts()["colors"][name])
        return name, tuple(min(1, max(0, (c + self.random.uniform(-10, 10)) / 255)) for c in shade)


def render(corpus: Corpus, plan: Compositions) -> Tensor:
    """Draw samples: `[K, 3, S, S]` in [0, 1] on the corpus's device."""
    device, size = corpus.images.device, corpus.images.shape[-1]

    def tensor(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(device)

    points = centres(size, device)
    angle = tensor(plan.angle)
    whole_side = torch.stack([angle, torch.zeros_like(angle), torch.ones_like(angle)], 1)
    picture = ramp(points, tensor(plan.colors), whole_side)
    back = _layer(corpus, plan.back, tensor(plan.back_place), tensor(plan.wrap), points)
    front = _layer(corpus, plan.front, tensor(plan.front_place), None, points)
    front = painted(front, tensor(plan.paint))
    for layer in (back, front):
        picture = layer[:, :3] + picture * (1 - layer[:, 3:])
    return (picture * tensor(plan.tint)[:, :, None, None]).clamp(0, 1)


def _layer(
    corpus: Corpus, index: np.ndarray, place: Tensor, wrap: Tensor | None, points: Tensor
) -> Tensor:
    """Pictures warped to their places, `[K, 4, S, S]` premultiplied; empty where the index is -1.

    `points` `[S, S, 2]` are the pixel centres (x, y) in [-1, 1].
    """
    grid = (points - place[:, None, None, 2:]) / place[:, None, None, :2]
    if wrap is not None:
        grid = torch.where(wrap[:, None, None, None], torch.remainder(grid + 1, 2) - 1, grid)
    chosen = torch.from_numpy(np.maximum(index, 0)).long().to(corpus.images.device)
    layer = points.new_zeros(len(index), 4, *points.shape[:2])
    shrunk = place[:, 1] < 0.6
    for source, rows in ((corpus.images, ~shrunk), (corpus.small, shrunk)):
        pictures = source[chosen[rows]].float() / 255
        layer[rows] = F.grid_sample(pictures, grid[rows], align_corners=False)
    return layer * (chosen.new_tensor(index) >= 0)[:, None, None, None]


def plain(corpus: Corpus, index: np.ndarray, seed: int) -> Tensor:
    """Pictures at full size on a random colour each, `[K, 3, S, S]` in [0, 1].

    The VAE's quality is judged on these.
    """
    colors = torch.from_numpy(np.random.default_rng(seed).random((len(index), 3), np.float32))
    pictures = corpus.images[torch.from_numpy(index).to(corpus.images.device)].float() / 255
    colors = colors.to(pictures.device)[:, :, None, None]
    return pictures[:, :3] + colors * (1 - pictures[:, 3:])
