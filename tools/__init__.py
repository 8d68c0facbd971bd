"""The entrance: the `streamboss` command, the quickstart's scripts, the embedded stack."""
