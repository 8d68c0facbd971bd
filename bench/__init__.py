"""What is fast, against whom, and how far from the limit: ratios within one run."""
