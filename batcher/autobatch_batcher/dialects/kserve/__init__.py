"""What the messages of KServe v2 carry: tensors."""
