"""An OpenAI-compatible endpoint on loopback for anything that answers."""
