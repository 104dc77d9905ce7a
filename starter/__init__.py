"""The recipe that made the starter model: corpus, VAE, CLIP and UNet, one stage per file."""
