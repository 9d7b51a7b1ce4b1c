"""What is known of one article from its text and its source: pure functions, no I/O."""
