"""Cross-attention that takes one text per block, and the recorder of its maps.

A block is a transformer of the UNet, with one cross-attention layer on Stable Diffusion 1 and 2,
and up to ten on SDXL. Blocks are numbered in the order in which a forward pass reaches them: down,
mid, up.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from .device import without_autocast

TEXT_LENGTH = 77
"""Tokens that CLIP's text encoder reads, begin and end included."""
SMALL_MAP = 1024
"""Latent pixels up to which a CPU holds whole attention maps: 32 x 32."""


class AttentionRecorder:
    """Collects softmax maps of all cross-attention layers, only inside `with recorder:`.

    `maps` is a list of (text's index, Tensor [B, heads, h*w, 77]) with gradients. It is emptied
    on entry and stays readable after exit. Close it before `backward`: gradient checkpointing
    runs every layer a second time there and would record each map twice.
    """

    def __init__(self) -> None:
        self.maps: list[tuple[int, Tensor]] = []
        self._open = False

    def __enter__(self) -> "AttentionRecorder":
        self.maps = []
        self._open = True
        return self

    def __exit__(self, *error: object) -> None:
        self._open = False

    def add(self, layer: int, maps: Tensor) -> None:
        """Keep `maps` of `layer` while open."""
        if self._open:
            self.maps.append((layer, maps))


class LayerwiseAttention:
    """Attention processor of a cross-attention layer in block `index` out of `layers`.

    Picks its block's text from [B, L, 77, D], from L texts [B, 77, D], or from the folded
    [B, L*77, D] that stock pipelines accept; an ordinary [B, 77, D] serves every layer (P+, Voynov
    et al. 2023; ED-LoRA 3.1). Where gradients flow into the text, the second form is the cheap one:
    the gradient of one layer's part of a tensor is a tensor of all L.
    """

    def __init__(
        self, index: int, layers: int, inner: Any, record: AttentionRecorder | None
    ) -> None:
        self.index, self.layers, self.inner, self.record = index, layers, inner, record

    def __call__(
        self,
        attn: nn.Module,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | Sequence[Tensor] | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        **options: Any,
    ) -> Tensor:
        """Attend to this layer's text; shapes as in diffusers' processors."""
        text = self.select(encoder_hidden_states)
        if self.record is None:
            return self.inner(attn, hidden_states, text, attention_mask, temb, **options)
        return self.attend(attn, hidden_states, text, self.record)

    def select(self, text: Tensor | Sequence[Tensor] | None) -> Tensor | None:
        """This layer's text [B, 77, D]."""
        if text is None:
            return None
        if not isinstance(text, Tensor):
            return text[self.index]
        if text.ndim == 4:
            return text[:, self.index]
        if text.shape[1] == self.layers * TEXT_LENGTH and self.layers > 1:
            return text.unflatten(1, (self.layers, TEXT_LENGTH))[:, self.index]
        return text

    def attend(
        self, attn: nn.Module, hidden: Tensor, text: Tensor, record: AttentionRecorder
    ) -> Tensor:
        """Attention whose maps are shown to the recorder.

        Taken even while the recorder is closed: recomputation under gradient checkpointing must
        repeat the very operations of the forward pass.
        """
        attended, maps = attend_plainly(attn, hidden, text)
        record.add(self.index, maps)
        return attended


class PlainAttention:
    """Attention processor of whole maps: its backward pass is the fast one on a CPU.

    Large ones take memory that nobody has, and are left to `large`, a processor of diffusers.
    """

    def __init__(self, large: Any) -> None:
        self.large = large

    def __call__(
        self,
        attn: nn.Module,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        **options: Any,
    ) -> Tensor:
        """Attend as diffusers' processors do in a transformer block, where nothing is masked."""
        if hidden_states.shape[1] > SMALL_MAP:
            return self.large(attn, hidden_states, encoder_hidden_states, attention_mask, temb)
        text = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        return attend_plainly(attn, hidden_states, text)[0]


