"""The stream manager: knows streams, operations, definitions and nodes, and who wants what."""
