"""The recipe that made the starter weights: corpus, VAE, CLIP, UNet."""
