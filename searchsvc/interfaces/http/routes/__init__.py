"""Routes, by resource."""
