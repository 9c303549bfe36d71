"""Programs that measure speed and memory, run by hand from the root of the repository; results: ``RESULTS.md``."""
