"""From a method's name to the settings that make it up."""

from dataclasses import replace

from ...configs.errors import InputError
from ...configs.settings import CLASSICAL, MosaicSettings

# The compared methods have neither integral noise nor colour alignment nor guidance, but for AdaIN,
# which is the alignment alone (paper, section 4.1).
PLAIN = {"noise": "random", "color": False, "guidance": False}
ADAIN = {**PLAIN, "color": True, "color_space": "latent"}

# What only guides read.
GUIDE = (
    "guide", "low_pass_cells", "guidance_start", "guidance_end", "guidance_strength", "target_ssim",
    "corrections", "guide_decoder", "inner_steps", "guidance_weight", "guidance_decay",
    "guidance_size", "lpips",
)  # fmt: skip
# What only a drawn reference reads.
REFERENCE = ("reference_steps", "reference_cfg_scale")
# What only some methods read; "smalti" does not even read its own name.
SETTINGS = {
    "match": ("method", "pool_size", "repeat_distance", "tone_adjustment", "low_pass_cells"),
    "tone": ("method", "pool_size"),
    "histogram": ("method", "pool_size"),
    "color-adapter": ("method", "adapter_scale"),
    "adain": ("method",),
    "noise-blend": ("method", "blend"),
    "img2img": ("method", "strength"),
    "quilt": ("method", "strength"),
    "factorized": ("method", "low_pass_cells"),
}


def resolve_method(mosaic: MosaicSettings) -> MosaicSettings:
    """Switch off what belongs to smalti alone; raises InputError for what the method cannot use."""
    if mosaic.pool and mosaic.method not in CLASSICAL:
        raise InputError(
            f'mosaic.pool is for --method {", ".join(CLASSICAL)}; "{mosaic.method}" draws every '
            "tile. Leave it out or choose one of those."
        )
    if mosaic.tone_adjustment and mosaic.method != "match":
        raise InputError(
            f'mosaic.tone_adjustment is for --method match; "{mosaic.method}" has no use for it.'
        )
    if mosaic.method == "smalti":
        return mosaic
    return replace(mosaic, **(ADAIN if mosaic.method == "adain" else PLAIN))


def unused_settings(mosaic: MosaicSettings) -> set[str]:
    """Settings that no tile depends on.

    Those of other methods, of guides where nothing guides, of choosing a pull where one is given,
    of concepts where none is drawn, and of drawing a reference where a photo is one.
    """
    used = {*SETTINGS.get(mosaic.method, ()), *(GUIDE if mosaic.guidance else ())}
    if mosaic.guidance_strength:
        used.discard("target_ssim")
    if mosaic.tint:
        used.add("low_pass_cells")
    if mosaic.tile_lora or mosaic.ref_lora:
        used.add("lora_scale")
    if not mosaic.ref:
        used.update(REFERENCE)
    some = {*GUIDE, *REFERENCE, "lora_scale"}
    return some.union(*SETTINGS.values()) - used
