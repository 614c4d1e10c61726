"""What is wrong with an installation that runs: a snapshot in, findings out."""
