"""Tokenizers, model shapes and the engines that answer prompts. Knows of code only as text."""
