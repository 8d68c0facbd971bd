"""Replays: an archive's messages put onto a stream again, in the archive's order.

`Player` plays one on an event loop, for whoever runs it: the command `stream-archive`, or the
manager's `Replayer`, which plays those that were given to it and remembers how far each one is.
"""
