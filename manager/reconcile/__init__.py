"""Compare what runs with what is wanted (`plan`, pure), and act on the difference (`apply`)."""
