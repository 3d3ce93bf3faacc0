"""Code that several readers share, or that is too long for the file of one. No sources in here."""
