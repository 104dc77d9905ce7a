"""The stages' formulas against independent ones: LPIPS, latents, loss weights, CLIP, tokens."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from smalti.configs.errors import InputError
from smalti.models.lpips import Lpips
from smalti.starter.clip import contrastive_loss
from smalti.starter.contact_sheets import contact_sheet
from smalti.starter.recipe_settings import RecipeSettings
from smalti.starter.t2i_adapter import early_weights
from smalti.starter.tokenizer import END, START, encode, load_tokenizer, train_tokenizer
from smalti.starter.unet import draw_timesteps, loss_weights, new_scheduler, new_unet
from smalti.starter.vae import new_vae, reconstruct, standardise_latents


def pictures(count: int, side: int = 64, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def test_lpips_without_its_file_names_the_recipes_setting(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="vae.lpips"):
        Lpips(tmp_path / "no.safetensors")


class TestLatents:
    def test_standardising_keeps_pictures_and_scales_latents(self, recipe: RecipeSettings) -> None:
        torch.manual_seed(0)
        vae = new_vae(recipe.vae, 64).eval()
        batches = [pictures(8, seed=seed) for seed in range(3)]
        before = reconstruct(vae, batches[0])
        raw = [vae.encode(batch * 2 - 1).latent_dist for batch in batches]
        spread = torch.cat([part.mean for part in raw]).std((0, 2, 3))
        standardise_latents(vae, batches)
        latents = torch.cat([vae.encode(batch * 2 - 1).latent_dist.mean for batch in batches])
        torch.testing.assert_close(latents.mean((0, 2, 3)), torch.zeros(4), atol=1e-4, rtol=0)
        torch.testing.assert_close(latents.std((0, 2, 3)), torch.ones(4), atol=1e-3, rtol=0)
        torch.testing.assert_close(reconstruct(vae, batches[0]), before, atol=1e-4, rtol=0)
        deviation = vae.encode(batches[0] * 2 - 1).latent_dist.std
        expected = raw[0].std / spread[:, None, None]
        torch.testing.assert_close(deviation, expected, rtol=1e-3, atol=0)

    def test_the_vae_is_fully_convolutional(self, recipe: RecipeSettings) -> None:
        vae = new_vae(recipe.vae, 64).eval()
        assert reconstruct(vae, torch.rand(1, 3, 96, 40)).shape == (1, 3, 96, 40)


class TestDenoiser:
    def test_loss_weights_against_the_formula(self) -> None:
        alphas = torch.linspace(0.001, 0.999, 50, dtype=torch.float64)
        snr = alphas / (1 - alphas)
        expected = (snr.clamp(max=5) / (snr + 1)).clamp(min=0.3)
        torch.testing.assert_close(loss_weights(alphas, 5.0, 0.3), expected)

    def test_loss_weights_at_the_ends(self) -> None:
        ends = torch.tensor([0.0, 1.0])
        assert loss_weights(ends, 5.0, 0.3).tolist() == pytest.approx([0.3, 0.3])

    def test_timesteps_are_drawn_in_proportion_to_their_weights(self) -> None:
        weights = torch.tensor([1.0, 0.0, 3.0, 4.0])
        g = torch.Generator().manual_seed(0)
        # Sixteen evenly spread points over a total of 8: exactly two per unit, whatever the offset.
        for _ in range(20):
            drawn = draw_timesteps(weights, 16, g)
            assert torch.bincount(drawn, minlength=4).tolist() == [2, 0, 6, 8]
        single = torch.cat([draw_timesteps(weights, 1, g) for _ in range(8000)])
        share = torch.bincount(single, minlength=4) / 8000
        torch.testing.assert_close(share, weights / 8, atol=0.02, rtol=0)

    def test_the_colour_adapter_sees_early_timesteps_most(self) -> None:
        """As often as T2I-Adapter draws them: t = (1 - u^3) T."""
        weights, steps = early_weights(20), 20
        u = (torch.arange(2_000_000, dtype=torch.float64) + 0.5) / 2_000_000
        drawn = ((1 - u**3) * steps).long().clamp(max=steps - 1)
        counted = torch.bincount(drawn, minlength=steps) / len(u) * steps
        assert torch.allclose(weights, counted.float(), rtol=1e-3)
        assert weights.mean() == pytest.approx(1)

    def test_the_last_timestep_is_pure_noise(self) -> None:
        alphas = new_scheduler().alphas_cumprod
        assert alphas[-1] == 0
        assert (alphas[1:] < alphas[:-1]).all()

    def test_sixteen_cross_attention_layers(self, recipe: RecipeSettings) -> None:
        unet = new_unet(recipe.unet, 16, 64)
        assert sum(name.endswith("attn2") for name, _ in unet.named_modules()) == 16


class TestContrast:
    def test_against_plain_cross_entropy(self) -> None:
        g = torch.Generator().manual_seed(0)
        seen, read = (F.normalize(torch.randn(5, 8, generator=g), dim=-1) for _ in range(2))
        tokens = torch.arange(5)[:, None].expand(5, 77)
        logits = 10 * seen @ read.T
        expected = -(logits.log_softmax(1).diag().mean() + logits.log_softmax(0).diag().mean()) / 2
        found = contrastive_loss(seen, read, torch.tensor(10.0).log(), tokens)
        torch.testing.assert_close(found, expected)

    def test_equal_captions_match_one_another(self) -> None:
        seen = F.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), dim=-1)
        tokens = torch.tensor([0, 0, 1])[:, None].expand(3, 77)
        scale = torch.tensor(100.0).log()
        shared = contrastive_loss(seen, seen, scale, tokens)
        assert shared == pytest.approx(np.log(2) * 2 / 3, abs=1e-4)


class TestTokens:
    @pytest.fixture(scope="class")
    def folder(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("tokens")
        texts = ["a cat", "a photo of a hamburger", "teddy bear", "a dog on a red background"] * 9
        train_tokenizer(texts, 640, folder)
        return folder

    def test_round_trip(self, folder: Path) -> None:
        tokenizer = load_tokenizer(folder)
        text = "a photo of a red cat, highly detailed"
        ids = tokenizer(text).input_ids
        assert tokenizer.decode(ids, skip_special_tokens=True).replace(" ,", ",").strip() == text
        assert tokenizer.convert_ids_to_tokens([ids[0], ids[-1]]) == [START, END]

    def test_every_byte_can_be_said(self, folder: Path) -> None:
        tokenizer = load_tokenizer(folder)
        text = " ".join(map(chr, range(33, 500))) + " 日本 🐱 \u0301x"
        ids = tokenizer(text).input_ids
        assert ids.count(tokenizer.unk_token_id) == 1, "only the end mark"

    def test_seen_words_are_single_tokens(self, folder: Path) -> None:
        tokenizer = load_tokenizer(folder)
        for word in ("cat", "hamburger", "teddy", "dog", "background"):
            assert len(tokenizer(word).input_ids) == 3

    def test_marks_are_the_last_two(self, folder: Path) -> None:
        tokenizer = load_tokenizer(folder)
        size = len(tokenizer)
        assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (size - 2, size - 1)
        assert size <= 640

    def test_ids_are_padded_and_cut(self, folder: Path) -> None:
        ids = encode(load_tokenizer(folder), ["a cat", "cat " * 200, ""])
        assert ids.shape == (3, 77)
        assert ids.dtype == np.int16
        end = ids.max()
        assert (ids[0, 3:] == end).all() and ids[1, 76] == end and ids[1, 75] != end
        assert (ids[2, 1:] == end).all()


def test_contact_sheet_places_pictures_row_by_row() -> None:
    shades = torch.arange(5) / 5
    sheet = np.asarray(contact_sheet(shades[:, None, None, None].expand(5, 3, 4, 6), columns=3))
    assert sheet.shape == (8, 18, 3)
    for i in range(5):
        row, column = divmod(i, 3)
        cell = sheet[4 * row : 4 * row + 4, 6 * column : 6 * column + 6]
        assert (cell == round(float(shades[i]) * 255)).all()
    assert (sheet[4:, 12:] == 255).all()
