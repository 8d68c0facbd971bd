"""The operator process: one operation's data path between two streams.

One event loop serves the broker's socket, the programs' pipes and the agent's. `assembly` puts the
parts together; `single` and `service` run programs; what is decided without acting is in modules
of its own (`ledger`, `sequencer`, `retry`, `dead`, `command`, `pace`).
"""
