"""Fourth stage: the denoiser, on latents that are encoded once.

v-prediction on scaled-linear betas rescaled to zero terminal SNR (Lin et al. 2024), loss weighted
by Min-SNR (Hang et al. 2023) with a lower bound, because the plain weight vanishes where the SNR
does.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from ..configs.errors import InputError
from ..configs.files import replacing
from ..models.attention import attention_kernel
from ..models.device import resolve_precision
from ..models.prediction import NoiseLevel, prediction_of
from .contact_sheets import save_contact_sheet
from .finetuning import Teacher, train_text_layers_only
from .prepare import Prepared
from .recipe_settings import RecipeSettings, UnetSettings
from .rendering import render
from .subjects import distinctive_words
from .tokenizer import encode, load_tokenizer
from .training_loop import fit, step_seed

SAMPLE_PROMPTS = (
    "a cat", "a dog", "a teddy bear", "a car", "a bird", "a chair", "an anime girl face",
    "a flower", "a fish", "a coffee cup", "a robot", "a hamburger", "a cat on a red background",
    "a car parked in front of a mountain", "a castle on top of a hill", "a city at night",
)
VELOCITY = prediction_of("v_prediction")
ENCODE_BATCH = 16  # small enough for a processor's cache: at 256 it takes thrice as long


def new_scheduler() -> DDIMScheduler:
    """The starter's noise schedule, as its pipeline ships it."""
    return DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
        set_alpha_to_one=False, steps_offset=1, prediction_type="v_prediction",
        rescale_betas_zero_snr=True, timestep_spacing="trailing",
    )


def new_unet(settings: UnetSettings, text_width: int, resolution: int) -> UNet2DConditionModel:
    """Stable Diffusion's block pattern: 16 cross-attention layers, linear projections."""
    return UNet2DConditionModel(
        sample_size=resolution // 8, block_out_channels=settings.channels, layers_per_block=2,
        attention_head_dim=settings.heads, cross_attention_dim=text_width,
        use_linear_projection=True, norm_num_groups=16,
    )


def loss_weights(alphas: Tensor, gamma: float, lower: float) -> Tensor:
    """Min-SNR weight of the v-prediction error per timestep (Hang et al. 2023), at least `lower`.

    Timesteps are drawn in proportion to it, which costs nothing and is less noisy than drawing all
    alike and weighting their errors.
    """
    return VELOCITY.min_snr_weight(alphas, gamma).clamp(min=lower)


