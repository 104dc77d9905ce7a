"""The engine: a loaded base model with everything that mosaics share, for as long as a process."""

from collections import OrderedDict
from collections.abc import Collection, Iterable
from contextlib import ExitStack
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import finalize

import torch

from ..configs.base import BaseSettings
from ..configs.errors import SmaltiError
from ..configs.files import file_hash
from ..configs.machine import MachineSettings
from ..configs.mosaic import MosaicSettings
from ..models.base import BaseModel
from ..models.bases import load_base
from ..models.denoiser import Conditioning, Denoiser, Denoises, with_cfg
from ..models.device import DTYPES, pick_device, resolve_precision
from ..models.edlora import Adapter, detach, set_active
from ..models.exchange.foreign import attach_file
from ..models.exchange.header import name_in
from ..models.lpips import Lpips
from ..models.merging import merged
from ..models.turns import Turn, denoiser_of, turn_of
from ..models.words import concept_key
from .guidance.cost import needs_gradients

if TYPE_CHECKING:
    from .job import Job

MAX_ADAPTERS = 8  # attached at once: a studio draws hundreds of customers with one engine
MAX_TEXTS = 64  # encoded prompts that are kept, 5 MB each on Stable Diffusion 2.1


class Engine:
    """A base model on a device, attached adapters, encoded prompts, and merged weights.

    Knows no folder and no mosaic. What is used again is kept: an adapter is attached once, a prompt
    encoded once per adapter, and an adapter merged until another one is needed. Not for threads.
    """

    def __init__(self, base: BaseModel, precision: str):
        """Serve `base`, which computes in `precision` ("no", "fp16" or "bf16")."""
        self.base, self.precision = base, precision
        self._attached: OrderedDict[str, Adapter] = OrderedDict()
        self._texts: OrderedDict[tuple[str, str, float], Conditioning] = OrderedDict()
        self._active: tuple[str, float] | None = None
        self._merged, self._is_merged = ExitStack(), False
        self._turns: dict[str, Turn] = {}
        finalize(self, self._merged.close)  # while torch is still there
        self._gradients: bool | None = None
        self._lpips: dict[Path, Lpips] = {}
        self._keys: dict[tuple[Path, int, int, int], str] = {}

    def adapter(self, path: Path) -> Adapter:
        """The adapter of a file, attached once; of two concepts called "mug" one is "mug-2".

        Raises InputError when it is damaged or made for another base.
        """
        key = self._key(path)
        if key not in self._attached:
            self._attached[key] = self._attach(path)
        self._attached.move_to_end(key)
        return self._attached[key]

    def _key(self, path: Path) -> str:
        """Hash of an adapter's file, read once for as long as the file stays as it is."""
        facts = path.stat()
        state = (path, facts.st_mtime_ns, facts.st_size, facts.st_ino)
        if state not in self._keys:
            self._keys[state] = file_hash(path)
        return self._keys[state]

    def _attach(self, path: Path) -> Adapter:
        """Attach an adapter, and detach those that were used longest ago."""
        self._unmerge()
        self._active = None  # attaching and detaching switch adapters on and off
        self._turns.clear()
        while len(self._attached) >= MAX_ADAPTERS:
            detach(self.base, self._attached.popitem(last=False)[1])
        adapter = attach_file(self.base, path, self._free_name(path))
        # Whatever it is called here, prompts say its own words: they are encoded with it alone.
        adapter.trigger = adapter.metadata.get("trigger", "")  # others have no words of their own
        self.base.freeze()
        return adapter

    def _free_name(self, path: Path) -> str:
        """The adapter's own name, or one like it where another one has taken that."""
        own = concept_key(name_in(path))
        names = chain([own], (concept_key(f"{own}-{n}") for n in count(2)))
        return next(name for name in names if name not in self.base.adapters)

    def activate(self, path: Path | None, scale: float) -> list[Adapter]:
        """Switch on one adapter at `scale`, or none, beside the weights; returns those that are."""
        used = [self.adapter(path)] if path else []
        wanted = (used[0].name if used else "", scale)
        self._unmerge()
        if self._active != wanted:
            set_active(self.base, [adapter.name for adapter in used], scale)
            self._active = wanted
        return used

    def merge(self, path: Path | None, scale: float) -> None:
        """Make one adapter part of the network's weights, until another is asked for."""
        wanted = (self.adapter(path).name if path else "", scale)
        if self._active == wanted and self._is_merged:
            return
        self.activate(path, scale)
        self._merged.enter_context(merged(self.base))
        self._is_merged = True

    def take_turns(self, paths: Collection[Path], scale: float) -> dict[Path, Denoiser]:
        """A denoiser with each adapter at `scale`, to be called in any order; none is active then.

        Their weights are kept until others take turns. To be asked for last: what attaches,
        activates or merges an adapter ends it.
        """
        adapters = {path: self.adapter(path) for path in paths}
        kept = {name: turn for name, turn in self._turns.items() if turn.scale == scale}
        self._turns = {}
        for path, adapter in adapters.items():
            if adapter.name in kept:
                self._turns[adapter.name] = kept[adapter.name]
                continue
            self.activate(path, scale)
            self._turns[adapter.name] = turn_of(self.base, adapter.peft_name, scale)
        self.activate(None, scale)
        turns = {path: self._turns[adapter.name] for path, adapter in adapters.items()}
        return {path: denoiser_of(self.base, turn) for path, turn in turns.items()}

    def _unmerge(self) -> None:
        self._merged.close()
        self._is_merged = False

    @torch.no_grad()
    def encode(
        self, prompts: Iterable[str], path: Path | None, scale: float
    ) -> dict[str, Conditioning]:
        """What each prompt conditions one sample with, under an adapter; encoded one by one.

        prompts: the concept's words already stand in them. A text depends on its prompt and the
        adapter only, never on what is encoded beside it.
        """
        key = self._key(path) if path else ""
        found = {}
        for prompt in dict.fromkeys(prompts):
            name = (prompt, key, scale)
            if name not in self._texts:
                used = self.activate(path, scale)
                self._texts[name] = self.base.encode_text([prompt], used)
            self._texts.move_to_end(name)
            found[prompt] = self._texts[name]
            if len(self._texts) > MAX_TEXTS:
                self._texts.popitem(last=False)
        return found

    def guided(
        self,
        mosaic: MosaicSettings,
        path: Path | None,
        *,
        scale: float | None = None,
        window: tuple[float, float] = (0.0, 1.0),
        own: Denoiser | None = None,
    ) -> Denoises:
        """The base's denoiser under the guidance of what shows an adapter's concept, or none.

        scale: in place of the sampler's own. own: the adapter's denoiser, where several take turns
        and none is active. To be asked for before the adapter is activated or merged, as the
        negative prompt may have to be encoded.
        """
        picture, sampler, concept = mosaic.picture, mosaic.sampler, path is not None
        bare = self.base.denoiser if own else self.base.bare_denoiser
        weaker = bare if sampler.leaves_base(concept=concept) else None
        negative = picture.negative_prompt
        texts = self.encode([negative], None if weaker else path, picture.lora_scale)
        scale = scale or sampler.scale_of(concept=concept)
        return with_cfg(own or self.base.denoiser, texts[negative], scale, window, weaker)

    def lpips(self, path: Path) -> Lpips:
        """LPIPS with the weights of a file, read once."""
        if path not in self._lpips:
            self._lpips[path] = Lpips(path, setting="mosaic.lpips").to(self.base.device)
        return self._lpips[path]

    def prepare_for(self, job: "Job") -> None:
        """Make sure that this engine draws what the job's own would, bit for bit.

        Raises SmaltiError for another base or precision.
        """
        mine, wanted = (self.base.fingerprint, self.precision), (job.fingerprint, job.precision)
        if mine != wanted:
            raise SmaltiError(
                f"This job is for base {wanted[0]} at precision {wanted[1]}; the engine has "
                f"{mine[0]} at {mine[1]}. Draw it with an engine of its own."
            )
        self.choose_attention(job.mosaic)

    def choose_attention(self, mosaic: MosaicSettings) -> None:
        """Take the kernel that a mosaic asks for, whatever was drawn before it."""
        if self._gradients != (gradients := needs_gradients(mosaic)):
            self.base.set_attention(gradients=gradients)
            self._gradients = gradients


def open_engine(
    base: BaseSettings, machine: MachineSettings, *, precision: str | None = None
) -> Engine:
    """Load a base model for drawing, on the best device there is.

    precision: "no", "fp16" or "bf16"; None resolves the settings' one. Raises InputError as
    `load_base` does.
    """
    device = pick_device()
    precision = precision or resolve_precision(machine.mixed_precision, device)
    loaded = load_base(
        base, device=device, dtype=DTYPES[precision], attention=machine.attention, gradients=False
    )
    loaded.prepare_drawing(compile=machine.compile)
    return Engine(loaded, precision)
