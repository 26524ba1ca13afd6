"""Training with TRL's and transformers' trainers as they are, on one GPU or on many through Ray Train."""
