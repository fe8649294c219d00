"""The oracle: the real Baileys in a process of its own, asked over JSON lines.

    with Functions.start() as baileys:
        baileys.call("lib/Utils/generics.js", "encodeBigEndian", 5, 3)
    async with BaileysPeer.start(lab.url, name="Bea") as bea: ...

The program beside this module is ours; Baileys itself is an npm package that `waton parity setup` installs, in the
version package.json names or in any other. Nothing of it ships with waton.
"""

from waton.parity.oracle.package import PINNED, default_folder, find_node, install, locate, version_of
from waton.parity.oracle.peer import BaileysPeer
from waton.parity.oracle.process import BaileysError, Functions

__all__ = [
    "PINNED",
    "BaileysError",
    "BaileysPeer",
    "Functions",
    "default_folder",
    "find_node",
    "install",
    "locate",
    "version_of",
]
