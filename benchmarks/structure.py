"""Steps of published base models without their weights: devices, data types and peak memory.

A model of full width is built on torch's meta device, where tensors have everything but values, and
takes the steps of the real code: a training step with the regulariser, or a guided drawing step.
`Watch` sees every operation below autograd: it refuses operands on different devices and data types
that nobody asked for, and adds up what lives at once. Two things are as on a GPU, not as on meta:
autocast, which meta tensors know nothing of, and attention, which keeps no maps there.
"""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from architectures import ARCHITECTURES, modules, starter_tokenizer
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.checkpoint import checkpoint

from smalti.configs.loading import resolve
from smalti.configs.settings import TrainSettings
from smalti.generate.guidance.exact import ExactGuide
from smalti.generate.guidance.projection import ProjectionGuide
from smalti.models.autoencoder import safe_dtype
from smalti.models.band import LowPass
from smalti.models.bases.sd import StableDiffusion
from smalti.models.bases.sdxl import StableDiffusionXL
from smalti.models.conditioning import ConceptEmbedding
from smalti.models.denoiser import with_cfg
from smalti.models.denoising import Guide, denoise, make_scheduler
from smalti.models.edlora import detach
from smalti.models.linear_decoder import LinearDecoder
from smalti.train.batch import make_batch
from smalti.train.dataset import LatentSet
from smalti.train.methods import method_of
from smalti.train.optimizer import make_optimizer
from smalti.train.run import Run
from smalti.train.step import batch_losses
from smalti.train.word_attention import make_recorder

META = torch.device("meta")
MOVES = {torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default}
MEMBERS = 16  # pictures of a training set, half of them masked, each with a caption of its own


class Watch(TorchDispatchMode):
    """Refuses what would fail or be slow on a GPU, and knows the peak of what lives on the device.

    Raises AssertionError for operands on different devices and for unexpected data types.
    """

    def __init__(self, dtype: torch.dtype):
        """Allow floating point in `dtype` and fp32."""
        super().__init__()
        self.allowed = {torch.float32, dtype}
        self.live, self.peak, self.operations = 0, 0, 0
        self._seen: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation and look at what goes in and comes out."""
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        devices = {x.device.type for x in given if x.dim() > 0}
        assert len(devices) < 2 or func in MOVES, f"{func} mixes {sorted(devices)}"
        made = func(*args, **(kwargs or {}))
        there = {x.untyped_storage()._cdata for x in given}
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor) and tensor.device.type == "meta":
                self._count(func, tensor, there)
        self.operations += 1
        return made

    def _count(self, func: Any, tensor: Tensor, there: set[int]) -> None:
        plain = not tensor.is_floating_point() or tensor.dim() == 0
        assert plain or tensor.dtype in self.allowed, f"{func} gives {tensor.dtype}"
        storage = tensor.untyped_storage()
        if storage._cdata in self._seen or storage._cdata in there:  # a view, as of weights
            return
        self._seen.add(storage._cdata)
        self.live += (size := storage.nbytes())
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._free, storage._cdata, size)

    def _free(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.live -= size


class Flash(torch.autograd.Function):
    """Attention as a GPU's fused kernels hold it: inputs, output and one number per query."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Shapes only."""
        found = query.new_empty(*query.shape[:-1], value.shape[-1])
        ctx.save_for_backward(query, key, value, found, found.new_empty(query.shape[:-1]).float())
        return found

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Shapes only."""
        query, key, value, *_ = ctx.saved_tensors
        return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)


LOWERED = {
    F.linear, F.conv2d, torch.conv2d, torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.bmm,
    torch.mm, torch.addmm, torch.baddbmm,
}  # fmt: skip
RAISED = {
    F.layer_norm, F.group_norm, torch.layer_norm, torch.group_norm, F.softmax, torch.softmax,
    Tensor.softmax, torch.exp, Tensor.exp, torch.pow, Tensor.pow, Tensor.__pow__, Tensor.square,
    torch.sum, Tensor.sum, Tensor.norm, F.mse_loss,
}  # fmt: skip


class LikeGpu(TorchFunctionMode):
    """Fused attention, and autocast by CUDA's lists where it is on."""

    def __init__(self, autocast: torch.dtype | None):
        """Lower operands to `autocast`, None for no autocast."""
        super().__init__()
        self.autocast = autocast

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Cast as autocast would, and attend as fused kernels do."""
        kwargs = kwargs or {}
        if self.autocast and (func in LOWERED or func is F.scaled_dot_product_attention):
            args, kwargs = _cast((args, kwargs), self.autocast)
        elif self.autocast and func in RAISED:
            args, kwargs = _cast((args, kwargs), torch.float32)
        if func is F.scaled_dot_product_attention:
            return Flash.apply(*args[:3])
        return func(*args, **kwargs)

    def recomputed(self, module: Any, *inputs: Any) -> Any:
        """Gradient checkpointing of a module, whose second pass sees what the first one saw."""

        def run(*again: Any) -> Any:
            with self:
                return module(*again)

        return checkpoint(run, *inputs, use_reentrant=False)

    @contextmanager
    def off(self, device: torch.device) -> Iterator[None]:
        """In place of `without_autocast`."""
        kept, self.autocast = self.autocast, None
        yield
        self.autocast = kept


def _cast(values: Any, dtype: torch.dtype) -> Any:
    """All floating-point tensors of a structure in `dtype`."""

    def cast(value: Any) -> Any:
        moved = isinstance(value, Tensor) and value.is_floating_point()
        return value.to(dtype) if moved else value

    return tree_map(cast, values)


def structural_base(name: str, dtype: torch.dtype = torch.bfloat16) -> StableDiffusion:
    """The published base of a preset, without weights, on the meta device in `dtype`."""
    tokenizer, sizes = starter_tokenizer(), ARCHITECTURES[name]
    with META:
        parts = modules(sizes, tokenizer)
    for module in parts.values():
        module.to(dtype).requires_grad_(False).eval()
    _make_room_for_words(parts)
    parts["vae"].to(safe_dtype(sizes.vae, dtype))
    second = {"tokenizer_2": tokenizer} if sizes.text_encoder_2 else {}
    base = (StableDiffusionXL if second else StableDiffusion)(
        settings=resolve(base=name).base, folder=Path(), scheduler_config=sizes.scheduler,
        device=META, dtype=dtype, tokenizer=tokenizer, **parts, **second,
    )  # fmt: skip
    base.set_attention(gradients=True)
    return base


def _make_room_for_words(parts: dict[str, Any]) -> None:
    first = 0  # column of a word's vector at which a reader's part begins
    for name in ("text_encoder", "text_encoder_2"):
        if name in parts:
            table = parts[name].get_input_embeddings()
            parts[name].set_input_embeddings(ConceptEmbedding(table, first))
            first += table.embedding_dim


def training_step(
    base: StableDiffusion, side: int, batch_size: int, *, checkpointing: bool = False
) -> Watch:
    """Attach an adapter and take a training step with its preset's settings, `side` px."""
    settings = replace(resolve(base=base.settings.name).train, batch_size=batch_size,
                       class_word="dog")  # fmt: skip
    run = _run(base, settings, side)
    watch, like_gpu = Watch(base.dtype), LikeGpu(base.dtype)
    if checkpointing:
        base.unet.train()
        base.unet.enable_gradient_checkpointing(like_gpu.recomputed)
    with (
        watch, like_gpu,
        patch("smalti.models.attention.without_autocast", like_gpu.off),
        patch("smalti.train.word_attention.without_autocast", like_gpu.off),
    ):  # fmt: skip
        sum(batch_losses(run, make_batch(run, 0)).values()).backward()
        run.optimizer.zero_grad()
    base.unet.disable_gradient_checkpointing()
    base.unet.eval()
    base.set_attention(gradients=True)
    detach(base, run.adapter)
    return watch


