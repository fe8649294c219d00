"""The world behind the ports: disk, clock, dice and wire. One file per port; nothing here knows what bytes mean."""
