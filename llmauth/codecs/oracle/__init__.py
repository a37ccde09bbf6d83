"""The protocol of Oracle's Generative AI service."""
