"""The lab: a loopback server that speaks the service's side of the protocol, and phones that live in it.

It serves anyone's client: waton, Baileys, whatsmeow. Accounts, devices, prekeys and queues are real and kept in SQLite;
what a phone signs and encrypts is really signed and encrypted. It is no model of the service's policies: it trusts its
clients to be well meant, and listens on loopback.

    server.py   sockets, one Connection each      world.py     accounts, devices, prekeys: the truth, in database.py
    pairing.py  registration                      login.py     and what follows it
    service.py  one stanza, one step              routing.py   messages and receipts between devices
    deliveries.py  what each device has yet to get   answers/  a table of iq handlers
    phone.py    a primary device                  faults.py    misbehaviour, on request, for tests
"""
