"""Who is on a link over time: what neighbours say is heard, judged, and kept in a database."""
