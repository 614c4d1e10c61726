"""`make stress`: what pooling gains, and what it does not, measured with real servers."""
