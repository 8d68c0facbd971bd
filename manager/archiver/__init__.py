"""The archiver: takes what the archives' queues collect, and stores it in segments.

One loop serves all streams over one connection, a channel each; S3 and the store, which block, are
spoken to by a few threads. Segments grow on disk. A message is acknowledged when its segment is
stored; what isn't acknowledged comes again, also after a SIGKILL. Two archivers may run: each queue
has a single active consumer.

Nothing waits here when S3 is away: a stream that can't be stored is let go, so that the broker
keeps what isn't stored, and taken up again once S3 answers.
"""
