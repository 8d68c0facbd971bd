"""The embedded stack: broker, manager and agent as supervised children on 127.0.0.1."""
