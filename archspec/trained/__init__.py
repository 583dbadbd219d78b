"""What is done with a run that has ended: read back, asked for predictions, looked into."""
