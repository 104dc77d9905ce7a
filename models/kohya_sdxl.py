"""What layers of SDXL's family are called in kohya's files, which other programs read.

UNet layers have the names of the original code there (input_blocks, middle_block, output_blocks),
text encoders those of transformers before version 5, each behind a prefix of its own; dots become
underscores. Names are built from literals, as those of a loaded model depend on the library.
"""

PREFIXES = {"unet": "lora_unet", "text_encoder": "lora_te1", "text_encoder_2": "lora_te2"}
LEVELS, DOWN, UP = 3, 2, 3
"""Levels of the UNet, and its residual blocks on the way down and up, per level."""
RESIDUAL = {
    "conv1": "in_layers.2",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
SINGLE = {
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
BLOCKS = (
    {
        f"down_blocks.{level}.{kind}.{place}": f"input_blocks.{UP * level + place + 1}.{column}"
        for level in range(LEVELS)
        for place in range(DOWN)
        for column, kind in enumerate(("resnets", "attentions"))
    }
    | {
        f"up_blocks.{level}.{kind}.{place}": f"output_blocks.{UP * level + place}.{column}"
        for level in range(LEVELS)
        for place in range(UP)
        for column, kind in enumerate(("resnets", "attentions"))
    }
    | {
        f"down_blocks.{level}.downsamplers.0.conv": f"input_blocks.{UP * (level + 1)}.0.op"
        for level in range(LEVELS - 1)
    }
    | {
        f"up_blocks.{level}.upsamplers.0": f"output_blocks.{UP * level + 2}.2"
        for level in range(LEVELS - 1)
    }
    | {
        "mid_block.resnets.0": "middle_block.0",
        "mid_block.attentions.0": "middle_block.1",
        "mid_block.resnets.1": "middle_block.2",
    }
)


def kohya_name(layer: str) -> str:
    """Kohya's name of a layer that an adapter's file calls `layer`, part prefix included.

    "unet.mid_block.attentions.0.proj_in" is "lora_unet_middle_block_1_proj_in". Raises KeyError for
    one that SDXL's family does not have.
    """
    part, _, path = layer.partition(".")
    path = _original(path) if part == "unet" else path
    return f"{PREFIXES[part]}_{path.replace('.', '_')}"


def _original(path: str) -> str:
    """The original code's name of a UNet layer."""
    if path in SINGLE:
        return SINGLE[path]
    block = next((name for name in BLOCKS if f"{path}.".startswith(f"{name}.")), None)
    if block is None:
        raise KeyError(path)
    inner = path[len(block) + 1 :]
    inner = RESIDUAL[inner] if ".resnets." in block else inner
    return ".".join(filter(None, (BLOCKS[block], inner)))
