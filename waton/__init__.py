"""Waton: a notebook-first toolkit for studying and debugging the WhatsApp Web multi-device protocol."""

__all__: list[str] = []
