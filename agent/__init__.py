"""The stream agent: runs operations on one node. Imports only `streams`."""
