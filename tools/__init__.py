"""What demos, recordings, benchmarks and the tests with the real program share, and `make setup`."""
