"""From files, feeds and given articles to the catalogue."""
