"""The paper's experiments: corpora and their splits, and the tables made of them."""
