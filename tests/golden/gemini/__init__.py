"""Gemini's bytes for the golden cases, written by hand after its API reference."""

from pathlib import Path


def text_of(name: str) -> str:
    """The golden file of a case, by the case's name and its suffix."""
    return (Path(__file__).parent / name.replace(" ", "_")).read_text(encoding="utf-8")
