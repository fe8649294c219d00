"""The lab: a loopback server that speaks the service's side of the protocol, and phones that live in it.

It serves anyone's client: waton, Baileys, whatsmeow. Accounts, devices, prekeys and queues are real and kept in SQLite;
what a phone signs and encrypts is really signed and encrypted. It is no model of the service's policies: it trusts its
clients to be well meant, and listens on loopback.

    server.py      Lab: listens, opens the phones     sockets.py     one Connection on one WebSocket
    pairing.py     refs, scans, registration          login.py       a paired device comes online
    service.py     one stanza in, one database step   routing.py     messages and receipts between devices
    answers/       a table of iq handlers             deliveries.py  what each device has yet to get
    world.py       accounts, devices, prekeys         database.py    where all of it is written through
    groups.py      who is in them, how they are set   routing_groups.py  their messages and receipts
    device_news.py, group_news.py  who is told what has changed
    phone*.py      a primary device                   faults.py      misbehaviour, on request, for tests
"""
