"""Which judging networks there are beyond starter-CLIP, and whether their weights are here.

They are looked for in the hub's cache only; nothing is downloaded.
"""

from dataclasses import dataclass
from pathlib import Path

CONFIGS = ("config.json", "preprocessor_config.json", "tokenizer_config.json")
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
WITHOUT_COPIES = "--exclude '*.h5' --exclude '*.msgpack'"  # TensorFlow's and Flax's weights


@dataclass(frozen=True)
class Network:
    """A published network and its place in the hub."""

    title: str
    """Its name in reports."""
    columns: tuple[str, ...]
    """The scores it gives."""
    hub_id: str
    configs: tuple[str, ...] = CONFIGS
    """Files without which it cannot be read."""
    file: str = ""
    """Its weights, the only file to download, where its repository holds much else."""
    reader: "Network | None" = None
    """The network whose tokenizer and preprocessor it takes, when its own repository has none."""

    def folder(self) -> Path | None:
        """Its folder in the hub's cache; None unless it and its reader are completely there."""
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError

        if self.reader and not self.reader.folder():
            return None
        try:
            folder = Path(snapshot_download(self.hub_id, local_files_only=True))
        except LocalEntryNotFoundError:
            return None
        weights = (self.file,) if self.file else WEIGHTS  # one is enough
        whole = all((folder / name).is_file() for name in self.configs)
        return folder if whole and any((folder / name).is_file() for name in weights) else None

    def downloads(self) -> list[str]:
        """The commands that bring everything it needs."""
        own = f"hf download {self.hub_id} {self.file or WITHOUT_COPIES}"
        return [own, *(self.reader.downloads() if self.reader else ())]


CLIP = Network("CLIP and IQA", ("clip", "clip_iqa"), "openai/clip-vit-large-patch14")
BLIP = Network("BLIP", ("blip",), "Salesforce/blip-itm-base-coco")
# The published weights in transformers' layout; tokenizer and preprocessor are CLIP's.
HPS = Network("HPSv2", ("hpsv2", "mosaic_hpsv2"), "adams-story/HPSv2-hf", ("config.json",),
              reader=CLIP)  # fmt: skip
# One file as its authors published it; BLIP's tokenizer knows the same words.
REWARD = Network("ImageReward", ("image_reward", "mosaic_image_reward"), "THUDM/ImageReward", (),
                 file="ImageReward.pt", reader=BLIP)  # fmt: skip
DINO = Network("DINOv2", (), "facebook/dinov2-base", ("config.json", "preprocessor_config.json"))
"""Judges likeness of trainings; no column of the evaluation is its."""
NETWORKS = (CLIP, BLIP, HPS, REWARD)
