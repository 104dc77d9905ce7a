"""What both stages share: base models, concept words, the ED-LoRA adapter."""
