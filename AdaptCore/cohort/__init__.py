"""One annotated case becomes a labelled cohort: the folder on disk, its steps, and where they run."""
