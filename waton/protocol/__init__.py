"""Bytes to meaning and meaning to bytes. No clock, no dice, no wire, no disk, no await: they come in as arguments."""
