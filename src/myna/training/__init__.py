"""Training a LoRA adapter: plan, batches, loss, checkpoints, the loop."""
