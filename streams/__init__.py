"""What everybody shares about streams. Imports nothing of ours."""
