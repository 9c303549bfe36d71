"""Scripts that turn public corpora, and tables of your own recordings, into manifests; see README.md here."""