def attend_plainly(attn: nn.Module, hidden: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
    """Attention by matrix products and softmax: what it gives [B, n, D], and its fp32 maps.

    Maps are [B, heads, n, m] for hidden [B, n, D] and text [B, m, E]. Their logits are fp32 in any
    precision, also where autocast would take them back: those of Stable Diffusion 2.1 reach 1e5,
    where fp16 is infinite and bf16 counts in steps of 512. Its layers ask for that with
    `upcast_attention`; here all have it, as in torch's and xformers' fused kernels, which take
    every layer for one that asks.
    """
    query, key, value = (
        rearrange(x, "b n (h d) -> b h n d", h=attn.heads)
        for x in (attn.to_q(hidden), attn.to_k(text), attn.to_v(text))
    )
    exact = torch.promote_types(query.dtype, torch.float32)
    with without_autocast(query.device):
        maps = (query.to(exact) * attn.scale @ key.to(exact).transpose(-1, -2)).softmax(dim=-1)
    mixed = rearrange(maps.to(value.dtype) @ value, "b h n d -> b n (h d)")
    return attn.to_out[1](attn.to_out[0](mixed)), maps


def install_layerwise_attention(
    unet: nn.Module,
    record: AttentionRecorder | None = None,
    *,
    attention: str = "sdpa",
    gradients: bool = True,
) -> None:
    """Give every attention layer of `unet` its processor; calling it again replaces them.

    With `record`, cross-attention shows its maps to the recorder. `attention` is the kernel,
    "sdpa" or "xformers"; `gradients` says whether backward passes will run.
    """
    inner = attention_kernel(unet, attention, gradients=gradients)
    processors = dict.fromkeys(unet.attn_processors, inner)
    names, blocks = cross_attention_names(unet), cross_attention_blocks(unet)
    for name in names:
        index = blocks.index(_block_of(name))
        processors[f"{name}.processor"] = LayerwiseAttention(index, len(blocks), inner, record)
    unet.set_attn_processor(processors)


def attention_kernel(unet: nn.Module, attention: str, *, gradients: bool = True) -> Any:
    """The processor for "sdpa" or "xformers", on the device where `unet` lies.

    On a CPU torch's fused kernel is fast forwards and slow backwards; with gradients plain matrix
    products save a quarter of a step (`benchmarks/kernels.py`).
    """
    from diffusers.models import attention_processor as kernels

    if attention == "xformers":
        return kernels.XFormersAttnProcessor()
    fused = kernels.AttnProcessor2_0()
    on_cpu = next(unet.parameters()).device.type == "cpu"
    return PlainAttention(fused) if gradients and on_cpu else fused


def cross_attention_blocks(unet: nn.Module) -> list[str]:
    """Module names of the transformers with cross-attention, in forward order.

    Each takes a text of its own: 16 on Stable Diffusion 1 and 2, 11 on SDXL, fewer on what was
    distilled from it.
    """
    return list(dict.fromkeys(map(_block_of, cross_attention_names(unet))))


def _block_of(name: str) -> str:
    return name.rpartition(".transformer_blocks.")[0] or name


def cross_attention_names(unet: nn.Module) -> list[str]:
    """Module names of the cross-attention layers in forward order: down, mid, up.

    `unet.attn_processors` lists them down, up, mid, so its order must not be used.
    """
    return [
        name
        for part in ("down_blocks", "mid_block", "up_blocks")
        for name in _cross_attentions(getattr(unet, part), part)
    ]


def _cross_attentions(module: nn.Module | None, prefix: str) -> Iterator[str]:
    for name, child in module.named_modules() if module is not None else ():
        if name.endswith("attn2") and isinstance(getattr(child, "to_k", None), nn.Module):
            yield f"{prefix}.{name}"


def fold(text: Tensor) -> Tensor:
    """Layer-wise text [B, L, 77, D] -> [B, L*77, D], as `prompt_embeds` of stock pipelines."""
    return text.flatten(1, 2)
