"""The evaluation prompts of the paper (Figure 11), word for word, in its order."""

GLOBAL_PROMPTS = (
    "A cat with flower background",
    "A close-up photo of a dog in the forest",
    "A close-up photo of a teddy bear sitting on a bed, full body",
    "A car parked in front of a mountain",
    "A colorful bird sitting on a branch, surrounded by detailed leaves and trees",
    "A castle on top of a hill surrounded by clouds, dramatic lighting",
    "An anime girl with pink hair smiling under cherry blossoms, soft lighting",
    "A peaceful mountain landscape at sunrise, clear atmosphere",
    "A close-up of colorful coral reef underwater with fish swimming around",
    "A rustic coffee shop interior with wooden furniture",
    "A futuristic city at night with flying cars and neon lights",
    "A delicious hamburger with melting cheese and sesame bun",
)
"""What the whole mosaic shows, seen from afar."""

LOCAL_PROMPTS = (
    "A cat",
    "A dog",
    "A teddy bear",
    "A car",
    "A bird",
    "A chair",
    "An anime girl face",
    "A flower",
    "A fish",
    "A coffee cup",
    "A robot",
    "A hamburger",
)
"""What every tile shows."""
