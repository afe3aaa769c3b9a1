"""Other people's libraries, each with an extra of its own and imported only where it is used."""
