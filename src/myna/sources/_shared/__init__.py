"""What several readers share, and what is too long for the file of one. No sources in here."""
