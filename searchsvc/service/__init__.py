"""What runs on: keeping an index in step with folders and feeds, and the jobs of a server."""
