"""What the files of a model's folder say: which network, its weights by common names, pooling, head. Pure but for reading."""
