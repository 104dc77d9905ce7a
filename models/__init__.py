"""What both stages share: base models, layer-wise text conditioning and the ED-LoRA adapter."""
