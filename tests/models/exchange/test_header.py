"""What a file's header says of it, read without torch."""

import json
import subprocess
import sys

import pytest
from exchanging import write_lora
from refusals import refused

from smalti.models.exchange.header import default_trigger, is_own, made_for, name_in

TAGS = json.dumps({"10_a": {"sks cat": 10, "sofa": 4}, "5_b": {"sofa": 5, "sks cat": 5}})


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"modelspec.trigger_phrase": " a sks cat ", "ss_tag_frequency": TAGS}, "a sks cat"),
        ({"ss_tag_frequency": TAGS}, "sks cat"),
        ({"ss_tag_frequency": "{}"}, ""),
        ({"ss_tag_frequency": "no json"}, ""),
        ({"ss_tag_frequency": '{"a": {"b": "c"}, "d": 3}'}, ""),
        ({}, ""),
    ],
)
def test_words_come_from_the_phrase_else_from_the_commonest_tag(metadata, words):
    assert default_trigger(metadata) == words


def test_the_base_is_said_in_any_of_three_places():
    assert made_for({"ss_sd_model_name": "model.ckpt", "ss_base_model_version": "sd_v1"}) == (
        "sd_v1, model.ckpt"
    )
    assert made_for({"ss_sd_model_name": "None"}) == ""


def test_own_files_are_told_from_others_without_torch(files, tmp_path):
    import torch

    other = write_lora(tmp_path / "Her cat.safetensors", {"x.alpha": torch.ones(1)})
    assert (is_own(files["lora"]), is_own(other)) == (True, False)
    assert (name_in(files["lora"]), name_in(other)) == ("sylvie", "Her cat")
    code = (
        "import sys; from pathlib import Path; from smalti.models.exchange.header import is_own; "
        f"print(is_own(Path({str(other)!r})), 'torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == "False False"
    with refused("gone.safetensors"):
        is_own(tmp_path / "gone.safetensors")