def draw_timesteps(weights: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` timesteps in proportion to `weights` `[T]`, spread evenly (Kingma et al. 2021, I.1).

    The cumulative weight is cut into `count` equal parts at one random offset; each gives one.
    """
    cumulative = (weights / weights.sum()).double().cumsum(0)
    offset = torch.rand((), device=weights.device, generator=generator)
    points = (torch.arange(count, device=weights.device) + offset.double()) / count
    return torch.searchsorted(cumulative, points).clamp(max=len(weights) - 1)


@torch.no_grad()
def encode_latents(prepared: Prepared, vae: AutoencoderKL, count: int) -> Tensor:
    """Latents of the first `count` compositions, `[N, 4, h, w]` in half precision."""
    plan, parts = prepared.compositions, []
    vae.to(memory_format=torch.channels_last)
    device = prepared.corpus.images.device
    kind = torch.float16 if device.type == "cuda" else torch.bfloat16
    fast = device.type == "cuda" or resolve_precision("auto", device) == "bf16"
    for start in range(0, count, ENCODE_BATCH):
        index = np.arange(start, min(start + ENCODE_BATCH, count))
        pictures = render(prepared.corpus, plan.select(index)) * 2 - 1
        with torch.autocast(device.type, kind, enabled=fast):
            parts.append(vae.encode(pictures).latent_dist.mode().to(kind))
    return torch.cat(parts)


def _kept_latents(prepared: Prepared, vae: AutoencoderKL, count: int, work: Path) -> Tensor:
    """`encode_latents`, through a file of this VAE's and plan's: a resumed run need not encode."""
    digest = hashlib.sha256()
    for weight in (*vae.encoder.state_dict().values(), *vae.quant_conv.state_dict().values()):
        digest.update(weight.cpu().contiguous().numpy().tobytes())
    for column in vars(prepared.compositions).values():
        digest.update(column.tobytes())
    path = work / f"latents-{digest.hexdigest()[:16]}-{count}.pt"
    if not path.is_file():
        with replacing(path) as temporary:
            torch.save(encode_latents(prepared, vae, count), temporary)
    return torch.load(path, weights_only=True)


@dataclass
class Batch:
    """Noised latents `[B, 4, h, w]`, their timesteps, text, v, and the compositions they show.

    `has_caption` `[B]` is false where the caption was dropped.
    """

    noisy: Tensor
    times: Tensor
    context: Tensor
    target: Tensor
    chosen: Tensor
    has_caption: Tensor


class Denoising:
    """The task of the UNet: batches of noised latents and captions, and the error of its answer."""

    def __init__(
        self, settings: UnetSettings, prepared: Prepared, vae: AutoencoderKL, text: CLIPTextModel,
        work: Path,
    ) -> None:
        self.settings, self.device = settings, prepared.corpus.images.device
        self.text = text.to(self.device).eval().requires_grad_(False)
        self.tokenizer = load_tokenizer(prepared.tokenizer_folder)
        self.empty = torch.from_numpy(encode(self.tokenizer, [""])).to(self.device)
        count = min(settings.latents or len(prepared.compositions), len(prepared.compositions))
        self.latents = _kept_latents(prepared, vae, count, work).to(self.device)
        self.tokens = torch.from_numpy(prepared.tokens[:count]).to(self.device)
        self.alphas = new_scheduler().alphas_cumprod.to(self.device)
        self.weights = loss_weights(self.alphas, settings.min_snr_gamma, settings.min_weight)

    def batch(self, size: int, seed: int) -> Batch:
        """Samples of a seed; `caption_dropout` of their captions are empty."""
        g = torch.Generator(self.device).manual_seed(seed)
        chosen = torch.randint(len(self.latents), (size,), device=self.device, generator=g)
        times = draw_timesteps(self.weights, size, g)
        clean = self.latents[chosen].float()
        noise = torch.randn(clean.shape, device=self.device, generator=g)
        drop = torch.rand(size, 1, device=self.device, generator=g) < self.settings.caption_dropout
        words = torch.where(drop, self.empty, self.tokens[chosen]).long()
        level = NoiseLevel.of(times, self.alphas)
        with torch.no_grad():
            context = self.text(words).last_hidden_state
        noisy, target = level.noised(clean, noise), VELOCITY.target(clean, noise, level)
        return Batch(noisy, times, context, target, chosen, ~drop[:, 0])

    def captions(self) -> list[str]:
        """What the samples say, as the tokenizer reads it."""
        return self.tokenizer.batch_decode(self.tokens.long(), skip_special_tokens=True)

    def error(self, predicted: Tensor, batch: Batch) -> Tensor:
        """Min-SNR weighted error of v; the weights are in how timesteps are drawn."""
        return self.weights.mean() * (predicted.float() - batch.target).square().mean()


def train_unet(
    settings: RecipeSettings, prepared: Prepared, vae: AutoencoderKL, text: CLIPTextModel,
    work: Path,
) -> UNet2DConditionModel:
    """Train on latents and captions, from random weights or from those of `unet.start`."""
    ours = settings.unet
    torch.manual_seed(ours.seed)
    model = new_unet(ours, settings.clip.width, settings.corpus.resolution)
    if ours.start:
        _go_on_from(ours.start, model)
    model = model.to(prepared.corpus.images.device)
    model.set_attn_processor(attention_kernel(model, "sdpa"))
    task = Denoising(ours, prepared, vae, text, work)
    teacher = None
    if ours.finetune_table:
        teacher = Teacher(model, task.captions(), distinctive_words(ours.finetune_table))
        train_text_layers_only(model)

    def loss(step: int) -> dict[str, Tensor]:
        b = task.batch(ours.batch_size, step_seed(ours.seed, step))
        if teacher:
            b.target = teacher.target(b)
        return {"loss": task.error(model(b.noisy, b.times, b.context, return_dict=False)[0], b)}

    def sample(average: nn.Module, path: Path) -> None:
        pipeline = assemble(average, vae, task.text, task.tokenizer)
        save_contact_sheet(draw(pipeline, list(SAMPLE_PROMPTS), each=6, steps=30), path, columns=12)

    return fit("unet", model, loss, ours, work, sample)


def _go_on_from(folder: str, model: UNet2DConditionModel) -> None:
    """Load a finished UNet's weights; InputError where there is none, or one of another shape."""
    if not (Path(folder) / "config.json").is_file():
        raise InputError(f"unet.start: there is no UNet in {folder}.")
    try:
        model.load_state_dict(UNet2DConditionModel.from_pretrained(folder).state_dict())
    except RuntimeError as error:
        raise InputError(
            f"unet.start: the UNet in {folder} has other channels or heads than the recipe."
        ) from error


def assemble(
    unet: nn.Module, vae: AutoencoderKL, text: CLIPTextModel, tokenizer: CLIPTokenizer
) -> StableDiffusionPipeline:
    """Stock pipeline of the trained parts."""
    pipeline = StableDiffusionPipeline(
        vae=vae, text_encoder=text, tokenizer=tokenizer, unet=unet, scheduler=new_scheduler(),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def draw(
    pipeline: StableDiffusionPipeline, prompts: list[str], each: int, steps: int,
    cfg_scale: float = 5.0, seed: int = 0,
) -> Tensor:
    """`each` pictures of every prompt, `[K, 3, S, S]` in [0, 1]; picture i has seed `seed + i`."""
    repeated = [prompt for prompt in prompts for _ in range(each)]
    generators = [torch.Generator("cpu").manual_seed(seed + i) for i in range(len(repeated))]
    parts = []
    for start in range(0, len(repeated), 64):
        drawn = pipeline(repeated[start : start + 64], num_inference_steps=steps, output_type="pt",
                         guidance_scale=cfg_scale, generator=generators[start : start + 64])
        parts.append(drawn.images.float().cpu())
    return torch.cat(parts)
