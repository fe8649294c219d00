"""Bytes to bytes: small pure functions that know nothing of stanzas, clocks or disks."""
