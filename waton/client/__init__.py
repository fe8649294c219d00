"""The driver: the protocol core given a wire, a disk, a clock and dice. All asyncio of the client lives here."""
