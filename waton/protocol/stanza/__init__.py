"""Stanzas: one frozen dataclass for each family, with to_node and from_node.

Used alike by the client, the lab and the inspectors, so that a stanza's shape is written down once. What a dataclass
does not know of a received node is not lost: the node itself stays in the trace.
"""
