"""What the original code calls the layers of SDXL's UNet: kohya's files go by it.

Its blocks are input_blocks, middle_block and output_blocks, numbered through. User interfaces name
blocks after them: IN4 is input_blocks.4, OUT5 output_blocks.5.
"""

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


def original_name(path: str) -> str:
    """The original code's name of a UNet layer, itself where SDXL's family has no such layer.

    "mid_block.attentions.0.proj_in" is "middle_block.1.proj_in".
    """
    if path in SINGLE:
        return SINGLE[path]
    block = next((name for name in BLOCKS if f"{path}.".startswith(f"{name}.")), None)
    if block is None:
        return path
    inner = path[len(block) + 1 :]
    return ".".join(filter(None, (BLOCKS[block], RESIDUAL.get(inner, inner))))
