"""The operator process: one operation's data path between two streams.

One event loop serves the broker's socket, the programs' pipes and the agent's; only S3 is spoken to
on threads (`transfers`). `assembly` puts the parts together, `life` starts and ends them; `single`
and `service` run programs; `fetching` brings objects before a program needs them, `storage` takes
outputs that are too large for the broker. What is decided without acting is in modules of its own
(`ledger`, `sequencer`, `dead`, `command`, `pace`).
"""