def no_words(base: StableDiffusion, word: str, layers: int, generator: Any) -> Tensor:
    """Words [2, layers, D] that need no weights to begin from."""
    return torch.zeros(2, layers, base.word_width)


def _run(base: StableDiffusion, settings: TrainSettings, side: int) -> Run:
    method = method_of(settings)
    with patch("smalti.models.edlora.initial_words", no_words):
        adapter = method.attach(base, "rex", settings.class_word, settings)
    data = _pictures(base, side // base.latent_factor)
    return Run(
        settings=settings,
        method=method,
        base=base,
        adapter=adapter,
        data=data,
        accelerator=SimpleNamespace(num_processes=1, process_index=0),
        optimizer=make_optimizer(base, method.parameter_groups(base, adapter, settings), settings),
        recorder=make_recorder(base, adapter, data, settings),
        norm_limits=torch.zeros(2),
    )


def _pictures(base: StableDiffusion, side: int) -> LatentSet:
    """A training set of empty latents [N, 1, 1, C, side, side] on the CPU."""
    plain = torch.ones(MEMBERS, 1, 1, side, side)
    return LatentSet(
        latents=torch.zeros(MEMBERS, 1, 1, base.latent_channels, side, side),
        subject=plain, padding=plain, has_mask=torch.arange(MEMBERS) % 2 == 0,
        captions=tuple(f"a <concept> {n}" for n in range(MEMBERS)), digest="",
    )  # fmt: skip


def drawing_step(base: StableDiffusion, side: int, tiles: int, *, guide: str) -> Watch:
    """One guided denoising step of `tiles` tiles of `side` px, and the decoding of one.

    guide: "projection", with its look at the decoded tile, or "exact".
    """
    sampler = resolve(base=base.settings.name).mosaic.sampler
    watch, latent = Watch(base.dtype), side // base.latent_factor
    with watch, LikeGpu(None):
        with torch.no_grad():
            texts = base.encode_text(["a cat"])
        clean = denoise(
            with_cfg(base.denoiser, texts, sampler.cfg_scale),
            make_scheduler(base, sampler.scheduler, 1),
            torch.zeros(tiles, base.latent_channels, latent, latent),
            texts.repeated(tiles),
            guide=_guide(base, torch.zeros(tiles, 3, 64, 64), guide),
            generators=[torch.Generator() for _ in range(tiles)],
        )
        with torch.no_grad():
            base.decode(clean[:1])
    return watch


def _guide(base: StableDiffusion, blocks: Tensor, name: str) -> Guide:
    if name == "exact":
        return ExactGuide(base, blocks.to(META), weight=1.0, decay=1.0, low_pass=LowPass(64, 4.0))
    linear = LinearDecoder(torch.eye(3, 4), torch.zeros(3), torch.eye(4), 1.0)
    return ProjectionGuide(
        linear, base.decode, blocks.to(META), cells=8, strength=0.5, corrections=1
    )


def weights(base: StableDiffusion) -> dict[str, int]:
    """How many values the weights of each part are."""
    parts = {part.name: part.module for part in base.lora_parts()} | {"vae": base.vae}
    return {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}


